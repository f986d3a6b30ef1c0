//! With what a repository is reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use build_service_api::events::EventReason;
use build_service_api::{ErrorId, labels};
use fleet::outbound::{self, Url};
use fleet::{Clock, ObjectKey, Secret, patience};
use forge::{AppInfo, Changes, Provider};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;

use super::app::{App, Apps};
use super::credential::{self, Credential};
use super::refused::{failure, no_branch};
use super::secret::best;
use super::source::Source;
use super::turns::{Turn, Turns};
use crate::failure::Failure;

const BASIC_AUTH: &str = "kubernetes.io/basic-auth";
const SSH_AUTH: &str = "kubernetes.io/ssh-auth";

/// Characters of a label's value. A host with a longer name has no Secrets.
const LONGEST_LABEL: usize = 63;

/// A repository that can be changed.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) mode: Mode,
    pub(crate) changes: Arc<dyn Changes>,
    clock: Clock,
    /// Where branches were: one piece of work sees a branch at one commit.
    heads: Arc<Mutex<BTreeMap<String, forge::Commit>>>,
    /// The forge serves a bounded number of us at once.
    _turn: Turn,
}

/// By what right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// That of the GitHub App, whose events need no webhook. Its name may be unknown for a while.
    App(Option<AppInfo>),
    /// That of a token.
    Token(TokenSecret),
}

/// The Secret of the Component's namespace with the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSecret {
    pub(crate) name: String,
}

/// What a run works with.
#[derive(Clone, Debug)]
pub(crate) struct RunToken {
    pub(crate) token: Secret<String>,
    /// Whose it is, where the Secret says so.
    pub(crate) user: Option<String>,
    /// The App that it is of.
    pub(crate) app: Option<AppInfo>,
}

/// Why a repository cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoAccess {
    pub(crate) failure: Failure,
    /// What to tell in an Event.
    pub(crate) notice: Option<Notice>,
}

/// A warning to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) reason: EventReason,
    /// What it is about. Absent means the Component.
    pub(crate) secret: Option<ObjectKey>,
    pub(crate) text: String,
}

impl From<Failure> for NoAccess {
    fn from(failure: Failure) -> Self {
        Self { failure, notice: None }
    }
}

impl From<NoAccess> for Failure {
    fn from(none: NoAccess) -> Self {
        none.failure
    }
}

impl Access {
    pub(crate) fn is_app(&self) -> bool {
        matches!(self.mode, Mode::App(_))
    }

    /// What an answer of the forge means.
    pub(crate) fn refused(&self, source: &Source, error: &forge::Error) -> Failure {
        failure(source, self.is_app(), error, &self.clock)
    }

    /// The branch that is built: what the Component names, else the default branch.
    pub(crate) async fn branch(&self, source: &Source) -> Result<String, Failure> {
        if let Some(revision) = &source.revision {
            return Ok(revision.clone());
        }
        let about = self.changes.about(&source.repository).await;
        let about = about.map_err(|error| self.refused(source, &error))?;
        if about.default_branch.is_empty() {
            return Err(no_branch(source, "(default)"));
        }
        Ok(about.default_branch)
    }

    /// The commit that a branch, which has to be there, was at when it was first asked for.
    pub(crate) async fn head(&self, source: &Source, branch: &str) -> Result<forge::Commit, Failure> {
        if let Some(known) = self.heads.lock().get(branch) {
            return Ok(known.clone());
        }
        let head = self.changes.branch_head(&source.repository, branch).await;
        let head = head.map_err(|error| self.refused(source, &error))?;
        let head = head.ok_or_else(|| no_branch(source, branch))?;
        self.heads.lock().insert(branch.to_owned(), head.clone());
        Ok(head)
    }
}

/// What [`Gits`] is made of.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) outbound: outbound::Client,
    /// With the key of the GitHub App.
    pub(crate) secret: ObjectKey,
    /// Where the GitHub App is, and no other server hears of it.
    pub(crate) app_server: Url,
    pub(crate) clock: Clock,
}

/// Finds the credentials for repositories. Cheap to clone; one per process, so that what is kept is shared.
#[derive(Clone)]
pub(crate) struct Gits {
    client: Client,
    outbound: outbound::Client,
    secret: ObjectKey,
    app_server: Url,
    clock: Clock,
    apps: Apps,
    turns: Turns,
}

/// What was found for a repository.
enum Found {
    App(Arc<App>),
    Token(Token),
}

struct Token {
    secret: TokenSecret,
    value: Secret<String>,
    user: Option<String>,
}

impl Gits {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { client, outbound, secret, app_server, clock } = parts;
        let apps = Apps::new(outbound.clone(), clock.clone());
        Self { client, outbound, secret, app_server, clock, apps, turns: Turns::default() }
    }

    /// To change a repository: of the namespace's Secrets for its host the one that fits best, else, at GitHub, the App.
    pub(crate) async fn access(&self, namespace: &str, source: &Source) -> Result<Access, NoAccess> {
        let turn = self.turns.take(&source.host).await?;
        match self.find(namespace, source).await? {
            Found::App(app) => {
                let token = app.token(source).await?;
                self.by_app(source, &app, &token, turn).await
            }
            Found::Token(token) => self.by_token(source, token, turn),
        }
    }

    /// As [`access`](Self::access), only to read what may be public: the App need not be installed there.
    pub(crate) async fn reading(&self, namespace: &str, source: &Source) -> Result<Access, NoAccess> {
        let turn = self.turns.take(&source.host).await?;
        match self.find(namespace, source).await? {
            Found::App(app) => {
                let token = app.reading_token(source).await?;
                self.by_app(source, &app, &token, turn).await
            }
            Found::Token(token) => self.by_token(source, token, turn),
        }
    }

    /// The token itself, for a run that changes the repository: of the App one that reaches nothing else, good for `least` at
    /// least.
    pub(crate) async fn run_token(
        &self,
        namespace: &str,
        source: &Source,
        least: SignedDuration,
    ) -> Result<RunToken, NoAccess> {
        let _turn = self.turns.take(&source.host).await?;
        Ok(match self.find(namespace, source).await? {
            Found::App(app) => {
                let token = app.run_token(source, least).await?;
                RunToken { token, user: None, app: name_of(&app).await }
            }
            Found::Token(Token { value, user, .. }) => RunToken { token: value, user, app: None },
        })
    }

    /// Whether the platform's GitHub App can be used: its Secret is right, and the forge takes its key.
    pub(crate) async fn probe(&self) -> Result<AppInfo, NoAccess> {
        let app =
            self.platform_app().await?.ok_or_else(|| self.no_app_secret("the GitHub App is not set up"))?;
        Ok(app.probe().await?)
    }

    async fn by_app(
        &self,
        source: &Source,
        app: &App,
        token: &Secret<String>,
        turn: Turn,
    ) -> Result<Access, NoAccess> {
        let info = name_of(app).await;
        let right = forge::Access { token: Some(token), is_app: true, ..forge::Access::default() };
        self.connect(source, right, Mode::App(info), turn)
    }

    fn by_token(&self, source: &Source, token: Token, turn: Turn) -> Result<Access, NoAccess> {
        let Token { secret, value, user } = token;
        let right = forge::Access { token: Some(&value), user: user.as_deref(), is_app: false };
        self.connect(source, right, Mode::Token(secret), turn)
    }

    fn connect(
        &self,
        source: &Source,
        right: forge::Access<'_>,
        mode: Mode,
        turn: Turn,
    ) -> Result<Access, NoAccess> {
        let changes = forge::change(source.provider, &source.server, right, &self.outbound)
            .map_err(|error| failure(source, right.is_app, &error, &self.clock))?;
        Ok(Access {
            mode,
            changes: changes.into(),
            clock: self.clock.clone(),
            heads: Arc::default(),
            _turn: turn,
        })
    }

    async fn find(&self, namespace: &str, source: &Source) -> Result<Found, NoAccess> {
        let secrets = self.secrets(namespace, source).await?;
        let of_type =
            |type_: &'static str| secrets.iter().filter(move |secret| secret.type_.as_deref() == Some(type_));
        let path = source.repository.to_string();
        // Keys for SSH are for cloning: no forge takes them here.
        if let Some(secret) = best(of_type(BASIC_AUTH), &path) {
            return self.read(namespace, secret, source);
        }
        let has_ssh_key = best(of_type(SSH_AUTH), &path).is_some();
        if source.provider != Provider::GitHub {
            return Err(if has_ssh_key { only_ssh(namespace, source) } else { no_secret(namespace, source) });
        }
        let is_app_server = source.server.origin() == self.app_server.origin()
            || source.server.host_str().and_then(|host| host.strip_prefix("api."))
                == self.app_server.host_str();
        let platform = if is_app_server { self.platform_app().await? } else { None };
        match platform {
            Some(app) => Ok(Found::App(app)),
            None if has_ssh_key => Err(only_ssh(namespace, source)),
            None if is_app_server => Err(self.no_app_secret(&format!(
                "{}: namespace {namespace} has no Secret of type {BASIC_AUTH} for it, and the GitHub App is not set up",
                source.name()
            ))),
            None => Err(no_secret(namespace, source)),
        }
    }

    /// The namespace's Secrets with credentials for the host.
    async fn secrets(&self, namespace: &str, source: &Source) -> Result<Vec<v1::Secret>, Failure> {
        let host = source.host.as_str();
        if host.len() > LONGEST_LABEL
            || !host.ends_with(|c: char| c.is_ascii_alphanumeric())
            || host.contains(':')
        {
            return Ok(Vec::new());
        }
        let selector =
            format!("{}={},{}={host}", labels::CREDENTIALS, labels::CREDENTIALS_SCM, labels::SCM_HOST);
        let secrets: Api<v1::Secret> = Api::namespaced(self.client.clone(), namespace);
        let asked = ListParams::default().labels(&selector);
        let found = patience::read(|| secrets.list(&asked)).await.map_err(|error| {
            Failure::of_api(&format!("Secrets for {host} in namespace {namespace}"), &error)
        })?;
        Ok(found.items.into_iter().filter(|secret| secret.data.iter().any(|data| !data.is_empty())).collect())
    }

    fn read(&self, namespace: &str, secret: &v1::Secret, source: &Source) -> Result<Found, NoAccess> {
        let name = secret.name_any();
        let data = secret.data.clone().unwrap_or_default();
        match credential::read(source.provider, &data) {
            Ok(Credential::App(key)) => Ok(Found::App(self.apps.app(*key, &source.server)?)),
            Ok(Credential::Token { token, user }) => {
                Ok(Found::Token(Token { secret: TokenSecret { name }, value: token, user }))
            }
            Err(wrong) => Err(invalid(ObjectKey::new(namespace, name), &wrong)),
        }
    }

    /// The App of the platform; `None` if there is no Secret.
    async fn platform_app(&self) -> Result<Option<Arc<App>>, NoAccess> {
        let key = &self.secret;
        let secrets: Api<v1::Secret> = Api::namespaced(self.client.clone(), &key.namespace);
        let found = patience::read(|| secrets.get_opt(&key.name)).await;
        let found = found.map_err(|error| Failure::of_api(&format!("Secret {key}"), &error))?;
        let Some(found) = found else { return Ok(None) };
        match credential::read(Provider::GitHub, &found.data.unwrap_or_default()) {
            Ok(Credential::App(key)) => Ok(Some(self.apps.app(*key, &self.app_server)?)),
            Ok(Credential::Token { .. }) => Err(invalid(key.clone(), "it holds a token and no GitHub App")),
            Err(wrong) => Err(invalid(key.clone(), &wrong)),
        }
    }

    fn no_app_secret(&self, detail: &str) -> NoAccess {
        let text = format!("{detail}: Secret {} does not exist", self.secret);
        NoAccess {
            failure: Failure::permanent(ErrorId::PacSecretNotFound, text.clone()),
            notice: Some(Notice { reason: EventReason::PacSecretNotFound, secret: None, text }),
        }
    }
}

/// That its name is unknown hinders nobody.
async fn name_of(app: &App) -> Option<AppInfo> {
    match app.info().await {
        Ok(info) => Some(info),
        Err(error) => {
            tracing::warn!(%error, "The name of the GitHub App cannot be read");
            None
        }
    }
}

fn invalid(secret: ObjectKey, wrong: &str) -> NoAccess {
    let text = format!("Secret {secret}: {wrong}");
    NoAccess {
        failure: Failure::permanent(ErrorId::PacSecretInvalid, text.clone()),
        notice: Some(Notice { reason: EventReason::ErrorValidatingPacSecret, secret: Some(secret), text }),
    }
}

fn no_secret(namespace: &str, source: &Source) -> NoAccess {
    let detail = format!(
        "{}: namespace {namespace} has no Secret of type {BASIC_AUTH} with the labels {}={} and {}={} that is for it",
        source.name(),
        labels::CREDENTIALS,
        labels::CREDENTIALS_SCM,
        labels::SCM_HOST,
        source.host
    );
    Failure::permanent(ErrorId::PacSecretNotFound, detail).into()
}

fn only_ssh(namespace: &str, source: &Source) -> NoAccess {
    let id = match source.provider {
        Provider::GitLab => ErrorId::GitLabSecretTypeNotSupported,
        Provider::Gitea => ErrorId::ForgejoSecretTypeNotSupported,
        _ => ErrorId::GitHubSecretTypeNotSupported,
    };
    let detail = format!(
        "{}: namespace {namespace} has only Secrets of type {SSH_AUTH} for it, which are for cloning; one of type {BASIC_AUTH} with a token is needed",
        source.name()
    );
    Failure::permanent(id, detail).into()
}
