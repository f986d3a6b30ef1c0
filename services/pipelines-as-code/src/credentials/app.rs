//! The GitHub App: its key, which installation a repository is in, and tokens (spec section 4.2, point 5).

use std::collections::HashMap;
use std::sync::Arc;

use fleet::outbound::{self, Url};
use fleet::{Clock, ObjectKey, Secret};
use forge::Repository;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use pipelines_as_code_api::names::secret_keys;

use super::Error;
use super::secrets::{Secrets, Values};

/// A run may work with what is left of its token: few do longer than three quarters of an hour.
pub(super) const FOR_RUNS: SignedDuration = SignedDuration::from_mins(45);

/// For a few calls.
pub(super) const FOR_US: SignedDuration = SignedDuration::from_mins(5);

/// How long an installation is believed to be that of a repository.
const INSTALLATION_KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Tokens, and installations, that are kept at once, at most.
const MOST: usize = 1024;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Apps(Arc<Inner>);

struct Inner {
    secrets: Secrets,
    /// With the App's id and key.
    secret: ObjectKey,
    /// The one server that the App is at, and that hears of its key's signatures.
    server: Url,
    outbound: outbound::Client,
    clock: Clock,
    app: Mutex<Option<Known>>,
    tokens: Mutex<HashMap<TokenKey, (Secret<String>, Timestamp)>>,
    installations: Mutex<HashMap<String, (u64, Timestamp)>>,
}

/// The App of a key, which takes a while to read.
struct Known {
    id: Secret<Vec<u8>>,
    key: Secret<Vec<u8>>,
    app: Arc<forge::App>,
}

#[derive(PartialEq, Eq, Hash)]
struct TokenKey {
    installation: u64,
    ids: Vec<u64>,
    names: Vec<String>,
}

impl Apps {
    pub(super) fn new(
        secrets: Secrets,
        secret: ObjectKey,
        server: Url,
        outbound: outbound::Client,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inner {
            secrets,
            secret,
            server,
            outbound,
            clock,
            app: Mutex::default(),
            tokens: Mutex::default(),
            installations: Mutex::default(),
        }))
    }

    pub(super) fn server(&self) -> &Url {
        &self.0.server
    }

    /// A token that is good for at least `least`.
    pub(super) async fn token(
        &self,
        installation: u64,
        scope: &forge::Scope,
        least: SignedDuration,
    ) -> Result<Secret<String>, Error> {
        let key = TokenKey { installation, ids: scope.ids.clone(), names: scope.names.clone() };
        let now = self.0.clock.now();
        if let Some((token, _)) = self.0.tokens.lock().get(&key).filter(|(_, until)| *until >= now + least) {
            return Ok(token.clone());
        }
        let app = self.app().await?;
        let made = Box::pin(app.token(&self.0.server, installation, scope, &self.0.outbound)).await?;
        let mut tokens = self.0.tokens.lock();
        if tokens.len() >= MOST {
            tokens.retain(|_, (_, until)| *until >= now + FOR_US);
        }
        if tokens.len() < MOST {
            tokens.insert(key, (made.token.clone(), made.expires_at));
        }
        Ok(made.token)
    }

    /// The installation that a repository is in.
    pub(super) async fn installation_of(&self, repository: &Repository) -> Result<u64, Error> {
        let now = self.0.clock.now();
        let name = repository.to_string();
        let known = self.0.installations.lock().get(&name).copied();
        if let Some((installation, _)) = known.filter(|(_, since)| *since + INSTALLATION_KEPT > now) {
            return Ok(installation);
        }
        let app = self.app().await?;
        let found = Box::pin(app.installation_of(&self.0.server, repository, &self.0.outbound)).await?.id;
        self.learn(repository, found);
        Ok(found)
    }

    /// A verified event tells the installation of its repository.
    pub(super) fn learn(&self, repository: &Repository, installation: u64) {
        let now = self.0.clock.now();
        let mut installations = self.0.installations.lock();
        if installations.len() >= MOST {
            installations.retain(|_, (_, since)| *since + INSTALLATION_KEPT > now);
        }
        if installations.len() < MOST {
            installations.insert(repository.to_string(), (installation, now));
        }
    }

    /// Tokens of this repository do not work any more.
    pub(super) fn forget(&self, repository: &Repository) {
        let known = self.0.installations.lock().remove(&repository.to_string());
        if let Some((installation, _)) = known {
            self.0.tokens.lock().retain(|key, _| key.installation != installation);
        }
    }

    async fn app(&self) -> Result<Arc<forge::App>, Error> {
        let id = self.first(secret_keys::GITHUB_APP_ID).await?;
        let key = self.first(secret_keys::GITHUB_PRIVATE_KEY).await?;
        if let Some(known) = self.0.app.lock().as_ref().filter(|known| known.id == id && known.key == key) {
            return Ok(Arc::clone(&known.app));
        }
        let text = String::from_utf8_lossy(id.expose()).into_owned();
        let app = forge::App::new(&text, &key, self.0.clock.clone())
            .map_err(|source| Error::App { secret: self.0.secret.clone(), source })?;
        let app = Arc::new(app);
        *self.0.app.lock() = Some(Known { id, key, app: Arc::clone(&app) });
        Ok(app)
    }

    async fn first(&self, key: &'static str) -> Result<Secret<Vec<u8>>, Error> {
        let Inner { secrets, secret, .. } = &*self.0;
        let values = secrets.values(secret, key).await.map_err(|source| Error::unread(secret, source))?;
        let first = values.and_then(|Values { all, .. }| all.into_iter().next());
        first.ok_or_else(|| Error::Missing {
            secret: secret.clone(),
            key: key.to_owned(),
            what: "the GitHub App that the event comes from",
        })
    }
}
