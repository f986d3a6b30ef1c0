//! With what a forge is reached (spec, section 4.9).
//!
//! ```text
//! repo-url ─▶ Repository of the namespace ─┬─ installation-id: GitHub App ─▶ token, kept until it ends
//!                                          └─ git_provider.secret ─▶ Secret, read each time
//! ```
//! What a Snapshot says of itself anybody in its namespace may have written. Which repository that is at the forge says the Repository,
//! of which Pipelines-as-Code lets one namespace have one URL; so nobody's results appear at the pull requests of others.

mod address;
mod app;

use fleet::outbound::{self, Url};
use fleet::{ObjectKey, Secret, Store};
use forge::{Access, Before, Forge, Provider};
use k8s_openapi::api::core::v1;
use kube::{Api, Client, ResourceExt as _};
use pipelines_as_code_api::Repository;

pub(crate) use self::address::key_of;
use self::address::{host, origin, path_of, web_url};
pub(super) use self::app::Apps;
use super::message::{Destination, Way};
use crate::stores::BY_URL;

/// Key of a token in its Secret, where a Repository names none.
const TOKEN_KEY: &str = "provider.token";

/// Why a forge cannot be reached, or does not take a report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("namespace {namespace} has no Repository of Pipelines-as-Code with the URL {url}")]
    NoRepository { namespace: String, url: String },
    /// Something in the Repository is not as it should be.
    #[error("Repository {repository}: {reason}")]
    Repository { repository: ObjectKey, reason: String },
    #[error("Secret {secret} is not there, or has no text under the key {key:?}")]
    NoSecret { secret: ObjectKey, key: String },
    #[error("Secret {secret}")]
    InvalidApp { secret: ObjectKey, source: forge::InvalidApp },
    #[error("Secret {secret} cannot be read")]
    Unread { secret: ObjectKey, source: Box<kube::Error> },
    #[error("TaskRuns of PipelineRun {run} cannot be read")]
    TaskRuns { run: ObjectKey, source: Box<kube::Error> },
    #[error("the forge does not take the token any more that was made for it; a new one will be made")]
    TokenEnded,
    #[error(transparent)]
    Forge(#[from] forge::Error),
}

impl Error {
    /// Whether the same may work later, with nothing changed by anybody.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unread { source, .. } | Self::TaskRuns { source, .. } => {
                matches!(fleet::classify(source), fleet::Class::Retry)
            }
            Self::Forge(error) => error.is_transient(),
            Self::TokenEnded => true,
            _ => false,
        }
    }

    /// When it makes sense to try again, if the forge said so.
    pub(crate) fn retry_at(&self) -> Option<jiff::Timestamp> {
        match self {
            Self::Forge(error) => error.retry_at(),
            _ => None,
        }
    }
}

/// A forge that can be talked to.
pub(crate) struct Connection {
    pub(crate) forge: Box<dyn Forge>,
    pub(crate) repository: forge::Repository,
    pub(crate) before: Before,
    /// The token was made a while ago: that the forge does not take it says nothing of the next one.
    pub(crate) is_kept: bool,
}

/// Finds credentials. Cheap to clone; one per process, so that tokens are shared.
#[derive(Clone)]
pub(crate) struct Gits {
    client: Client,
    outbound: outbound::Client,
    repositories: Store<Repository>,
    apps: Apps,
}

impl Gits {
    pub(super) fn new(
        client: &Client,
        outbound: &outbound::Client,
        repositories: &Store<Repository>,
        apps: Apps,
    ) -> Self {
        Self { client: client.clone(), outbound: outbound.clone(), repositories: repositories.clone(), apps }
    }

    /// Talks to the forge of a pull request.
    pub(crate) async fn connect(
        &self,
        namespace: &str,
        destination: &Destination,
    ) -> Result<Connection, Error> {
        let found = self.repositories.indexed(BY_URL, &key_of(namespace, &destination.repo_url));
        // There is one; of several the first by name.
        let repository = found.into_iter().min_by_key(|repository| repository.name_any());
        let repository = repository.ok_or_else(|| Error::NoRepository {
            namespace: namespace.to_owned(),
            url: destination.repo_url.clone(),
        })?;
        let wrong = |reason: String| Error::Repository { repository: ObjectKey::of(&*repository), reason };
        let url = repository.spec.spec.url.as_deref().unwrap_or_default();
        let url = web_url(url).ok_or_else(|| wrong(format!("spec.url {url:?} is no address")))?;
        let named = path_of(&url).ok_or_else(|| wrong(format!("spec.url {url} names no repository")))?;
        match destination.way {
            Way::App { installation } => {
                if origin(&url) != origin(self.apps.server()) {
                    let reason = format!(
                        "spec.url {url} is not at {}, where the GitHub App is (--github-app-server)",
                        self.apps.server()
                    );
                    return Err(wrong(reason));
                }
                self.by_app(installation, named).await
            }
            Way::Token { pull_request, .. } => {
                let token = self.token(&repository).await?;
                let server = server(&repository, destination.provider, &url).map_err(wrong)?;
                let user = git_provider(&repository).and_then(|settings| settings.user.as_deref());
                let access =
                    Access { token: Some(&token), user: user.filter(|user| !user.is_empty()), is_app: false };
                let forge = forge::converse(destination.provider, &server, access, &self.outbound)?;
                let before = Before { app: None, merge_request: pull_request };
                Ok(Connection { forge, repository: named, before, is_kept: false })
            }
        }
    }

    async fn by_app(&self, installation: u64, repository: forge::Repository) -> Result<Connection, Error> {
        let app::Token { value, app, is_kept } = self.apps.token(installation, &repository).await?;
        let access = Access { token: Some(&value), is_app: true, ..Access::default() };
        let forge = forge::converse(Provider::GitHub, self.apps.server(), access, &self.outbound)?;
        let before = Before { app: Some(app), merge_request: None };
        Ok(Connection { forge, repository, before, is_kept })
    }

    /// A token that was kept does not work any more.
    pub(crate) fn forget(&self, destination: &Destination, repository: &forge::Repository) {
        if let Way::App { installation } = destination.way {
            self.apps.forget(installation, repository);
        }
    }

    async fn token(&self, repository: &Repository) -> Result<Secret<String>, Error> {
        let reference = git_provider(repository)
            .and_then(|settings| settings.secret.as_ref())
            .filter(|reference| !reference.name.is_empty());
        let reference = reference.ok_or_else(|| Error::Repository {
            repository: ObjectKey::of(repository),
            reason: "spec.git_provider.secret is missing: it names the Secret with a token for the forge"
                .to_owned(),
        })?;
        let key = reference.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(TOKEN_KEY);
        read(&self.client, ObjectKey::of(repository).sibling(&reference.name), key).await.map(Secret::new)
    }
}

/// A text in a Secret, without the blanks around it.
async fn read(client: &Client, secret: ObjectKey, key: &str) -> Result<String, Error> {
    let api: Api<v1::Secret> = Api::namespaced(client.clone(), &secret.namespace);
    let found = api.get_opt(&secret.name).await;
    let found = found.map_err(|source| Error::Unread { secret: secret.clone(), source: Box::new(source) })?;
    let value =
        found.and_then(|found| found.data?.remove(key)).and_then(|value| String::from_utf8(value.0).ok());
    let value = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    value.ok_or_else(|| Error::NoSecret { secret, key: key.to_owned() })
}

fn git_provider(repository: &Repository) -> Option<&pipelines_as_code_api::repository::GitProviderSettings> {
    repository.spec.spec.git_provider.as_ref()
}

/// The server that the Repository's token is for: it goes to no other. `url` is the Repository's.
fn server(repository: &Repository, provider: Provider, url: &Url) -> Result<Url, String> {
    let settings = git_provider(repository);
    let type_ = settings.and_then(|settings| settings.type_.as_deref()).filter(|type_| !type_.is_empty());
    if let Some(type_) = type_.filter(|type_| type_.parse() != Ok(provider)) {
        return Err(format!("spec.git_provider.type is {type_}, and the pull request is of {provider}"));
    }
    let named =
        settings.and_then(|settings| settings.url.as_deref()).map(str::trim).filter(|url| !url.is_empty());
    if let Some(named) = named {
        return web_url(named).ok_or_else(|| format!("spec.git_provider.url {named:?} is no address"));
    }
    match provider.default_server().and_then(web_url) {
        None => Ok(origin(url)),
        Some(public) if host(&public) == host(url) => Ok(public),
        Some(public) => Err(format!(
            "spec.git_provider.url is missing: the repository is at {}, and without it the token would go to {}",
            host(url),
            host(&public)
        )),
    }
}

#[cfg(test)]
mod tests;
