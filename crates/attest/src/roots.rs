//! What keyless signing rests on: authorities that issue certificates to signers, and the logs that have to have seen them.
//!
//! ```text
//!   TUF mirror ──ec sigstore initialize──▶ $TUF_ROOT/targets/trusted_root.json, *.pem, *.pub ─┐
//!   files that an administrator names ────────────────────────────────────────────────────────┴─▶ Roots
//! ```
//! None are built in: whom to trust is the administrator's decision.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::key::{KeyError, PublicKey, blocks};

/// Folder of what a TUF repository is for, below the one of its metadata.
const TARGETS: &str = "targets";
const TRUSTED_ROOT: &str = "trusted_root.json";
/// Larger is no file with roots.
const MAX_FILE: u64 = 4 * 1024 * 1024;
const CERTIFICATE: &str = "CERTIFICATE";

/// Authorities and logs. With none of a kind nothing is accepted that needs one.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) intermediates: Vec<CertificateDer<'static>>,
    pub(crate) certificate_logs: Vec<LogKey>,
    pub(crate) signature_logs: Vec<LogKey>,
}

/// A certificate that is trusted for itself.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) window: Window,
}

/// The key of a log.
#[derive(Clone)]
pub(crate) struct LogKey {
    /// SHA-256 of the key in DER: what entries name it by (RFC 6962, section 3.2).
    pub(crate) id: [u8; 32],
    pub(crate) key: PublicKey,
    pub(crate) window: Window,
}

/// When something is trusted. Both ends belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Window {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// Why there are no roots.
#[derive(Debug, thiserror::Error)]
pub enum BadRoots {
    #[error("{path} cannot be read", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "{directory} holds neither {TARGETS}/{TRUSTED_ROOT} nor {TARGETS}/fulcio*.pem, ctfe*.pub or rekor*.pub; fetch them with \
         `ec sigstore initialize`", directory = directory.display()
    )]
    Nothing { directory: PathBuf },
    #[error("{what}: {reason}")]
    Malformed { what: String, reason: String },
}

impl Window {
    pub(crate) fn permits(&self, at: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= at) && self.end.is_none_or(|end| at <= end)
    }
}

impl LogKey {
    fn new(der: &[u8], window: Window) -> Result<Self, KeyError> {
        Ok(Self { id: Sha256::digest(der).into(), key: PublicKey::from_der(der)?, window })
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogKey").field(&data_encoding::HEXLOWER.encode(&self.id)).finish()
    }
}

impl Roots {
    /// Reads the folder that `ec sigstore initialize` and cosign fill (`TUF_ROOT`).
    pub fn read(directory: &Path) -> Result<Self, BadRoots> {
        let folders = [directory.join(TARGETS), directory.to_owned()];
        for folder in &folders {
            if let Some(text) = optional(&folder.join(TRUSTED_ROOT))? {
                return Self::from_trusted_root(&text);
            }
        }
        for folder in &folders {
            let roots = Self::from_files(folder)?;
            if roots.has_any() {
                return Ok(roots);
            }
        }
        Err(BadRoots::Nothing { directory: directory.to_owned() })
    }

    fn from_files(folder: &Path) -> Result<Self, BadRoots> {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Ok(Self::default());
        };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        let mut roots = Self::default();
        for name in names {
            let path = folder.join(&name);
            let is = |prefix: &str, suffix: &str| name.starts_with(prefix) && name.ends_with(suffix);
            let kind = [("fulcio", ".pem"), ("ctfe", ".pub"), ("rekor", ".pub")]
                .iter()
                .position(|(prefix, suffix)| is(prefix, suffix));
            let (Some(kind), Some(text)) = (kind, if kind.is_some() { optional(&path)? } else { None })
            else {
                continue;
            };
            let added = match kind {
                0 => roots.add_authorities(&text),
                1 => roots.add_certificate_log(&text),
                _ => roots.add_signature_log(&text),
            };
            added.map_err(|reason| malformed(path.display(), &reason))?;
        }
        Ok(roots)
    }

    /// Reads sigstore's `trusted_root.json`.
    pub fn from_trusted_root(json: &str) -> Result<Self, BadRoots> {
        let file: TrustedRoot =
            serde_json::from_str(json).map_err(|error| malformed(TRUSTED_ROOT, &error))?;
        let mut roots = Self::default();
        for (number, authority) in file.certificate_authorities.into_iter().enumerate() {
            let what = format!("{TRUSTED_ROOT}: certificateAuthorities[{number}]");
            let mut chain = Vec::new();
            for certificate in authority.cert_chain.certificates {
                let der = decoded(&certificate.raw_bytes).map_err(|reason| malformed(&what, &reason))?;
                read_certificate(&der).map_err(|reason| malformed(&what, &reason))?;
                chain.push(CertificateDer::from(der));
            }
            let certificate = chain.pop().ok_or_else(|| malformed(&what, &"its chain has no certificate"))?;
            roots.anchors.push(Anchor { certificate, window: authority.valid_for });
            roots.intermediates.append(&mut chain);
        }
        for (kind, logs, into) in [
            ("ctlogs", file.ctlogs, &mut roots.certificate_logs),
            ("tlogs", file.tlogs, &mut roots.signature_logs),
        ] {
            for (number, log) in logs.into_iter().enumerate() {
                let what = format!("{TRUSTED_ROOT}: {kind}[{number}]");
                let der = decoded(&log.public_key.raw_bytes).map_err(|reason| malformed(&what, &reason))?;
                match LogKey::new(&der, log.public_key.valid_for) {
                    Ok(key) => into.push(key),
                    // Of a kind that we do not know: what only it vouches for is not accepted.
                    Err(KeyError::Unsupported { .. }) => {}
                    Err(error) => return Err(malformed(&what, &error)),
                }
            }
        }
        Ok(roots)
    }

    /// Adds the certificates of a text in PEM. Those that have signed themselves are trusted, the others lead to them.
    pub fn add_authorities(&mut self, pem: &str) -> Result<(), String> {
        for der in certificates(pem)? {
            let parsed = read_certificate(&der)?;
            if parsed.tbs_certificate.subject.as_raw() == parsed.tbs_certificate.issuer.as_raw() {
                self.anchors
                    .push(Anchor { certificate: CertificateDer::from(der), window: Window::default() });
            } else {
                self.intermediates.push(CertificateDer::from(der));
            }
        }
        Ok(())
    }

    /// Adds the key, in PEM, of a log of certificates.
    pub fn add_certificate_log(&mut self, pem: &str) -> Result<(), String> {
        self.certificate_logs.push(log_key(pem)?);
        Ok(())
    }

    /// Adds the key, in PEM, of a log of signatures.
    pub fn add_signature_log(&mut self, pem: &str) -> Result<(), String> {
        self.signature_logs.push(log_key(pem)?);
        Ok(())
    }

    fn has_any(&self) -> bool {
        !(self.anchors.is_empty() && self.certificate_logs.is_empty() && self.signature_logs.is_empty())
    }
}

fn malformed(what: impl fmt::Display, reason: &dyn fmt::Display) -> BadRoots {
    BadRoots::Malformed { what: what.to_string(), reason: reason.to_string() }
}

/// A file that need not be there.
fn optional(path: &Path) -> Result<Option<String>, BadRoots> {
    let failed = |source| BadRoots::Read { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_FILE => {
            Err(malformed(path.display(), &format!("it is larger than {MAX_FILE} bytes")))
        }
        Ok(_) => std::fs::read_to_string(path).map(Some).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn log_key(pem: &str) -> Result<LogKey, String> {
    let key = PublicKey::from_pem(pem).map_err(|error| error.to_string())?;
    let block = blocks(pem).map_err(|error| error.to_string())?.pop();
    let der = block.map(|block| block.content).unwrap_or_default();
    Ok(LogKey { id: Sha256::digest(&der).into(), key, window: Window::default() })
}

/// The certificates, in DER, of a text in PEM with nothing else in it.
pub(crate) fn certificates(pem: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut certificates = Vec::new();
    for block in blocks(pem).map_err(|error| error.to_string())? {
        if block.label != CERTIFICATE {
            return Err(format!("it holds a PEM block {:?} where certificates are expected", block.label));
        }
        certificates.push(block.content);
    }
    Ok(certificates)
}

pub(crate) fn certificate_pem(der: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(CERTIFICATE, der), lines)
}

pub(crate) fn read_certificate(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("something follows a certificate's DER".to_owned()),
        Err(_) => Err("a certificate's DER cannot be read".to_owned()),
    }
}

fn decoded(base64: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(base64).map_err(|_| "rawBytes is no base64".to_owned())
}

/// As sigstore's protocol buffers are in JSON; what is not used is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrustedRoot {
    #[serde(default)]
    certificate_authorities: Vec<Authority>,
    #[serde(default)]
    ctlogs: Vec<Log>,
    #[serde(default)]
    tlogs: Vec<Log>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authority {
    /// Issuers first, the root last.
    cert_chain: CertChain,
    #[serde(default)]
    valid_for: Window,
}

#[derive(Deserialize)]
struct CertChain {
    #[serde(default)]
    certificates: Vec<RawBytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Log {
    public_key: RawKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawKey {
    raw_bytes: String,
    #[serde(default)]
    valid_for: Window,
}
