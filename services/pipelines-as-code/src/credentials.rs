//! What deliveries are proven by, and what the forge is talked to with (spec section 4.2, points 2 to 5).
//!
//! ```text
//! delivery ─▶ verify ─┬─ GitHub App: Secret pipelines-as-code-secret ─┐
//!                     └─ Secrets of the Repository's git_provider ────┼─▶ connect ─▶ dyn Forge
//! run ──────▶ for_run ────────────────────────────────────────────────┘
//! ```
//! Secrets are read by name, never listed, and kept for half a minute. A token goes to one server and no other: that of
//! `git_provider.url`, or that of the App.

mod app;
mod choose;
mod proof;
mod secrets;
mod source;
#[cfg(test)]
pub(crate) mod tests;

use fleet::outbound::{self, Url};
use fleet::{Clock, ObjectKey, Secret};
use forge::{Access, Forge};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::{Client, ResourceExt as _};
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::annotations::written;
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::pipeline_run::GitProvider;
use pipelines_as_code_api::repository::SecretReference;
use pipelines_engine_api::PipelineRun;

use self::app::{Apps, FOR_RUNS, FOR_US};
use self::choose::{Chosen, Place};
use self::secrets::Secrets;
use self::source::Ranges;
use crate::event::Event;
use crate::process::GitAccess;
use crate::settings::{self, Settings};
use crate::stores::{BY_URL, Repositories, url_key};
use crate::watch::{Forges, NoForge};

pub(crate) use self::proof::Proof;
pub use self::proof::Unverified;
pub(crate) use self::source::of as source_of;

/// Why a forge cannot be talked to, or a value not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Secret {secret} is not there, or has nothing under the key {key:?}: it is needed for {what}")]
    Missing { secret: ObjectKey, key: String, what: &'static str },
    #[error("Secret {secret} cannot be read")]
    Unread { secret: ObjectKey, source: Box<kube::Error> },
    #[error("Secret {secret}: what is under the key {key:?} is no text")]
    NoText { secret: ObjectKey, key: String },
    #[error("Secret {secret}")]
    App { secret: ObjectKey, source: forge::InvalidApp },
    /// Something in the Repository is not as it should be.
    #[error("Repository {repository}: {text}")]
    Settings { repository: ObjectKey, text: String },
    /// A token shall not reach what the Repository names.
    #[error("{text}")]
    Scope { reason: EventReason, text: String },
    #[error(transparent)]
    Forge(#[from] forge::Error),
}

impl Error {
    fn unread(secret: &ObjectKey, source: kube::Error) -> Self {
        Self::Unread { secret: secret.clone(), source: Box::new(source) }
    }

    /// When it makes sense to try again, if the forge said so.
    pub(crate) fn retry_at(&self) -> Option<jiff::Timestamp> {
        match self {
            Self::Forge(error) => error.retry_at(),
            _ => None,
        }
    }

    /// Whether the same may work later, with nothing changed by anybody.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unread { source, .. } => !fleet::is_permanent(source),
            Self::Forge(error) => error.is_transient(),
            _ => false,
        }
    }

    /// That of the Event on the Repository.
    pub fn reason(&self) -> EventReason {
        match self {
            Self::Scope { reason, .. } => *reason,
            _ => EventReason::RepositorySecretValidation,
        }
    }
}

/// A forge that can be talked to.
pub(crate) struct Connection {
    pub(crate) forge: Box<dyn Forge>,
    /// What a run may have of it.
    pub(crate) git: Option<GitAccess>,
}

/// A repository, and where it is.
pub(crate) struct Location {
    /// Scheme, host and port.
    pub(crate) server: String,
    pub(crate) repository: forge::Repository,
}

/// What [`Credentials`] are made of.
pub struct Parts {
    pub client: Client,
    pub outbound: outbound::Client,
    pub repositories: Repositories,
    pub settings: settings::Current,
    /// Ours, with the App's key and the secrets of webhooks.
    pub secret: ObjectKey,
    /// Where the GitHub App is.
    pub app_server: Url,
    pub clock: Clock,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    secrets: Secrets,
    apps: Apps,
    ranges: Ranges,
    outbound: outbound::Client,
    repositories: Repositories,
    settings: settings::Current,
    secret: ObjectKey,
}

impl Credentials {
    pub fn new(parts: Parts) -> Self {
        Self::by(Secrets::new(parts.client.clone()), parts)
    }

    fn by(secrets: Secrets, parts: Parts) -> Self {
        let Parts { client: _, outbound, repositories, settings, secret, app_server, clock } = parts;
        Self {
            apps: Apps::new(secrets.clone(), secret.clone(), app_server, outbound.clone(), clock),
            ranges: Ranges::new(outbound.clone()),
            secrets,
            outbound,
            repositories,
            settings,
            secret,
        }
    }

    /// Talks to the forge of a verified event.
    pub(crate) async fn connect(
        &self,
        event: &Event,
        repository: &Repository,
        settings: &Settings,
    ) -> Result<Connection, Error> {
        match event.installation {
            Some(installation) => self.connect_as_app(event, repository, settings, installation).await,
            None => self.connect_by_token(event, repository).await,
        }
    }

    async fn connect_as_app(
        &self,
        event: &Event,
        repository: &Repository,
        settings: &Settings,
        installation: u64,
    ) -> Result<Connection, Error> {
        let server = self.server_of_app(repository, &event.url)?;
        self.apps.learn(&event.repository, installation);
        let namespace = repository.namespace().unwrap_or_default();
        let is_watched = |url: &str| {
            let found = self.repositories.store.indexed(BY_URL, &url_key(url));
            found.iter().any(|repository| repository.namespace().as_deref() == Some(&*namespace))
        };
        let named = (&event.repository, event.repository_id);
        let scope = choose::scope(repository, named, server, settings, is_watched)?;
        let token = self.apps.token(installation, &scope, FOR_RUNS).await?;
        let access = Access { token: Some(&token), is_app: true, ..Access::default() };
        let forge = forge::converse(forge::Provider::GitHub, server, access, &self.outbound)?;
        Ok(Connection { forge, git: Some(GitAccess { token, user: choose::USER.to_owned() }) })
    }

    /// The App's server, if that is where `url` leads.
    fn server_of_app(&self, repository: &Repository, url: &str) -> Result<&Url, Error> {
        let server = self.apps.server();
        let is_there = choose::web_url(url).is_some_and(|url| choose::origin(&url) == choose::origin(server));
        if is_there {
            return Ok(server);
        }
        Err(wrong(
            repository,
            format!(
                "{url} is not at {server}, where the GitHub App is; an administrator sets --github-app-server for GitHub Enterprise"
            ),
        ))
    }

    async fn connect_by_token(&self, event: &Event, repository: &Repository) -> Result<Connection, Error> {
        let ByToken { forge, server, token, user } = self.by_token(repository, event.provider).await?;
        // Git sends it where the repository is cloned from.
        let mut addresses = [&event.base.clone_url, &event.url].into_iter().filter(|url| !url.is_empty());
        let is_for_git = addresses
            .all(|url| choose::web_url(url).is_some_and(|url| choose::host(&url) == choose::host(&server)));
        let user = user.unwrap_or_else(|| choose::USER.to_owned());
        Ok(Connection { forge, git: is_for_git.then_some(GitAccess { token, user }) })
    }

    async fn by_token(&self, repository: &Repository, provider: GitProvider) -> Result<ByToken, Error> {
        let chosen = choose::chosen(repository).ok_or_else(|| {
            wrong(
                repository,
                "spec.git_provider is missing: without a GitHub App it says how the forge is reached",
            )
        })?;
        if let Some(named) = chosen.provider().filter(|named| !choose::is_same(*named, provider)) {
            let (named, told) = (<&str>::from(named), <&str>::from(provider));
            return Err(wrong(
                repository,
                format!("spec.git_provider.type is {named}, and the event is of {told}"),
            ));
        }
        let place = chosen.token().ok_or_else(|| {
            wrong(repository, "spec.git_provider.secret is missing: it names the Secret with a token")
        })?;
        let server = chosen.server(provider, &url_of(repository)?).map_err(|text| wrong(repository, text))?;
        let token = self.text(&place, "talking to the forge (spec.git_provider.secret)").await?;
        let access = Access { token: Some(&token), user: chosen.user(), is_app: false };
        let forge = forge::converse(api_of(provider), &server, access, &self.outbound)?;
        let user = chosen.user().map(str::to_owned);
        Ok(ByToken { forge, server, token, user })
    }

    /// Talks to the forge of a run. Which repository that is says the Repository: what a run says of itself anybody in its namespace
    /// may write, and counts only for by which of the Repository's ways the forge is reached.
    async fn forge_for_run(
        &self,
        run: &PipelineRun,
        repository: &Repository,
    ) -> Result<Box<dyn Forge>, Error> {
        let provider = written::GIT_PROVIDER.of(&run.metadata.annotations).and_then(|text| text.parse().ok());
        let provider = provider.ok_or_else(|| {
            wrong(repository, format!("run {}: its annotation git-provider names no forge", run.name_any()))
        })?;
        let is_of_app = written::INSTALLATION_ID.of(&run.metadata.annotations).is_some();
        if !(is_of_app && choose::is_same(provider, GitProvider::GitHub)) {
            return Ok(self.by_token(repository, provider).await?.forge);
        }
        let server = self.server_of_app(repository, url_of(repository)?.as_str())?;
        let named = Self::place_of(repository)?.repository;
        let installation = self.apps.installation_of(&named).await?;
        let scope = forge::Scope { names: vec![named.name().to_owned()], ..forge::Scope::default() };
        let token = self.apps.token(installation, &scope, FOR_US).await?;
        let access = Access { token: Some(&token), is_app: true, ..Access::default() };
        Ok(forge::converse(forge::Provider::GitHub, server, access, &self.outbound)?)
    }

    /// Where a Repository's repository is.
    pub(crate) fn place_of(repository: &Repository) -> Result<Location, Error> {
        let url = url_of(repository)?;
        let named = choose::repository_of(&url)
            .ok_or_else(|| wrong(repository, format!("spec.url {url} names no repository of a forge")))?;
        let server = choose::origin(&url).as_str().trim_end_matches('/').to_owned();
        Ok(Location { server, repository: named })
    }

    /// The installation of the GitHub App that a Repository is in.
    pub(crate) async fn installation_of(&self, repository: &Repository) -> Result<u64, Error> {
        self.server_of_app(repository, url_of(repository)?.as_str())?;
        self.apps.installation_of(&Self::place_of(repository)?.repository).await
    }

    /// What a Repository's forge is, where it says so.
    pub(crate) fn provider_of(repository: &Repository) -> Option<GitProvider> {
        choose::chosen(repository).as_ref().and_then(Chosen::provider)
    }

    /// The value that a Repository refers to; `None` if it is not there.
    pub async fn secret_value(
        &self,
        namespace: &str,
        reference: &SecretReference,
        default_key: &str,
    ) -> Result<Option<String>, Error> {
        let place = Place::new(namespace, reference, default_key);
        let first = self.all(&place).await?.into_iter().next();
        first.map(|value| text_of(&place, &value)).transpose()
    }

    /// As [`secret_value`](Self::secret_value), the value before the last rotation too.
    pub(crate) async fn secret_values(
        &self,
        namespace: &str,
        reference: &SecretReference,
        default_key: &str,
    ) -> Result<Vec<Secret<Vec<u8>>>, Error> {
        self.all(&Place::new(namespace, reference, default_key)).await
    }

    /// What was known of this Repository's credentials does not work, maybe.
    pub(crate) async fn forget(&self, repository: &Repository) {
        if let Some(place) = choose::chosen(repository).and_then(|chosen| chosen.token()) {
            self.secrets.refused(&place.secret).await;
        }
        if let Some(named) = url_of(repository).ok().and_then(|url| choose::repository_of(&url)) {
            self.apps.forget(&named);
        }
    }

    async fn all(&self, place: &Place) -> Result<Vec<Secret<Vec<u8>>>, Error> {
        let values = self.secrets.values(&place.secret, &place.key).await;
        let values = values.map_err(|source| Error::unread(&place.secret, source))?;
        Ok(values.map(|values| values.all).unwrap_or_default())
    }

    async fn text(&self, place: &Place, what: &'static str) -> Result<Secret<String>, Error> {
        let first = self.all(place).await?.into_iter().next();
        let Place { secret, key } = place;
        let first = first.ok_or_else(|| Error::Missing { secret: secret.clone(), key: key.clone(), what })?;
        text_of(place, &first).map(Secret::new)
    }
}

impl Forges for Credentials {
    fn for_run<'a>(
        &'a self,
        run: &'a PipelineRun,
        repository: &'a Repository,
    ) -> BoxFuture<'a, Result<Box<dyn Forge>, NoForge>> {
        async move {
            self.forge_for_run(run, repository).await.map_err(|error| NoForge {
                text: fleet::controller::chain(&error),
                is_transient: error.is_transient(),
            })
        }
        .boxed()
    }
}

/// A forge that is talked to by somebody's token.
struct ByToken {
    forge: Box<dyn Forge>,
    server: Url,
    token: Secret<String>,
    user: Option<String>,
}

fn text_of(place: &Place, value: &Secret<Vec<u8>>) -> Result<String, Error> {
    let Place { secret, key } = place;
    String::from_utf8(value.expose().clone())
        .map_err(|_| Error::NoText { secret: secret.clone(), key: key.clone() })
}

fn wrong(repository: &Repository, text: impl Into<String>) -> Error {
    Error::Settings { repository: ObjectKey::of(repository), text: text.into() }
}

fn url_of(repository: &Repository) -> Result<Url, Error> {
    let url = repository.spec.spec.url.as_deref().unwrap_or_default();
    choose::web_url(url).ok_or_else(|| wrong(repository, format!("spec.url {url:?} is no address")))
}

fn api_of(provider: GitProvider) -> forge::Provider {
    match provider {
        GitProvider::GitHub | GitProvider::GitHubEnterprise => forge::Provider::GitHub,
        GitProvider::GitLab => forge::Provider::GitLab,
        GitProvider::Gitea => forge::Provider::Gitea,
        GitProvider::BitbucketCloud => forge::Provider::BitbucketCloud,
        GitProvider::BitbucketServer => forge::Provider::BitbucketServer,
    }
}
