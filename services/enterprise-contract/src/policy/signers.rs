//! Whose signatures count: those of a key, or those with a certificate of somebody.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use attest::certificate::Identity;
use attest::roots::Roots;
use attest::transparency::LogPolicy;
use attest::verify::{TransparencyLog, Trust};
use attest::{KeySet, rekor};
use enterprise_contract_api::EnterpriseContractPolicySpec;
use enterprise_contract_api::names::{KEY_IN_CLUSTER, PUBLIC_KEY_KEY};
use fleet::outbound;
use serde::{Deserialize, Serialize};

use super::{Cluster, Error};

/// Key of a Secret with several public keys, each for a time.
const KEY_SET_KEY: &str = "keys.json";
/// Larger is no key.
const LARGEST_KEY: u64 = 256 * 1024;

/// Who is expected to have signed, as rules pass it to `ec.sigstore.*`, and find it in
/// `data.config.default_sigstore_opts`. Empty means not given; each key has to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    pub certificate_identity: String,
    pub certificate_identity_regexp: String,
    pub certificate_oidc_issuer: String,
    pub certificate_oidc_issuer_regexp: String,
    pub ignore_rekor: bool,
    /// PEM, or a document of keys. On the command line and in a policy also where that is.
    pub public_key: String,
    /// Of the transparency log. Empty means that signatures need not be in one.
    pub rekor_url: String,
}

impl Expected {
    /// What a policy says.
    pub fn of(spec: &EnterpriseContractPolicySpec) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let identity = spec.identity.clone().unwrap_or_default();
        Self {
            certificate_identity: text(&identity.subject),
            certificate_identity_regexp: text(&identity.subject_reg_exp),
            certificate_oidc_issuer: text(&identity.issuer),
            certificate_oidc_issuer_regexp: text(&identity.issuer_reg_exp),
            ignore_rekor: false,
            public_key: text(&spec.public_key),
            rekor_url: text(&spec.rekor_url),
        }
    }

    /// What flags say instead of the policy, as far as they say anything.
    pub(super) fn apply(&self, spec: &mut EnterpriseContractPolicySpec) {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        if let Some(key) = given(&self.public_key) {
            spec.public_key = Some(key);
        }
        if let Some(url) = given(&self.rekor_url) {
            spec.rekor_url = Some(url);
        }
        let fields = [
            &self.certificate_identity,
            &self.certificate_identity_regexp,
            &self.certificate_oidc_issuer,
            &self.certificate_oidc_issuer_regexp,
        ];
        if fields.iter().any(|field| !field.is_empty()) {
            // A pattern beside the policy's literal would make two conditions of one.
            let mut identity = spec.identity.take().unwrap_or_default();
            if !self.certificate_identity.is_empty() || !self.certificate_identity_regexp.is_empty() {
                identity.subject = given(&self.certificate_identity);
                identity.subject_reg_exp = given(&self.certificate_identity_regexp);
            }
            if !self.certificate_oidc_issuer.is_empty() || !self.certificate_oidc_issuer_regexp.is_empty() {
                identity.issuer = given(&self.certificate_oidc_issuer);
                identity.issuer_reg_exp = given(&self.certificate_oidc_issuer_regexp);
            }
            spec.identity = Some(identity);
        }
    }
}

/// What certificates and logs are checked by.
#[derive(Clone, Debug)]
pub struct Sigstore {
    pub outbound: outbound::Client,
    /// Folder that `ec sigstore initialize` fills (`TUF_ROOT`).
    pub tuf_root: Option<PathBuf>,
}

/// Who has to have signed, ready to be asked.
#[derive(Clone)]
pub struct Signers {
    pub trust: Trust,
    /// Which has to have every signature.
    pub log: Option<Arc<dyn TransparencyLog>>,
    /// The keys in PEM; empty if certificates count.
    pub pem: String,
    /// With the key itself.
    pub expected: Expected,
}

impl Signers {
    /// The signers that a policy names.
    pub async fn of(expected: &Expected, cluster: &Cluster, sigstore: &Sigstore) -> Result<Self, Error> {
        let mut expected = expected.clone();
        if !expected.public_key.is_empty() {
            expected.public_key = key_text(&expected.public_key, cluster).await?;
        }
        Self::with_key_text(expected, sigstore)
    }

    /// The same, of which the key is a text, and not the name of one.
    pub(crate) fn with_key_text(expected: Expected, sigstore: &Sigstore) -> Result<Self, Error> {
        let (trust, pem) = if expected.public_key.is_empty() {
            (keyless(&expected, sigstore)?, String::new())
        } else {
            let keys = KeySet::parse(&expected.public_key).map_err(|error| Error::Key {
                what: "of the policy".to_owned(),
                reason: error.to_string(),
            })?;
            let pem = keys.keys().iter().map(|trusted| trusted.key.to_pem()).collect::<String>();
            (Trust::Keys(keys), pem)
        };
        let log = log(&expected, sigstore)?;
        Ok(Self { trust, log, pem, expected })
    }
}

impl fmt::Debug for Signers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signers").field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// The key that is a text, or that a text names: a file, or a Secret.
async fn key_text(text: &str, cluster: &Cluster) -> Result<String, Error> {
    let wrong = |reason: String| Error::Key { what: text.to_owned(), reason };
    if text.contains("-----BEGIN") || text.trim_start().starts_with('{') {
        return Ok(text.to_owned());
    }
    if let Some(secret) = text.strip_prefix(KEY_IN_CLUSTER) {
        return Ok(cluster.secret(secret, &[KEY_SET_KEY, PUBLIC_KEY_KEY]).await?);
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(wrong(format!(
            "keys are not read of {scheme}://; give PEM, a file, or k8s://<namespace>/<secret>"
        )));
    }
    let found = tokio::fs::metadata(text).await.map_err(|error| wrong(format!("no such file: {error}")))?;
    if !found.is_file() || found.len() > LARGEST_KEY {
        return Err(wrong("it is no file with a key".to_owned()));
    }
    tokio::fs::read_to_string(text).await.map_err(|error| wrong(error.to_string()))
}

fn keyless(expected: &Expected, sigstore: &Sigstore) -> Result<Trust, Error> {
    let is_missing = |literal: &String, pattern: &String| literal.is_empty() && pattern.is_empty();
    let subject = is_missing(&expected.certificate_identity, &expected.certificate_identity_regexp);
    let issuer = is_missing(&expected.certificate_oidc_issuer, &expected.certificate_oidc_issuer_regexp);
    let named =
        [(subject, "identity.subject or .subjectRegExp"), (issuer, "identity.issuer or .issuerRegExp")];
    let missing: Vec<_> =
        named.into_iter().filter(|(is_missing, _)| *is_missing).map(|(_, name)| name).collect();
    if !missing.is_empty() {
        return Err(Error::NoSigner { missing });
    }
    let identity = Identity::new(
        &expected.certificate_identity,
        &expected.certificate_identity_regexp,
        &expected.certificate_oidc_issuer,
        &expected.certificate_oidc_issuer_regexp,
    );
    let identity = identity.map_err(|error| Error::Identity(error.to_string()))?;
    Ok(Trust::Identity { identity, roots: Arc::new(sigstore.roots("certificates are checked")?) })
}

/// The log that every signature has to be in, if the policy names one.
fn log(expected: &Expected, sigstore: &Sigstore) -> Result<Option<Arc<dyn TransparencyLog>>, Error> {
    if expected.ignore_rekor || expected.rekor_url.is_empty() {
        return Ok(None);
    }
    let url: outbound::Url = expected
        .rekor_url
        .parse()
        .map_err(|error| Error::Log(format!("{:?} is no URL: {error}", expected.rekor_url)))?;
    let roots = sigstore.roots("entries of the transparency log are checked")?;
    let client = rekor::Client::new(sigstore.outbound.clone(), url);
    Ok(Some(Arc::new(LogPolicy::new(&roots, Some(client)))))
}

impl Sigstore {
    fn roots(&self, why: &str) -> Result<Roots, Error> {
        let folder =
            self.tuf_root.as_deref().ok_or_else(|| Error::Roots { why: why.to_owned(), source: None })?;
        Roots::read(folder).map_err(|error| Error::Roots { why: why.to_owned(), source: Some(error) })
    }
}
