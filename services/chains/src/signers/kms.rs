//! Keys of key management services, by the reference `signers.kms.kmsref`.
//!
//! HashiCorp Vault's are used. Those of clouds (`gcpkms://`, `awskms://`, `azurekms://`) are a fault of the configuration: a run
//! that should be signed by one of them fails, with words.

mod vault;

use std::sync::Arc;
use std::time::Duration;

use attest::{KeyError, Signer};
use fleet::{Class, Classed as _, outbound};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::config::Kms;

use vault::{Login, Vault};

/// How long a key is used before it is asked for again, so that its rotation in the service is seen.
const KEEP: Duration = Duration::from_mins(5);

const VAULT: &str = "hashivault";
/// Services that the original knows, too.
const CLOUDS: [&str; 3] = ["gcpkms", "awskms", "azurekms"];

/// Why there is no key of a service.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum KmsError {
    #[error("signers.kms.kmsref {0:?} names no key: a reference is hashivault:// and the key's name")]
    Reference(String),
    #[error(
        "signers.kms.kmsref {reference:?}: keys of {service} are not supported; use hashivault:// or the signer x509"
    )]
    Unsupported { reference: String, service: &'static str },
    #[error("signers.kms.auth.address {0:?} is no https URL of a Vault")]
    Address(String),
    #[error("signers.kms.auth has no login: set token, token-path, or oidc.role with oidc.token-path")]
    NoLogin,
    #[error(
        "signers.kms.auth.spire.sock: logins by SPIRE are not supported; use oidc.role with a token in a file"
    )]
    Spire,
    #[error("{file} cannot be read; signers.kms.auth names it as the file with a token")]
    Token { file: String, source: std::io::Error },
    #[error("Vault {address}")]
    Call { address: String, source: outbound::Error },
    #[error("Vault {address}: {reason}")]
    Answer { address: String, reason: String },
    #[error("key {key:?} of Vault {address} cannot be used")]
    Key { address: String, key: String, source: KeyError },
}

impl KmsError {
    /// Whether the same may work in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Call { source, .. } if source.class() != Class::Wait)
    }
}

/// The services, and the key in use.
pub(super) struct KeyServices {
    outbound: outbound::Client,
    known: Mutex<Option<Known>>,
}

struct Known {
    settings: Kms,
    vault: Arc<Vault>,
    until: Instant,
}

impl KeyServices {
    pub(super) fn new(outbound: outbound::Client) -> Self {
        Self { outbound, known: Mutex::new(None) }
    }

    /// The key that the settings name. Other settings are another login.
    pub(super) async fn key(&self, settings: &Kms) -> Result<Arc<dyn Signer>, KmsError> {
        let mut known = self.known.lock().await;
        let now = Instant::now();
        if let Some(known) = known.as_ref().filter(|known| known.settings == *settings && now < known.until) {
            return Ok(Arc::clone(&known.vault) as Arc<dyn Signer>);
        }
        *known = None;
        let key = key_name(&settings.key)?;
        let address = settings.address.parse().ok().filter(|url: &url::Url| url.scheme() == "https");
        let address = address.ok_or_else(|| KmsError::Address(settings.address.clone()))?;
        let vault = Vault::connect(self.outbound.clone(), address, key, login(settings)?).await?;
        let vault = Arc::new(vault);
        tracing::info!(key = vault.public_key().key_id(), "Signing with this key of the Vault from now on");
        *known = Some(Known { settings: settings.clone(), vault: Arc::clone(&vault), until: now + KEEP });
        Ok(vault)
    }
}

/// The name of a key in Vault: letters and digits, and `-_.` within.
fn key_name(reference: &str) -> Result<&str, KmsError> {
    let bad = || KmsError::Reference(reference.to_owned());
    let (service, name) = reference.split_once("://").ok_or_else(bad)?;
    if let Some(service) = CLOUDS.into_iter().find(|cloud| *cloud == service) {
        return Err(KmsError::Unsupported { reference: reference.to_owned(), service });
    }
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = name.as_bytes();
    let is_name = bytes.iter().copied().all(is_inner) && is_outer(bytes.first()) && is_outer(bytes.last());
    if service == VAULT && is_name { Ok(name) } else { Err(bad()) }
}

fn login(settings: &Kms) -> Result<Login, KmsError> {
    let path = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    if let Some(token) = &settings.token {
        return Ok(Login::Token(token.clone()));
    }
    if let Some(file) = path(&settings.token_path) {
        return Ok(Login::TokenFile(file));
    }
    match (path(&settings.oidc_role), path(&settings.oidc_token_path)) {
        (Some(role), Some(file)) => Ok(Login::Jwt {
            mount: path(&settings.oidc_path).unwrap_or_else(|| "jwt".to_owned()),
            role,
            file,
        }),
        _ if !settings.spire_socket.is_empty() => Err(KmsError::Spire),
        _ => Err(KmsError::NoLogin),
    }
}

#[cfg(test)]
mod tests;
