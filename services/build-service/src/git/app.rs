//! The GitHub App: where it is installed, and tokens, each kept for a while.

use std::collections::HashMap;
use std::sync::Arc;

use build_service_api::ErrorId;
use fleet::outbound::{self, Url};
use fleet::{Clock, Secret};
use forge::{AppInfo, Error, Installation, Scope};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rand::seq::IndexedRandom as _;

use super::credential::AppKey;
use super::refused::failure;
use super::source::Source;
use crate::failure::Failure;

/// A token that ends sooner is not begun with.
pub(super) const FEW_CALLS: SignedDuration = SignedDuration::from_mins(5);

/// How long an installation is believed to be that of a repository, and an App to have its name.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Of each kind, what is kept at once, at most.
const MOST: usize = 4096;

/// Apps that are known at once. There is the platform's; tenants may have their own.
const APPS: usize = 16;

/// Installations of which one is taken, where any will do.
const ANY_OF: usize = 100;

/// How many of them are tried.
const TRIES: usize = 5;

/// What a run may do with its one repository, if the installation may: `workflows` are files that others' pushes may not touch.
const FOR_RUNS: [&str; 3] = ["contents", "pull_requests", "workflows"];

/// All Apps. A token is only ever given to who has the key by which it was made: ids are no secret.
#[derive(Clone)]
pub(super) struct Apps(Arc<Inner>);

struct Inner {
    outbound: outbound::Client,
    clock: Clock,
    known: Mutex<Vec<Known>>,
}

struct Known {
    key: AppKey,
    server: Url,
    app: Arc<App>,
}

impl Apps {
    pub(super) fn new(outbound: outbound::Client, clock: Clock) -> Self {
        Self(Arc::new(Inner { outbound, clock, known: Mutex::default() }))
    }

    pub(super) fn app(&self, key: AppKey, server: &Url) -> Result<Arc<App>, Failure> {
        let is_it =
            |known: &&Known| known.key.id == key.id && known.key.pem == key.pem && known.server == *server;
        if let Some(known) = self.0.known.lock().iter().find(is_it) {
            return Ok(Arc::clone(&known.app));
        }
        let app = Arc::new(App {
            keyed: key.app(self.0.clock.clone())?,
            server: server.clone(),
            outbound: self.0.outbound.clone(),
            clock: self.0.clock.clone(),
            info: tokio::sync::Mutex::default(),
            tokens: Mutex::default(),
            installations: Mutex::default(),
        });
        let mut known = self.0.known.lock();
        if known.len() >= APPS {
            known.remove(0);
        }
        known.push(Known { key, server: server.clone(), app: Arc::clone(&app) });
        Ok(app)
    }
}

/// One App at one server.
pub(super) struct App {
    keyed: forge::App,
    server: Url,
    outbound: outbound::Client,
    clock: Clock,
    info: tokio::sync::Mutex<Option<(AppInfo, Timestamp)>>,
    tokens: Mutex<HashMap<TokenKey, Slot>>,
    installations: Mutex<HashMap<String, (Installation, Timestamp)>>,
}

/// Of what a token is.
#[derive(Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    installation: u64,
    /// The one repository that it reaches; absent means all of the installation.
    repository: Option<String>,
}

/// Locked while a token is made, so that many who ask at once are answered by one call.
type Slot = Arc<tokio::sync::Mutex<Option<(Secret<String>, Timestamp)>>>;

impl App {
    /// Its name, read once in a while.
    pub(super) async fn info(&self) -> Result<AppInfo, Error> {
        let mut kept = self.info.lock().await;
        let now = self.clock.now();
        if let Some((info, _)) = kept.as_ref().filter(|(_, since)| *since + KEPT > now) {
            return Ok(info.clone());
        }
        let info = self.ask().await?;
        *kept = Some((info.clone(), now));
        Ok(info)
    }

    /// As [`info`](Self::info), of now: whether the forge takes its key.
    pub(super) async fn probe(&self) -> Result<AppInfo, Failure> {
        self.ask().await.map_err(|error| self.refused(&error))
    }

    async fn ask(&self) -> Result<AppInfo, Error> {
        Box::pin(self.keyed.info(&self.server, &self.outbound)).await
    }

    /// A token for a repository that it is installed in.
    pub(super) async fn token(&self, source: &Source) -> Result<Secret<String>, Failure> {
        let installation = self.installation_of(source).await?;
        let key = TokenKey { installation: installation.id, repository: None };
        let token = self.token_of(key, &Scope::default(), FEW_CALLS).await;
        token.map_err(|error| self.no_token(source, &error))
    }

    /// A token for that repository alone, which is good for `least` at least.
    pub(super) async fn run_token(
        &self,
        source: &Source,
        least: SignedDuration,
    ) -> Result<Secret<String>, Failure> {
        let Installation { id, permissions, .. } = self.installation_of(source).await?;
        let granted =
            FOR_RUNS.iter().filter(|name| permissions.get(**name).is_some_and(|level| level == "write"));
        let scope = Scope {
            names: vec![source.repository.name().to_owned()],
            permissions: granted.map(|name| ((*name).to_owned(), "write".to_owned())).collect(),
            ..Scope::default()
        };
        let key = TokenKey { installation: id, repository: Some(source.repository.to_string()) };
        self.token_of(key, &scope, least).await.map_err(|error| self.no_token(source, &error))
    }

    /// A token that can read what everybody can, and more if it is installed in the repository.
    pub(super) async fn reading_token(&self, source: &Source) -> Result<Secret<String>, Failure> {
        match self.token(source).await {
            Err(Failure::Permanent { id: ErrorId::GitHubAppNotInstalled, detail }) => {
                self.any_token(source, detail).await
            }
            token => token,
        }
    }

    /// Of any installation that is not suspended. `detail` says why there is none for the repository.
    async fn any_token(&self, source: &Source, detail: String) -> Result<Secret<String>, Failure> {
        let found = self.keyed.installations(&self.server, ANY_OF, &self.outbound).await;
        let mut found = found.map_err(|error| failure(source, true, &error, &self.clock))?;
        found.retain(|installation| !installation.is_suspended);
        let tried: Vec<u64> =
            found.choose_multiple(&mut rand::rng(), TRIES).map(|installation| installation.id).collect();
        for installation in tried {
            let key = TokenKey { installation, repository: None };
            match self.token_of(key, &Scope::default(), FEW_CALLS).await {
                Ok(token) => return Ok(token),
                // Suspended, or taken away, since it was listed.
                Err(Error::Forbidden { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(failure(source, true, &error, &self.clock)),
            }
        }
        Err(Failure::permanent(ErrorId::GitHubAppNotInstalled, detail))
    }

    async fn installation_of(&self, source: &Source) -> Result<Installation, Failure> {
        let (name, now) = (source.repository.to_string(), self.clock.now());
        let known = self.installations.lock().get(&name).cloned();
        if let Some((installation, _)) = known.filter(|(_, since)| *since + KEPT > now) {
            return Ok(installation);
        }
        let found = self.keyed.installation_of(&self.server, &source.repository, &self.outbound).await;
        let found = match found {
            Ok(found) if found.is_suspended => return Err(suspended(source)),
            Ok(found) => found,
            // GitHub says the same of an App that it does not know.
            Err(Error::NotFound { .. }) => {
                self.probe().await?;
                return Err(not_installed(source));
            }
            Err(Error::Unauthorized { .. }) => {
                return Err(self.probe().await.err().unwrap_or_else(|| stale(source)));
            }
            Err(error) => return Err(failure(source, true, &error, &self.clock)),
        };
        let mut installations = self.installations.lock();
        make_room(&mut installations, |(_, since)| *since + KEPT > now);
        installations.insert(name, (found.clone(), now));
        Ok(found)
    }

    /// A token, which may be one that was made before.
    async fn token_of(
        &self,
        key: TokenKey,
        scope: &Scope,
        least: SignedDuration,
    ) -> Result<Secret<String>, Error> {
        let installation = key.installation;
        let slot = {
            let mut tokens = self.tokens.lock();
            make_room(&mut tokens, |slot| Arc::strong_count(slot) > 1);
            Arc::clone(tokens.entry(key).or_default())
        };
        let mut kept = slot.lock().await;
        let now = self.clock.now();
        if let Some((token, _)) = kept.as_ref().filter(|(_, ends)| *ends >= now + least) {
            return Ok(token.clone());
        }
        let made = Box::pin(self.keyed.token(&self.server, installation, scope, &self.outbound)).await?;
        *kept = Some((made.token.clone(), made.expires_at));
        Ok(made.token)
    }

    /// Why there is no token for a repository in which it was thought to be installed.
    fn no_token(&self, source: &Source, error: &Error) -> Failure {
        self.installations.lock().remove(&source.repository.to_string());
        match error {
            Error::Forbidden { .. } => suspended(source),
            // Of the second a repository that was taken out of the installation.
            Error::NotFound { .. } | Error::Invalid { .. } => not_installed(source),
            Error::Unauthorized { .. } => self.refused(error),
            error => failure(source, true, error, &self.clock),
        }
    }

    /// Why the forge does not know it.
    fn refused(&self, error: &Error) -> Failure {
        let detail = format!("{}: {error}", self.server);
        match error {
            Error::NotFound { .. } => Failure::permanent(ErrorId::GitHubAppDoesNotExist, detail),
            Error::Unauthorized { .. } => Failure::permanent(ErrorId::GitHubAppPrivateKeyNotMatched, detail),
            error => Failure::transient(format!("{}: {error}", self.server)),
        }
    }
}

/// The forge refused the key a moment ago, and takes it now.
fn stale(source: &Source) -> Failure {
    Failure::transient(format!(
        "{}: the forge did not take the GitHub App's signature for once",
        source.name()
    ))
}

fn not_installed(source: &Source) -> Failure {
    let detail =
        format!("{}: install the GitHub App in it, or make a Secret with a token for it", source.name());
    Failure::permanent(ErrorId::GitHubAppNotInstalled, detail)
}

fn suspended(source: &Source) -> Failure {
    let detail = format!("{}: an owner of {} can turn it on again", source.name(), source.repository.owner());
    Failure::permanent(ErrorId::GitHubAppSuspended, detail)
}

/// First what is no longer good goes, and if that is not enough, all.
fn make_room<K, V>(map: &mut HashMap<K, V>, is_good: impl Fn(&V) -> bool) {
    if map.len() >= MOST {
        map.retain(|_, value| is_good(value));
    }
    if map.len() >= MOST {
        map.clear();
    }
}
