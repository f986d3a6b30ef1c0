//! A certificate authority for clusters that live on one machine: control planes of tests and the dev cluster.
//!
//! Keys are ECDSA P-256 in PKCS#8 PEM, which Go's, rustls' and our own readers all accept.
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// Backdating, so that a clock that is set back a little does not refuse a fresh certificate.
const LEEWAY: Duration = Duration::from_hours(1);
/// Long enough that no dev cluster outlives it, short enough for every reader of dates.
const LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("make the certificate of {common_name:?}")]
    Issue { common_name: String, source: rcgen::Error },
    #[error("read the authority's certificate and key; delete both files to have new ones made")]
    Authority(#[source] rcgen::Error),
    #[error("certificate of {common_name:?}: {count} organizations were asked for, but it can name only one")]
    Organizations { common_name: String, count: usize },
}

/// Signs certificates of servers and clients.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, both PEM.
#[derive(Clone)]
pub struct Leaf {
    pub cert_pem: String,
    pub key_pem: String,
}

impl Authority {
    /// A new self-signed authority.
    pub fn new(common_name: &str) -> Result<Self, Error> {
        let failed = |source| Error::Issue { common_name: common_name.to_owned(), source };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = params(common_name, &[]).map_err(failed)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// An authority that was saved before by [`Self::cert_pem`] and [`Self::key_pem`].
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key).map_err(Error::Authority)?;
        let issuer = Issuer::from_ca_cert_pem(cert, key).map_err(Error::Authority)?;
        Ok(Self { certificate: cert.to_owned(), issuer })
    }

    pub fn cert_pem(&self) -> &str {
        &self.certificate
    }

    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for a server that is reached under `names`: DNS names or IP addresses.
    pub fn server(&self, common_name: &str, names: &[&str]) -> Result<Leaf, Error> {
        self.issue(common_name, &[], names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client. Kubernetes takes the common name as user and the organization as group.
    pub fn client(&self, common_name: &str, organizations: &[&str]) -> Result<Leaf, Error> {
        self.issue(common_name, organizations, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        common_name: &str,
        organizations: &[&str],
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Leaf, Error> {
        let failed = |source| Error::Issue { common_name: common_name.to_owned(), source };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = params(common_name, &names).map_err(failed)?;
        match organizations {
            [] => {}
            [one] => params.distinguished_name.push(DnType::OrganizationName, *one),
            // rcgen keeps one value per attribute: a second would silently replace the first.
            many => {
                return Err(Error::Organizations { common_name: common_name.to_owned(), count: many.len() });
            }
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        Ok(Leaf { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn params(common_name: &str, names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = SystemTime::now();
    params.not_before = (now - LEEWAY).into();
    params.not_after = (now + LIFETIME).into();
    Ok(params)
}

/// A kubeconfig of one context in which `client` talks to `server` (a URL), trusting `ca_pem` only.
///
/// Everything is inline, so the file can be moved and handed on. It is YAML's JSON subset.
pub fn kubeconfig(server: &str, ca_pem: &str, client: &Leaf) -> String {
    let encode = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "clusters": [{
            "name": "dev",
            "cluster": { "server": server, "certificate-authority-data": encode(ca_pem) },
        }],
        "users": [{
            "name": "dev",
            "user": {
                "client-certificate-data": encode(&client.cert_pem),
                "client-key-data": encode(&client.key_pem),
            },
        }],
        "contexts": [{ "name": "dev", "context": { "cluster": "dev", "user": "dev" } }],
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_after_being_read_back() {
        let made = Authority::new("test-ca").unwrap();
        let read = Authority::from_pem(made.cert_pem(), &made.key_pem()).unwrap();
        assert_eq!(read.cert_pem(), made.cert_pem());
        let leaf = read.server("server", &["localhost", "127.0.0.1"]).unwrap();
        assert!(verifies(&leaf, made.cert_pem(), "localhost"));
        assert!(verifies(&leaf, made.cert_pem(), "127.0.0.1"));
    }

    #[test]
    fn refuses_other_names_and_other_authorities() {
        let ours = Authority::new("ours").unwrap();
        let theirs = Authority::new("theirs").unwrap();
        let leaf = ours.server("server", &["localhost"]).unwrap();
        assert!(!verifies(&leaf, ours.cert_pem(), "elsewhere.test"));
        assert!(!verifies(&leaf, theirs.cert_pem(), "localhost"));
    }

    #[test]
    fn refuses_a_second_organization() {
        let authority = Authority::new("ca").unwrap();
        assert!(authority.client("user", &["one"]).is_ok());
        let error = authority.client("user", &["one", "two"]).err().unwrap();
        assert!(matches!(error, Error::Organizations { count: 2, .. }), "{error}");
    }

    #[test]
    fn kubeconfig_is_read_by_kube() {
        let authority = Authority::new("ca").unwrap();
        let client = authority.client("user", &["system:masters"]).unwrap();
        let text = kubeconfig("https://127.0.0.1:6443", authority.cert_pem(), &client);
        let config: kube::config::Kubeconfig = serde_json::from_str(&text).unwrap();
        let server = config.clusters[0].cluster.as_ref().unwrap().server.as_deref();
        assert_eq!(server, Some("https://127.0.0.1:6443"));
        assert_eq!(config.current_context.as_deref(), Some("dev"));
    }

    fn verifies(leaf: &Leaf, authority: &str, name: &str) -> bool {
        use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
        use rustls::{RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier as _};

        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let certificate = CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes()).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).is_ok()
    }
}
