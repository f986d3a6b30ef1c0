//! Keyless signing: a key for a moment, and a certificate by Fulcio that says whose it was.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use fleet::{Class, Classed as _, Secret, outbound};
use futures::future::BoxFuture;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::certificate;
use crate::key::{KeyError, PrivateKey, PublicKey};
use crate::signer::{Certificate, SignError, Signer};

/// The authority, by its address.
#[derive(Clone)]
pub struct Client {
    outbound: outbound::Client,
    url: Url,
}

/// A key that a certificate vouches for, for some minutes.
pub struct Keyless {
    key: PrivateKey,
    certificate: Certificate,
}

/// Why there is no certificate. Never holds anything of the token.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    #[error("the identity token is no JSON Web Token with a subject: {0}")]
    Token(&'static str),
    #[error("a key for the moment cannot be made")]
    Key(#[from] KeyError),
    #[error("certificate authority {url}")]
    Call { url: String, source: outbound::Error },
    #[error("certificate authority {url}: {reason}")]
    Answer { url: String, reason: String },
}

impl Error {
    /// Whether the same may work in a moment.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Call { source, .. } => source.class() != Class::Wait,
            Self::Token(_) | Self::Key(_) | Self::Answer { .. } => false,
        }
    }
}

/// Claims that say who the certificate will be for.
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    signed_certificate_embedded_sct: Option<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    /// PEM, the leaf first.
    certificates: Vec<String>,
}

impl Client {
    pub fn new(outbound: outbound::Client, url: Url) -> Self {
        Self { outbound, url }
    }

    /// A signer for whom `token` is of: a JSON Web Token with the audience `sigstore`.
    pub async fn signer(&self, token: &Secret<String>) -> Result<Keyless, Error> {
        let subject = subject(token.expose())?;
        let key = PrivateKey::generate()?;
        let proof = key.sign(subject.as_bytes())?;
        let answer = self.request(token, &key, &proof).await?;
        let chain = answer
            .signed_certificate_embedded_sct
            .ok_or_else(|| self.wrong("its certificate does not embed a signed certificate timestamp"))?
            .chain
            .certificates;
        let (leaf, issuers) =
            chain.split_first().ok_or_else(|| self.wrong("it has answered with no certificate"))?;
        if certificate::key(leaf).as_ref() != Ok(key.public()) {
            return Err(self.wrong("its certificate is not for the key that was asked for"));
        }
        let certificate =
            Certificate { leaf: lines(leaf), chain: issuers.iter().map(|pem| lines(pem)).collect() };
        Ok(Keyless { key, certificate })
    }

    async fn request(&self, token: &Secret<String>, key: &PrivateKey, proof: &[u8]) -> Result<Answer, Error> {
        let base = self.url.as_str().trim_end_matches('/');
        let url = format!("{base}/api/v2/signingCert");
        let url = url.parse().map_err(|_| self.wrong("its address is no base of others"))?;
        // The token goes in the body: its server is the only one that is asked.
        let body = json!({
            "credentials": {"oidcIdentityToken": token.expose()},
            "publicKeyRequest": {
                "publicKey": {"algorithm": "ECDSA", "content": key.public().to_pem()},
                "proofOfPossession": BASE64.encode(proof),
            },
        });
        let failed = |source| Error::Call { url: self.url.to_string(), source };
        let request =
            outbound::Request::new(Method::POST, url).json(&body).map_err(failed)?.redirects(0).repeatable();
        let answer =
            self.outbound.fetch(request).await.and_then(outbound::Response::success).map_err(failed)?;
        answer.json().map_err(failed)
    }

    fn wrong(&self, reason: &str) -> Error {
        Error::Answer { url: self.url.to_string(), reason: reason.to_owned() }
    }
}

/// What has to be signed to show that one has the key: a verified e-mail address, or else the subject.
fn subject(token: &str) -> Result<String, Error> {
    let mut parts = token.trim().split('.');
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::Token("it has not three parts"));
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Error::Token("its claims are no base64"))?;
    let claims: Claims =
        serde_json::from_slice(&claims).map_err(|_| Error::Token("its claims are no JSON object"))?;
    // Some providers write the truth as a text.
    let is_verified = claims.email_verified == true || claims.email_verified == "true";
    match claims.email.filter(|email| is_verified && !email.is_empty()) {
        Some(email) => Ok(email),
        None if claims.sub.is_empty() => Err(Error::Token("it has no subject")),
        None => Ok(claims.sub),
    }
}

/// Ends with a line break, so that several can follow each other.
fn lines(pem: &str) -> String {
    format!("{}\n", pem.trim_end())
}

impl Signer for Keyless {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        Signer::sign(&self.key, message)
    }

    fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    fn certificate(&self) -> Option<&Certificate> {
        Some(&self.certificate)
    }
}
