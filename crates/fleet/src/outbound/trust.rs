//! Which certificate authorities servers are believed by: the platform's, and those of `--ca-bundle`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why the file of `--ca-bundle` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("--ca-bundle (CA_BUNDLE) {path}: cannot be read", path = path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("--ca-bundle (CA_BUNDLE) {path}: the folder does not exist; is the volume mounted?", path = path.display())]
    NoFolder { path: PathBuf },
    #[error("--ca-bundle (CA_BUNDLE) {path}: {reason}", path = path.display())]
    Invalid { path: PathBuf, reason: &'static str },
    #[error("further certificate authorities: {0}")]
    Further(&'static str),
    #[error(
        "no certificate authority to trust: the machine has none (SSL_CERT_FILE, /etc/ssl/certs), and no --ca-bundle \
         (CA_BUNDLE) names any"
    )]
    Nobody,
    #[error("the TLS client cannot be made")]
    Tls(#[from] rustls::Error),
}

/// The file of `--ca-bundle`.
#[derive(Clone, Debug)]
pub(super) struct Bundle {
    path: PathBuf,
}

/// What it holds; to be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// All of a PEM; an error says what is wrong with it.
    pub(super) fn parse(pem: &[u8]) -> Result<Self, &'static str> {
        let authorities = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| "is damaged: expected certificates in PEM (-----BEGIN CERTIFICATE-----)")?;
        if authorities.is_empty() {
            return Err("holds no certificate: expected PEM (-----BEGIN CERTIFICATE-----)");
        }
        let usable = RootCertStore::empty().add_parsable_certificates(authorities.iter().cloned()).0;
        if usable == 0 {
            return Err("holds no certificate that can be trusted as an authority (X.509)");
        }
        Ok(Self(authorities))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Bundle {
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The authorities of the file. `None` if the file is not there but its folder is: so an optional ConfigMap is
    /// mounted, and the file appears with it.
    pub(super) fn read(&self) -> Result<Option<Authorities>, TrustError> {
        let pem = match std::fs::read(&self.path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                return if folder.is_none_or(Path::is_dir) {
                    Ok(None)
                } else {
                    Err(TrustError::NoFolder { path: self.path.clone() })
                };
            }
            Err(source) => return Err(TrustError::Read { path: self.path.clone(), source }),
        };
        Authorities::parse(&pem)
            .map(Some)
            .map_err(|reason| TrustError::Invalid { path: self.path.clone(), reason })
    }
}

/// The platform's own authorities. In our images these are /etc/ssl/certs/ca-certificates.crt.
pub(super) fn platform() -> Authorities {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(error = %error, "Some of the machine's certificate authorities cannot be read");
    }
    Authorities(loaded.certs)
}

/// A TLS client that believes all of them. What cannot be parsed is left out, as public bundles hold odd ones.
pub(super) fn client_config(trusted: &[&Authorities]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for authorities in trusted {
        roots.add_parsable_certificates(authorities.0.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use testkit::pki::Authority;

    use super::*;

    #[test]
    fn reads_all_of_a_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let [one, two] = ["one", "two"].map(|name| Authority::new(name).unwrap());
        std::fs::write(&path, format!("# ours\n{}\n{}", one.cert_pem(), two.cert_pem())).unwrap();
        assert_eq!(Bundle::new(path).read().unwrap().unwrap().count(), 2);
    }

    #[rstest]
    #[case::empty("", "holds no certificate")]
    #[case::text("hello", "holds no certificate")]
    #[case::key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no certificate")]
    #[case::cut_off("-----BEGIN CERTIFICATE-----\nAAAA\n", "is damaged")]
    #[case::no_x509("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "X.509")]
    fn refuses_what_is_no_bundle(#[case] content: &str, #[case] reason: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        std::fs::write(&path, content).unwrap();
        let error = Bundle::new(&path).read().unwrap_err().to_string();
        assert!(error.contains("--ca-bundle") && error.contains(reason), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }

    #[test]
    fn tells_a_file_that_is_to_come_from_a_wrong_path() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Bundle::new(folder.path().join("ca.crt")).read().unwrap(), None);
        let error = Bundle::new(folder.path().join("typo/ca.crt")).read().unwrap_err();
        assert!(matches!(error, TrustError::NoFolder { .. }), "{error}");
        let error = Bundle::new(folder.path()).read().unwrap_err();
        assert!(matches!(error, TrustError::Read { .. }), "{error}");
    }
}
