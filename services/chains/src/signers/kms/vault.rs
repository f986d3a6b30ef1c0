//! A key in the transit engine of HashiCorp Vault.

use std::collections::BTreeMap;
use std::time::Duration;

use attest::{Certificate, PublicKey, SignError, Signer};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fleet::{Secret, outbound};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderName, Method};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::KmsError;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// Where the engine is mounted.
const ENGINE: &str = "transit";
/// For the answer to each call. A Vault that is slower counts as away.
const TIMEOUT: Duration = Duration::from_secs(5);
/// `SubjectPublicKeyInfo` of an Ed25519 key, up to its 32 bytes (RFC 8410).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// How one logs in.
#[derive(Clone)]
pub(super) enum Login {
    Token(Secret<String>),
    TokenFile(String),
    /// A JSON Web Token in a file, for a role of the login method that is mounted there.
    Jwt {
        mount: String,
        role: String,
        file: String,
    },
}

/// One version of a key: another one after a rotation is another signer.
pub(super) struct Vault {
    outbound: outbound::Client,
    address: Url,
    key: String,
    version: u64,
    public: PublicKey,
    login: Login,
    /// Of the login, which may end.
    token: Mutex<Secret<String>>,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "type")]
    kind: String,
    latest_version: u64,
    keys: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Signed {
    signature: String,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
}

impl Vault {
    /// Logs in and reads the newest version of the key.
    pub(super) async fn connect(
        outbound: outbound::Client,
        address: Url,
        key: &str,
        login: Login,
    ) -> Result<Self, KmsError> {
        let service = Service { outbound: &outbound, address: &address };
        let token = service.log_in(&login).await?;
        let request = outbound::Request::get(service.at(&format!("{ENGINE}/keys/{key}"))?);
        let Answer { data } = service.call::<Answer<Key>>(request, Some(&token)).await?;
        let version = data.latest_version;
        let public = data.keys.get(&version.to_string()).and_then(|key| key["public_key"].as_str());
        let public = public.ok_or_else(|| {
            service.wrong(format!(
                "key {key:?} is of type {}, which has no public key: make an ecdsa-p256 one",
                data.kind
            ))
        })?;
        let unusable = |source| KmsError::Key { address: address.to_string(), key: key.to_owned(), source };
        let public = PublicKey::from_pem(&pem_of(&data.kind, public)).map_err(unusable)?;
        let (key, token) = (key.to_owned(), Mutex::new(token));
        Ok(Self { outbound, address, key, version, public, login, token })
    }

    async fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KmsError> {
        let service = Service { outbound: &self.outbound, address: &self.address };
        let url = service.at(&format!("{ENGINE}/sign/{}/sha2-256", self.key))?;
        // The version too: a key that is rotated in this moment must not sign under the name of the one before.
        let body = json!({
            "input": BASE64.encode(message),
            "key_version": self.version,
            "marshaling_algorithm": "asn1",
            "signature_algorithm": "pkcs1v15",
        });
        let request =
            outbound::Request::new(Method::POST, url).json(&body).map_err(|source| service.failed(source))?;
        let request = request.repeatable();
        let token = self.token.lock().clone();
        let answer = match service.call::<Answer<Signed>>(request.clone(), Some(&token)).await {
            // The login has ended, or the token was replaced.
            Err(KmsError::Call { source, .. }) if source.status() == Some(403) => {
                let token = service.log_in(&self.login).await?;
                *self.token.lock() = token.clone();
                service.call(request, Some(&token)).await?
            }
            other => other?,
        };
        let signature = answer.data.signature;
        let text = signature.strip_prefix(&format!("vault:v{}:", self.version));
        let bytes = text.and_then(|text| BASE64.decode(text).ok());
        let bytes =
            bytes.ok_or_else(|| service.wrong("its signature is not of the version that was asked for"))?;
        self.public
            .verify(message, &bytes)
            .map_err(|_| service.wrong("its signature is not by its public key"))?;
        Ok(bytes)
    }
}

impl Signer for Vault {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        async move {
            self.signature(message).await.map_err(|error| SignError {
                signer: format!("key {} of Vault", self.key),
                is_transient: error.is_transient(),
                reason: fleet::redact(&chain(&error)),
            })
        }
        .boxed()
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn certificate(&self) -> Option<&Certificate> {
        None
    }
}

/// Calls of one Vault.
struct Service<'a> {
    outbound: &'a outbound::Client,
    address: &'a Url,
}

impl Service<'_> {
    async fn log_in(&self, login: &Login) -> Result<Secret<String>, KmsError> {
        let (mount, role, file) = match login {
            Login::Token(token) => return Ok(token.clone()),
            Login::TokenFile(file) => return read(file).await,
            Login::Jwt { mount, role, file } => (mount, role, file),
        };
        let jwt = read(file).await?;
        let url = self.at(&format!("auth/{}/login", mount.trim_matches('/')))?;
        let body = json!({"role": role, "jwt": jwt.expose()});
        let request =
            outbound::Request::new(Method::POST, url).json(&body).map_err(|source| self.failed(source))?;
        // Not to where a redirect leads: the token is in the body.
        let answer: LoggedIn = self.call(request.redirects(0).repeatable(), None).await?;
        Ok(Secret::new(answer.auth.client_token))
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: outbound::Request,
        token: Option<&Secret<String>>,
    ) -> Result<T, KmsError> {
        let mut request = request.timeout(TIMEOUT);
        if let Some(token) = token {
            let credential = outbound::Credential::header(self.address, TOKEN, token);
            request = request.credential(&credential.map_err(|source| self.failed(source))?);
        }
        let answer = self.outbound.fetch(request).await.and_then(outbound::Response::success);
        answer.and_then(|answer| answer.json()).map_err(|source| self.failed(source))
    }

    fn at(&self, path: &str) -> Result<Url, KmsError> {
        let base = self.address.as_str().trim_end_matches('/');
        format!("{base}/v1/{path}").parse().map_err(|_| self.wrong("its address is no base of others"))
    }

    fn failed(&self, source: outbound::Error) -> KmsError {
        KmsError::Call { address: self.address.to_string(), source }
    }

    fn wrong(&self, reason: impl Into<String>) -> KmsError {
        KmsError::Answer { address: self.address.to_string(), reason: reason.into() }
    }
}

async fn read(file: &str) -> Result<Secret<String>, KmsError> {
    let read = tokio::fs::read_to_string(file).await;
    let text = read.map_err(|source| KmsError::Token { file: file.to_owned(), source })?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// Of Ed25519 keys Vault gives the 32 bytes alone, of the others PEM.
pub(super) fn pem_of(kind: &str, public: &str) -> String {
    if kind != "ed25519" {
        return public.to_owned();
    }
    let bare = BASE64.decode(public).unwrap_or_default();
    let der: Vec<u8> = ED25519.into_iter().chain(bare).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der))
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
