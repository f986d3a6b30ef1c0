//! The resolver `git`: files of repositories, by Git itself or by the API of a forge.

use std::time::Duration;

use fleet::Secret;
use fleet::outbound::{self, Url};
use forge::{Provider, Repository};
use git::Limits;
use kube::Api;
use pipelines_engine_api::{RefSource, annotations};

use super::answer::{Failure, MAX_DATA, Resource, YAML};
use super::params::Params;
use super::settings::GitSettings;

/// Bytes that one repository may send, at its one revision and with none of its files but the wanted one, if the server
/// can leave them out.
const MAX_TRANSFER: u64 = 192 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GitQuestion {
    from: From,
    revision: String,
    path: String,
    timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum From {
    /// Whatever Git can fetch, as nobody in particular.
    Clone {
        url: Url,
        /// The same as it was written, which is what everybody compares with.
        name: String,
    },
    Forge {
        provider: Provider,
        server: Url,
        repository: Repository,
        token: Option<Token>,
    },
}

/// Where a forge's token is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Token {
    namespace: String,
    secret: String,
    key: String,
}

impl GitQuestion {
    /// `namespace` is the request's, `own` the resolvers'.
    pub(super) fn parse(
        namespace: &str,
        own: &str,
        params: Params<'_>,
        settings: &GitSettings,
    ) -> Result<Self, String> {
        let revision = params.or("revision", &settings.revision, "default-revision")?;
        let path = params.required("pathInRepo")?.trim_start_matches('/').to_owned();
        check_revision(&revision)?;
        check_path(&path)?;
        let from = match (params.get("url")?, params.get("repo")?) {
            (Some(_), Some(_)) => return Err("params \"url\" and \"repo\" exclude each other".to_owned()),
            (Some(url), None) => clone_of(url)?,
            (None, Some(repo)) => forge_of(repo, namespace, own, params, settings)?,
            (None, None) if !settings.url.is_empty() => clone_of(&settings.url)?,
            (None, None) => {
                return Err("param \"url\" or \"repo\" is missing, and default-url of the resolver's ConfigMap names none".to_owned());
            }
        };
        Ok(Self { from, revision, path, timeout: settings.fetch_timeout })
    }

    /// Whether the answer will always be the same.
    pub(super) fn is_immutable(&self) -> bool {
        git::is_commit(&self.revision)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether it takes the program `git`.
    pub(super) fn is_fetched(&self) -> bool {
        matches!(self.from, From::Clone { .. })
    }

    /// The server that is asked.
    pub(super) fn host(&self) -> &str {
        let (From::Clone { url, .. } | From::Forge { server: url, .. }) = &self.from;
        url.host_str().unwrap_or_default()
    }
}

fn check_revision(revision: &str) -> Result<(), String> {
    let wrong = || format!("param \"revision\": {revision:?} is no branch, tag or commit");
    git::is_revision(revision).then_some(()).ok_or_else(wrong)
}

fn check_path(path: &str) -> Result<(), String> {
    let wrong = || {
        format!("param \"pathInRepo\": {path:?} is no path of a file in the repository, as tasks/build.yaml")
    };
    git::is_path(path).then_some(()).ok_or_else(wrong)
}

/// What upstream takes for an address, of which we fetch by http(s) only.
fn clone_of(url: &str) -> Result<From, String> {
    let wrong = |why: &str| {
        Err(format!("param \"url\": {url:?} cannot be fetched: {why}, as https://git.example/org/repo"))
    };
    if url.starts_with('/') {
        return wrong("a path of the resolvers' own machine is not read; name an address");
    }
    let has_user = url.split_once('@').is_some_and(|(user, rest)| !user.contains('/') && rest.contains(':'));
    if has_user || url.starts_with("ssh://") || url.starts_with("git://") {
        return wrong("Git over ssh needs a key and git:// is not encrypted; use its address for https");
    }
    let Ok(parsed) = Url::parse(url) else { return wrong("it is no address") };
    if !["http", "https"].contains(&parsed.scheme()) || parsed.host_str().is_none() {
        return wrong("it begins with neither https:// nor http://");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("param \"url\": an address must hold no user or password: everybody who may read the request would read them".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return wrong("it must have neither ? nor #");
    }
    Ok(From::Clone { url: parsed, name: url.to_owned() })
}

fn forge_of(
    repo: &str,
    namespace: &str,
    own: &str,
    params: Params<'_>,
    settings: &GitSettings,
) -> Result<From, String> {
    let org = params.or("org", &settings.org, "default-org")?;
    let repository =
        Repository::new(&org, repo).map_err(|error| format!("params \"org\" and \"repo\": {error}"))?;
    let (scm, given_server) = (params.get("scmType")?, params.get("serverURL")?);
    let scm = scm.unwrap_or(&settings.scm_type);
    let provider: Provider = scm.to_ascii_lowercase().parse().map_err(|_| {
        let known = "github, gitlab, gitea, bitbucketcloud, bitbucketserver";
        format!("param \"scmType\": {scm:?} is none of {known}")
    })?;
    let configured = Some(settings.server_url.as_str()).filter(|url| !url.is_empty());
    let is_configured_provider = scm.eq_ignore_ascii_case(&settings.scm_type);
    let server = given_server
        .or(configured.filter(|_| is_configured_provider))
        .or(provider.default_server())
        .ok_or_else(|| format!("param \"serverURL\" is missing: {scm} has no server that everybody means"))?;
    let server = Url::parse(server)
        .ok()
        .filter(|url| url.host_str().is_some() && url.username().is_empty() && url.password().is_none())
        .ok_or_else(|| "param \"serverURL\" is no address, as https://git.example".to_owned())?;
    let token = match params.get("token")? {
        Some(secret) => Some(Token {
            namespace: namespace.to_owned(),
            secret: secret.to_owned(),
            key: params.get("tokenKey")?.unwrap_or("token").to_owned(),
        }),
        // The operator's token is for the operator's server: who names another one brings a token, or goes without.
        None if given_server.is_none() && is_configured_provider && !settings.token_secret.is_empty() => {
            Some(Token {
                namespace: Some(&settings.token_namespace)
                    .filter(|name| !name.is_empty())
                    .map_or(own, |name| name)
                    .to_owned(),
                secret: settings.token_secret.clone(),
                key: Some(&settings.token_key)
                    .filter(|key| !key.is_empty())
                    .map_or("token", |key| key)
                    .to_owned(),
            })
        }
        None => None,
    };
    Ok(From::Forge { provider, server, repository, token })
}

/// Fetches from repositories. Cheap to clone.
#[derive(Clone)]
pub(super) struct Git {
    git: git::Git,
    outbound: outbound::Client,
}

impl Git {
    pub(super) fn new(outbound: outbound::Client) -> Self {
        Self { git: git::Git::new(outbound.clone()), outbound }
    }

    pub(super) async fn resolve(
        &self,
        client: &kube::Client,
        question: &GitQuestion,
    ) -> Result<Resource, Failure> {
        let GitQuestion { from, revision, path, timeout } = question;
        match from {
            From::Clone { url, name } => {
                let limits = Limits { timeout: *timeout, transfer: MAX_TRANSFER, content: MAX_DATA };
                let fetched = self.git.file(url, revision, path, limits).await;
                let git::File { commit, content } = fetched.map_err(|error| failure(url, &error))?;
                Ok(resource(question, name, commit, content, &[(annotations::resolution::URL, name)]))
            }
            From::Forge { provider, server, repository, token } => {
                let token = match token {
                    Some(token) => Some(read_token(client, token).await?),
                    None => None,
                };
                let forge = forge::connect(*provider, server, token.as_ref(), &self.outbound)?;
                let commit = forge.commit(repository, revision).await?;
                let data = forge.file(repository, &commit, path, MAX_DATA).await?;
                let url = forge.clone_url(repository);
                let facts = [
                    (annotations::resolution::ORG, repository.owner()),
                    (annotations::resolution::REPO, repository.name()),
                    (annotations::resolution::URL, &url),
                ];
                Ok(resource(question, &url, commit.to_string(), data, &facts))
            }
        }
    }
}

/// Why there is no file.
fn failure(url: &Url, error: &git::Error) -> Failure {
    let hint = match error {
        git::Error::NoRepository { .. } => "; for a private one use params \"repo\", \"org\" and \"token\"",
        git::Error::NotInstalled => " beside the resolver; params \"repo\" and \"org\" need none",
        git::Error::Refused(_) | git::Error::Broken(_) => "",
    };
    let why = format!("{url}: {error}{hint}");
    if error.is_transient() { Failure::transient(why) } else { Failure::Permanent(why) }
}

async fn read_token(client: &kube::Client, token: &Token) -> Result<Secret<String>, Failure> {
    let Token { namespace, secret, key } = token;
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(client.clone(), namespace);
    let found = secrets.get_opt(secret).await.map_err(|error| {
        Failure::transient(format!("Secret {secret:?} of namespace {namespace:?} cannot be read: {error}"))
    })?;
    let missing = || {
        Failure::Permanent(format!(
            "there is no Secret {secret:?} with key {key:?} in namespace {namespace:?}"
        ))
    };
    let value = found.and_then(|found| found.data?.remove(key)).ok_or_else(missing)?;
    let text = Secret::new(String::from_utf8(value.0).map_err(|_| missing())?);
    Ok(Secret::new(text.expose().trim().to_owned()))
}

fn resource(
    question: &GitQuestion,
    url: &str,
    commit: String,
    data: Vec<u8>,
    facts: &[(fleet_api::AnnotationKey, &str)],
) -> Resource {
    use annotations::resolution::{CONTENT_TYPE, PATH, REVISION};
    let all = [(CONTENT_TYPE, YAML), (REVISION, commit.as_str()), (PATH, question.path.as_str())];
    let notes = all.iter().chain(facts).map(|(key, value)| (key.as_str().to_owned(), (*value).to_owned()));
    Resource {
        data,
        annotations: notes.collect(),
        source: RefSource {
            uri: format!("git+{url}"),
            digest: [("sha1".to_owned(), commit)].into(),
            entry_point: question.path.clone(),
        },
    }
}

#[cfg(test)]
mod tests;
