//! Tokens for the registry: JWTs by ES256, with the certificate that the registry trusts in their header
//! (distribution token specification).

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use fleet::{Clock, Secret};
use image_controller_api::names::REGISTRY_TOKEN_ISSUER;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde::Serialize;
use serde_json::json;

/// What clients can rely on by the specification is a minute. A push of one large layer has to begin in time only.
const LIFE: SignedDuration = SignedDuration::from_mins(5);
/// For clocks that are behind ours.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// Why tokens cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("read {}, the key of registry tokens", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}: no PEM of a certificate", path.display())]
    Certificate { path: PathBuf },
    #[error("{}: no PEM of a P-256 key in PKCS#8", path.display())]
    Key { path: PathBuf },
    #[error("a registry token cannot be signed")]
    Sign,
}

/// What a token is good for, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Access {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    actions: Vec<&'static str>,
}

impl Access {
    /// `actions` as `pull`, `push`, `delete`.
    pub(crate) fn repository<'a>(name: &str, actions: impl IntoIterator<Item = &'a str>) -> Self {
        // The registry's words, and no others.
        let known = |action: &str| ["pull", "push", "delete"].into_iter().find(|known| *known == action);
        Self {
            kind: "repository",
            name: name.to_owned(),
            actions: actions.into_iter().filter_map(known).collect(),
        }
    }

    /// How many actions are granted.
    pub(crate) fn count(&self) -> usize {
        self.actions.len()
    }
}

/// A signed token.
pub(crate) struct Token {
    pub(crate) text: Secret<String>,
    pub(crate) issued: Timestamp,
    pub(crate) life: SignedDuration,
}

/// Signs for one registry.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    /// DER, base64.
    certificate: String,
    /// Name of the registry, as it is configured there (`auth.token.service`).
    audience: String,
    clock: Clock,
}

impl Signer {
    /// Reads `tls.crt` and `tls.key` of a folder.
    pub(crate) async fn load(folder: &Path, audience: &str) -> Result<Self, Error> {
        let read = async |name: &str| {
            let path = folder.join(name);
            match tokio::fs::read(&path).await {
                Ok(content) => Ok((path, content)),
                Err(source) => Err(Error::Read { path, source }),
            }
        };
        let (path, certificate) = read("tls.crt").await?;
        let certificate =
            CertificateDer::from_pem_slice(&certificate).map_err(|_| Error::Certificate { path })?;
        let (path, key) = read("tls.key").await?;
        let key = Secret::new(key);
        let bad_key = || Error::Key { path: path.clone() };
        let der = PrivatePkcs8KeyDer::from_pem_slice(key.expose()).map_err(|_| bad_key())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der())
            .map_err(|_| bad_key())?;
        Ok(Self {
            key,
            certificate: BASE64.encode(&certificate),
            audience: audience.to_owned(),
            clock: Clock::system(),
        })
    }

    /// `subject` is the full name of a robot, or empty.
    pub(crate) fn sign(&self, subject: &str, access: &[Access]) -> Result<Token, Error> {
        let now = self.clock.now();
        let id: [u8; 16] = rand::random();
        let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [self.certificate] });
        let claims = json!({
            "iss": REGISTRY_TOKEN_ISSUER,
            "sub": subject,
            "aud": self.audience,
            "exp": (now + LIFE).as_second(),
            "nbf": (now - LEEWAY).as_second(),
            "iat": now.as_second(),
            "jti": HEXLOWER.encode(&id),
            "access": access,
        });
        let part = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| Error::Sign)?;
        let text = Secret::new(format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref())));
        Ok(Token { text, issued: now, life: LIFE })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair as _, UnparsedPublicKey};
    use serde_json::Value;
    use testkit::pki::Authority;

    use super::*;

    #[tokio::test]
    async fn signs_what_the_specification_wants() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("tokens").unwrap();
        std::fs::write(folder.path().join("tls.crt"), authority.cert_pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), authority.key_pem()).unwrap();
        let signer = Signer::load(folder.path(), "images.test").await.unwrap();
        let token = signer.sign("org+a", &[Access::repository("org/a", ["pull", "root"])]).unwrap();

        let parts: Vec<&str> = token.text.expose().split('.').collect();
        let json = |part: &str| -> Value {
            serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
        };
        assert_eq!(json(parts[0])["alg"], "ES256");
        let claims = json(parts[1]);
        assert_eq!(claims["aud"], "images.test");
        assert_eq!(claims["sub"], "org+a");
        assert_eq!(claims["access"], json!([{ "type": "repository", "name": "org/a", "actions": ["pull"] }]));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer.key.public_key().as_ref().to_vec());
        let signature = BASE64URL_NOPAD.decode(parts[2].as_bytes()).unwrap();
        key.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
        // No token is like another, though all else is.
        let other = signer.sign("org+a", &[]).unwrap();
        assert_ne!(json(other.text.expose().split('.').nth(1).unwrap())["jti"], claims["jti"]);
    }

    #[tokio::test]
    async fn says_what_is_wrong_with_its_key_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = Signer::load(folder.path(), "x").await.err().unwrap().to_string();
        assert!(error.contains("tls.crt"), "{error}");
        let authority = Authority::new("tokens").unwrap();
        std::fs::write(folder.path().join("tls.crt"), authority.cert_pem()).unwrap();
        std::fs::write(folder.path().join("tls.key"), "hunter2").unwrap();
        let error = Signer::load(folder.path(), "x").await.err().unwrap().to_string();
        assert!(error.contains("tls.key") && !error.contains("hunter2"), "{error}");
    }
}
