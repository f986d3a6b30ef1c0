//! Certificates of keyless signers: whether one vouches for a key at the time when it signed, and for whom.
//!
//! ```text
//!   leaf + chain ─▶ a path to a trusted authority, for code signing, valid then
//!                ─▶ a log of certificates has seen it (RFC 6962)
//!                ─▶ its subject and issuer are those that are asked for ─▶ Checked: key, names
//! ```

mod identity;
mod names;
mod scts;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::X509Certificate;

use crate::key::PublicKey;
use crate::roots::{Roots, certificate_pem, certificates, read_certificate};

pub use identity::{BadIdentity, Identity};

/// Of a chain that somebody has put beside a signature.
const MAX_CHAIN: usize = 10;

/// Extended key usage `id-kp-codeSigning` (RFC 5280), without tag and length.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

/// A certificate that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub key: PublicKey,
    /// Subject key identifier in hexadecimal digits; empty if it has none.
    pub key_id: String,
    /// PEM of each issuer.
    pub chain: Vec<String>,
    /// What it says, by readable names.
    pub metadata: BTreeMap<String, String>,
}

/// Why a certificate does not vouch for anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    #[error("no authority for certificates is known; give the trusted roots of the signer's sigstore")]
    NoRoots,
    #[error("the certificate does not lead to a trusted authority at {at}: {reason}")]
    Untrusted { at: Timestamp, reason: String },
    #[error("no known log has seen the certificate: {0}")]
    NotLogged(String),
    #[error("{0}")]
    OtherIdentity(String),
}

/// Checks the certificate `leaf` with its issuers in `chain`, both PEM, as of `at`: when it signed.
pub fn check(
    leaf: &str,
    chain: &str,
    identity: &Identity,
    roots: &Roots,
    at: Timestamp,
) -> Result<Checked, BadCertificate> {
    let malformed = BadCertificate::Malformed;
    let der = only(leaf)?;
    let issuers = certificates(chain).map_err(malformed)?;
    if issuers.len() > MAX_CHAIN {
        return Err(malformed(format!("its chain is longer than {MAX_CHAIN} certificates")));
    }
    let certificate = read_certificate(&der).map_err(malformed)?;
    let key = key_of(&certificate)?;
    let issuer_key = path(&der, &issuers, roots, at)?;
    scts::check(&certificate, &issuer_key, roots, at).map_err(BadCertificate::NotLogged)?;
    identity.check(&certificate).map_err(BadCertificate::OtherIdentity)?;
    Ok(Checked {
        key,
        key_id: names::key_id(&certificate),
        chain: issuers.iter().map(|der| certificate_pem(der)).collect(),
        metadata: names::metadata(&certificate),
    })
}

/// The key in the certificate `leaf`, PEM, which need not be good: for what has to be known before it can be checked.
pub(crate) fn key(leaf: &str) -> Result<PublicKey, BadCertificate> {
    let der = only(leaf)?;
    key_of(&read_certificate(&der).map_err(BadCertificate::Malformed)?)
}

fn key_of(certificate: &X509Certificate<'_>) -> Result<PublicKey, BadCertificate> {
    PublicKey::from_der(certificate.tbs_certificate.subject_pki.raw)
        .map_err(|error| BadCertificate::Malformed(error.to_string()))
}

fn only(pem: &str) -> Result<Vec<u8>, BadCertificate> {
    let mut leaves = certificates(pem).map_err(BadCertificate::Malformed)?;
    match (leaves.pop(), leaves.is_empty()) {
        (Some(der), true) => Ok(der),
        _ => Err(BadCertificate::Malformed("it is not exactly one certificate".to_owned())),
    }
}

/// Finds a path to an authority that is trusted at that time, and returns the leaf's issuer's key in DER.
fn path(leaf: &[u8], issuers: &[Vec<u8>], roots: &Roots, at: Timestamp) -> Result<Vec<u8>, BadCertificate> {
    let untrusted = |reason: String| BadCertificate::Untrusted { at, reason };
    if roots.anchors.is_empty() {
        return Err(BadCertificate::NoRoots);
    }
    // Anchors are not looked into by the library: their own time counts, too.
    let in_time = roots.anchors.iter().filter(|anchor| {
        let is_valid = read_certificate(&anchor.certificate).is_ok_and(|certificate| {
            let validity = certificate.validity();
            (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&at.as_second())
        });
        is_valid && anchor.window.permits(at)
    });
    let anchors: Vec<_> =
        in_time.filter_map(|anchor| webpki::anchor_from_trusted_cert(&anchor.certificate).ok()).collect();
    if anchors.is_empty() {
        return Err(untrusted("no authority is trusted at that time".to_owned()));
    }
    let given = issuers.iter().map(|der| CertificateDer::from(der.as_slice()));
    let intermediates: Vec<_> = given.chain(roots.intermediates.iter().cloned()).collect();

    let leaf = CertificateDer::from(leaf);
    let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(|error| untrusted(error.to_string()))?;
    let seconds =
        u64::try_from(at.as_second()).map_err(|_| untrusted("that time is too long ago".to_owned()))?;
    let path = leaf
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &intermediates,
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            webpki::KeyUsage::required(CODE_SIGNING),
            None,
            None,
        )
        .map_err(|error| untrusted(error.to_string()))?;
    Ok(path.issuer_spki().to_vec())
}
