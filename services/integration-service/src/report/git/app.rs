//! The GitHub App: its tokens, kept until they end.

use std::collections::HashMap;
use std::sync::Arc;

use fleet::outbound::{self, Url};
use fleet::{Clock, Fleet, ObjectKey, Secret};
use forge::{Repository, Scope};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use parking_lot::Mutex;

use super::{Error, read};
use crate::metrics::Metrics;
use crate::report::Options;

/// A token that ends sooner is not begun with.
const FEW_CALLS: SignedDuration = SignedDuration::from_mins(5);

/// Tokens that are kept at once, at most.
const MOST: usize = 4096;

/// What a token may do: report, and see whether a pull request is open.
const PERMISSIONS: [(&str, &str); 2] = [("checks", "write"), ("pull_requests", "read")];

/// Cheap to clone.
#[derive(Clone)]
pub(in crate::report) struct Apps(Arc<Inner>);

struct Inner {
    client: Client,
    outbound: outbound::Client,
    /// The one server that the App is at, and that hears of its key's signatures.
    server: Url,
    /// With the App's id and key, under these keys.
    secret: ObjectKey,
    id_key: String,
    private_key_key: String,
    clock: Clock,
    metrics: Metrics,
    tokens: Mutex<HashMap<Key, Slot>>,
}

/// Of what a token is: an installation, and the one repository in it that it reaches.
type Key = (u64, String);

/// Locked while a token is made, so that many who ask at once are answered by one call.
type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

struct Kept {
    token: Secret<String>,
    app: u64,
    ends: Timestamp,
}

/// A token for reports to one repository.
pub(super) struct Token {
    pub(super) value: Secret<String>,
    /// Number of the App.
    pub(super) app: u64,
    /// Whether it was made for an earlier report.
    pub(super) is_kept: bool,
}

impl Apps {
    pub(in crate::report) fn new(
        fleet: &Fleet,
        outbound: &outbound::Client,
        options: &Options,
        metrics: &Metrics,
    ) -> Self {
        let namespace = options.pac_secret_namespace.as_deref().unwrap_or(fleet.namespace());
        Self(Arc::new(Inner {
            client: fleet.client().clone(),
            outbound: outbound.clone(),
            server: options.github_app_server.clone(),
            secret: ObjectKey::new(namespace, &options.pac_secret),
            id_key: options.pac_secret_app_id_key.clone(),
            private_key_key: options.pac_secret_private_key_key.clone(),
            clock: fleet.clock().clone(),
            metrics: metrics.clone(),
            tokens: Mutex::default(),
        }))
    }

    pub(super) fn server(&self) -> &Url {
        &self.0.server
    }

    pub(super) async fn token(&self, installation: u64, repository: &Repository) -> Result<Token, Error> {
        let slot = self.slot((installation, repository.to_string()));
        let mut kept = slot.lock().await;
        let now = self.0.clock.now();
        if let Some(Kept { token, app, .. }) = kept.as_ref().filter(|kept| kept.ends >= now + FEW_CALLS) {
            return Ok(Token { value: token.clone(), app: *app, is_kept: true });
        }
        let app = self.app().await?;
        let scope = Scope {
            names: vec![repository.name().to_owned()],
            permissions: PERMISSIONS.map(|(name, level)| (name.to_owned(), level.to_owned())).into(),
            ..Scope::default()
        };
        let made = Box::pin(app.token(&self.0.server, installation, &scope, &self.0.outbound)).await;
        self.0.metrics.set_app_available(made.is_ok());
        let made = made?;
        *kept = Some(Kept { token: made.token.clone(), app: app.id(), ends: made.expires_at });
        Ok(Token { value: made.token, app: app.id(), is_kept: false })
    }

    pub(super) fn forget(&self, installation: u64, repository: &Repository) {
        self.0.tokens.lock().remove(&(installation, repository.to_string()));
    }

    fn slot(&self, key: Key) -> Slot {
        let mut tokens = self.0.tokens.lock();
        if tokens.len() >= MOST && !tokens.contains_key(&key) {
            let now = self.0.clock.now();
            let is_good = |slot: &Slot| {
                slot.try_lock().map_or(true, |kept| kept.as_ref().is_some_and(|kept| kept.ends > now))
            };
            tokens.retain(|_, slot| is_good(slot));
            if tokens.len() >= MOST {
                tokens.clear();
            }
        }
        Arc::clone(tokens.entry(key).or_default())
    }

    /// Read once in an hour for each repository, so a key that was changed is used from then on.
    async fn app(&self) -> Result<forge::App, Error> {
        let Inner { client, secret, id_key, private_key_key, clock, .. } = &*self.0;
        let id = read(client, secret.clone(), id_key).await?;
        let key = Secret::new(read(client, secret.clone(), private_key_key).await?.into_bytes());
        forge::App::new(&id, &key, clock.clone())
            .map_err(|source| Error::InvalidApp { secret: secret.clone(), source })
    }
}
