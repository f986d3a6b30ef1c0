//! The GitHub App: what it is, and the tokens that it makes.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use fleet::outbound::{self, Credential, Url};
use fleet::{Clock, Secret};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::api_of;
use crate::contents::Repository;
use crate::error::Error;
use crate::http_api::Api;

/// How long a JSON Web Token of ours is good for. GitHub takes ten minutes at most.
const JWT_LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// GitHub's clock may be behind ours.
const JWT_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// A GitHub App, with its key.
pub struct App {
    id: u64,
    key: RsaKeyPair,
    clock: Clock,
}

/// Why there is no App.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApp {
    #[error("the id of a GitHub App is a decimal number")]
    Id,
    #[error("the key of a GitHub App is an RSA key in PEM: BEGIN RSA PRIVATE KEY or BEGIN PRIVATE KEY")]
    Key,
}

/// What people know an App by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AppInfo {
    pub id: u64,
    /// Name in addresses; `<slug>[bot]` is who its commits are by.
    pub slug: String,
    pub name: String,
}

/// An App in an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    pub id: u64,
    /// Whether somebody has turned it off: it gets no tokens.
    pub is_suspended: bool,
    /// What it may do there: see [`Scope::permissions`].
    pub permissions: BTreeMap<String, String>,
}

/// What an installation's token may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Numbers of repositories. With none of these and no names: all of the installation.
    pub ids: Vec<u64>,
    /// Their names, without the owner.
    pub names: Vec<String>,
    /// What may be done there, by GitHub's names: `contents`; `read` or `write`. With none: all that the installation may.
    pub permissions: BTreeMap<String, String>,
}

/// A token of an installation: good for an hour.
#[derive(Debug)]
pub struct InstallationToken {
    pub token: Secret<String>,
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct Wanted<'a> {
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    repository_ids: &'a [u64],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    repositories: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    permissions: &'a BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Made {
    token: String,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct FoundInstallation {
    id: u64,
    #[serde(default)]
    suspended_at: Option<Timestamp>,
    #[serde(default)]
    permissions: BTreeMap<String, String>,
}

impl From<FoundInstallation> for Installation {
    fn from(found: FoundInstallation) -> Self {
        let is_suspended = found.suspended_at.is_some();
        Self { id: found.id, is_suspended, permissions: found.permissions }
    }
}

impl App {
    /// `id` in decimal digits, `key` in PEM (PKCS#1 or PKCS#8).
    pub fn new(id: &str, key: &Secret<Vec<u8>>, clock: Clock) -> Result<Self, InvalidApp> {
        let id = id.trim().parse().map_err(|_| InvalidApp::Id)?;
        let key = rsa_key(key.expose()).ok_or(InvalidApp::Key)?;
        Ok(Self { id, key, clock })
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// What the forge knows of it. [`Error::NotFound`] if there is no App of this id, [`Error::Unauthorized`] if the key is not
    /// its.
    pub async fn info(&self, server: &Url, outbound: &outbound::Client) -> Result<AppInfo, Error> {
        let what = format!("GitHub App {}", self.id);
        self.api(server, outbound)?.read(&what, &["app"], &[]).await
    }

    /// Where it is installed; the first `most`.
    pub async fn installations(
        &self,
        server: &Url,
        most: usize,
        outbound: &outbound::Client,
    ) -> Result<Vec<Installation>, Error> {
        let what = format!("installations of the GitHub App {}", self.id);
        let found: Vec<FoundInstallation> =
            self.api(server, outbound)?.list(&what, &["app", "installations"], &[], most).await?;
        Ok(found.into_iter().map(Into::into).collect())
    }

    /// The installation that a repository is in. [`Error::NotFound`] if it is in none, or there is no such App.
    pub async fn installation_of(
        &self,
        server: &Url,
        repository: &Repository,
        outbound: &outbound::Client,
    ) -> Result<Installation, Error> {
        let what = format!("installation of the GitHub App {} for {repository}", self.id);
        let segments = ["repos", repository.owner(), repository.name(), "installation"];
        let found: FoundInstallation = self.api(server, outbound)?.read(&what, &segments, &[]).await?;
        Ok(found.into())
    }

    /// Has a token made that reaches what `scope` says, and no more than the installation does.
    pub async fn token(
        &self,
        server: &Url,
        installation: u64,
        scope: &Scope,
        outbound: &outbound::Client,
    ) -> Result<InstallationToken, Error> {
        let what = format!("token of installation {installation} of the GitHub App {}", self.id);
        let number = installation.to_string();
        let segments = ["app", "installations", &number, "access_tokens"];
        let Scope { ids, names, permissions } = scope;
        let wanted = Wanted { repository_ids: ids, repositories: names, permissions };
        let api = self.api(server, outbound)?;
        let made: Made = api.write(Method::POST, &what, &segments, &wanted).await?;
        Ok(InstallationToken { token: Secret::new(made.token), expires_at: made.expires_at })
    }

    fn api(&self, server: &Url, outbound: &outbound::Client) -> Result<Api, Error> {
        let jwt = self.jwt(self.clock.now())?;
        api_of(server, outbound, |base| Some(Credential::bearer(base, &jwt)))
    }

    /// RFC 7519, by RS256.
    fn jwt(&self, now: Timestamp) -> Result<Secret<String>, Error> {
        let claims = serde_json::json!({
            "iss": self.id.to_string(),
            "iat": (now - JWT_SKEW).as_second(),
            "exp": (now + JWT_LIFETIME).as_second(),
        });
        let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
        let header = encode(br#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", encode(claims.to_string().as_bytes()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(
            |_| Error::Invalid {
                what: format!("GitHub App {}", self.id),
                reason: "its key signs nothing".to_owned(),
            },
        )?;
        Ok(Secret::new(format!("{signed}.{}", encode(&signature))))
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

/// GitHub hands out keys as PKCS#1; what others made of them is PKCS#8.
fn rsa_key(pem: &[u8]) -> Option<RsaKeyPair> {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;

    match PrivateKeyDer::from_pem_slice(pem).ok()? {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        _ => None,
    }
}
