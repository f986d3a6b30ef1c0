//! Serving certificates of the webhook server: issued and renewed by the service's own leader, or read from files
//! that somebody else (cert-manager) keeps up to date.
//!
//! ```text
//! Issuer, on the leader:   issue ──▶ caBundle (new + previous CA) ──▶ Secret ──┐
//! Issuer, on each replica:                                      poll the Secret ┴──▶ Certificates ──▶ webhook::Server
//! Directory:                                                     poll the files ───▶ Certificates ──▶ webhook::Server
//! ```
//! Neither source gives up: troubles are logged and tried again, and meanwhile the last good certificate is served.

mod directory;
mod issue;
mod issuer;
mod store;
mod trust;

use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::watch;

pub use directory::Directory;
pub use issuer::{Issuer, Timing};
pub use trust::CaTarget;

use crate::Secret;

/// The certificate to serve with now; `None` until there is a first one.
pub type Certificates = watch::Receiver<Option<Arc<CertificateBundle>>>;

/// A certificate with all that belongs to it. Its key fits it: that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateBundle {
    /// PEM of who may have signed what any replica serves: the current authority first, then the one before it.
    /// Empty where the source does not say.
    pub ca_pem: String,
    /// PEM of the serving certificate, intermediates after it.
    pub cert_pem: String,
    /// PEM of its key.
    pub key_pem: Secret<String>,
    /// The serving certificate is refused from then on.
    pub not_after: Timestamp,
}

/// PEM that cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error("{what} is no PEM")]
    Pem { what: &'static str, source: rustls::pki_types::pem::Error },
    #[error("the certificate is no X.509 certificate: {reason}")]
    X509 { reason: String },
    #[error("certificate and key do not fit each other, or are of a kind that is not supported")]
    Pair(#[source] rustls::Error),
}

impl CertificateBundle {
    /// Checks that this is a certificate with its key. Who signed it, for whom and until when is not looked at.
    pub fn parse(ca_pem: String, cert_pem: String, key_pem: Secret<String>) -> Result<Self, Invalid> {
        let chain = chain(&cert_pem)?;
        let leaf = chain.first().ok_or(Invalid::Pem {
            what: "the certificate",
            source: rustls::pki_types::pem::Error::NoItemsFound,
        })?;
        let not_after = not_after(leaf)?;
        let bundle = Self { ca_pem, cert_pem, key_pem, not_after };
        bundle.server_config()?;
        Ok(bundle)
    }

    /// TLS 1.2 and 1.3 with this certificate, for HTTP/2 and HTTP/1.1.
    pub(crate) fn server_config(&self) -> Result<ServerConfig, Invalid> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.expose().as_bytes())
            .map_err(|source| Invalid::Pem { what: "the key", source })?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Invalid::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain(&self.cert_pem)?, key)
            .map_err(Invalid::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, Invalid> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|source| Invalid::Pem { what: "the certificate", source })
}

fn not_after(certificate: &CertificateDer<'_>) -> Result<Timestamp, Invalid> {
    let invalid = |reason: &dyn ToString| Invalid::X509 { reason: reason.to_string() };
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|e| invalid(&e))?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).map_err(|e| invalid(&e))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::issue::issue;
    use super::*;

    fn any() -> CertificateBundle {
        let now = "2024-03-01T12:00:00Z".parse().unwrap();
        issue(&["a.b.svc".to_owned()], std::time::Duration::from_hours(1), now, None).unwrap()
    }

    #[test]
    fn accepts_what_we_issue() {
        let CertificateBundle { ca_pem, cert_pem, key_pem, not_after } = any();
        let parsed = CertificateBundle::parse(ca_pem, cert_pem, key_pem).unwrap();
        assert_eq!(parsed.not_after, not_after);
        assert_eq!(not_after.to_string(), "2024-03-01T13:00:00Z");
    }

    #[rstest]
    #[case::no_certificate("", &any().key_pem, "the certificate is no PEM")]
    #[case::no_pem("hello", &any().key_pem, "the certificate is no PEM")]
    #[case::no_x509("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", &any().key_pem, "no X.509")]
    #[case::no_key(&any().cert_pem, &Secret::new(String::new()), "the key is no PEM")]
    #[case::another_key(&any().cert_pem, &any().key_pem, "do not fit each other")]
    fn refuses(#[case] cert: &str, #[case] key: &Secret<String>, #[case] reason: &str) {
        let error = CertificateBundle::parse(String::new(), cert.to_owned(), key.clone()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }

    #[test]
    fn shows_no_key() {
        let bundle = any();
        let shown = format!("{bundle:?}");
        let line = bundle.key_pem.expose().lines().nth(1).unwrap();
        assert!(!shown.contains(line) && shown.contains("Secret(***)"), "{shown}");
    }
}
