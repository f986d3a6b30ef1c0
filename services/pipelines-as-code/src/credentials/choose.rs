//! Which credential is for what (spec section 4.2, points 2 to 5). Pure: names of Secrets, no Secrets.

use fleet::ObjectKey;
use fleet::outbound::Url;
use forge::signature::Sender;
use kube::ResourceExt as _;
use pipelines_as_code_api::Repository;
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::names::secret_keys;
use pipelines_as_code_api::pipeline_run::GitProvider;
use pipelines_as_code_api::repository::{GitProviderSettings, SecretReference};

use super::Error;
use crate::settings::Settings;

/// Key of a token, where a Repository names none.
const TOKEN_KEY: &str = "provider.token";

/// Key of a webhook's secret, where a Repository names none.
const WEBHOOK_KEY: &str = "webhook.secret";

/// Who a token belongs to, where a Repository does not say.
pub(super) const USER: &str = "git";

/// One value in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) secret: ObjectKey,
    pub(super) key: String,
}

impl Place {
    pub(super) fn new(namespace: &str, reference: &SecretReference, default_key: &str) -> Self {
        let key = reference.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(default_key);
        Self { secret: ObjectKey::new(namespace, &reference.name), key: key.to_owned() }
    }
}

/// How a forge is reached for one Repository, other than by the GitHub App.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen<'a> {
    settings: &'a GitProviderSettings,
    /// Of the Secrets that it names.
    namespace: String,
}

/// What the Repository says. Its Secrets are those of its own namespace, also where it took their names from the Repository that
/// holds for all.
pub(super) fn chosen(repository: &Repository) -> Option<Chosen<'_>> {
    let settings = repository.spec.spec.git_provider.as_ref()?;
    Some(Chosen { settings, namespace: repository.namespace().unwrap_or_default() })
}

impl Chosen<'_> {
    pub(super) fn user(&self) -> Option<&str> {
        self.settings.user.as_deref().filter(|user| !user.is_empty())
    }

    pub(super) fn token(&self) -> Option<Place> {
        let reference = self.settings.secret.as_ref().filter(|reference| !reference.name.is_empty())?;
        Some(Place::new(&self.namespace, reference, TOKEN_KEY))
    }

    pub(super) fn webhook_secret(&self) -> Option<Place> {
        let reference =
            self.settings.webhook_secret.as_ref().filter(|reference| !reference.name.is_empty())?;
        Some(Place::new(&self.namespace, reference, WEBHOOK_KEY))
    }

    /// Whose API it is, for an event or a run of this provider. `None` where the Repository does not say.
    pub(super) fn provider(&self) -> Option<GitProvider> {
        self.settings.type_.as_deref().and_then(provider_of)
    }

    /// The server that the token is for. `url` is the Repository's.
    pub(super) fn server(&self, provider: GitProvider, url: &Url) -> Result<Url, String> {
        let named = self.settings.url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        match (named, default_server(provider)) {
            (Some(named), _) => web_url(named).ok_or_else(|| {
                format!("spec.git_provider.url: {named:?} is no address: expected https://forge.example.com")
            }),
            (None, None) => Ok(origin(url)),
            (None, Some(public)) if host(&public) == host(url) => Ok(public),
            (None, Some(public)) => Err(format!(
                "spec.git_provider.url is missing: the repository is at {}, and without it the token would go to {}",
                host(url),
                host(&public)
            )),
        }
    }
}

/// The forge of a `git_provider.type`.
pub(super) fn provider_of(type_: &str) -> Option<GitProvider> {
    Some(match type_ {
        "github" => GitProvider::GitHub,
        "gitlab" => GitProvider::GitLab,
        "gitea" | "forgejo" => GitProvider::Gitea,
        "bitbucket-cloud" => GitProvider::BitbucketCloud,
        "bitbucket-server" | "bitbucket-datacenter" => GitProvider::BitbucketServer,
        _ => return None,
    })
}

/// Whether two stand for the same API.
pub(super) fn is_same(one: GitProvider, other: GitProvider) -> bool {
    let plain = |provider| match provider {
        GitProvider::GitHubEnterprise => GitProvider::GitHub,
        other => other,
    };
    plain(one) == plain(other)
}

fn default_server(provider: GitProvider) -> Option<Url> {
    let address = match provider {
        GitProvider::GitHub => "https://github.com",
        GitProvider::GitLab => "https://gitlab.com",
        GitProvider::BitbucketCloud => "https://bitbucket.org",
        GitProvider::GitHubEnterprise | GitProvider::Gitea | GitProvider::BitbucketServer => return None,
    };
    Url::parse(address).ok()
}

/// An address that can be called.
pub(super) fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Scheme, host and port.
pub(super) fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    // Neither fails where there is a host.
    let _ = origin.set_username("");
    let _ = origin.set_password(None);
    origin
}

/// Host and port. Of a forge with a host for its API, that of its pages.
pub(super) fn host(url: &Url) -> String {
    let host = match url.host_str().unwrap_or_default() {
        "api.github.com" => "github.com",
        "api.bitbucket.org" => "bitbucket.org",
        host => host,
    };
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Owner and name in the URL of a Repository.
pub(super) fn repository_of(url: &Url) -> Option<forge::Repository> {
    let path = url.path().trim_matches('/');
    let (owner, name) = path.strip_suffix(".git").unwrap_or(path).rsplit_once('/')?;
    forge::Repository::new(owner, name).ok()
}

/// Where the secrets lie that prove a delivery; any of them is good. `installation` is what the delivery says of itself: who
/// leaves it out or invents it is asked for another secret, and no more.
pub(super) fn proofs(
    sender: Sender,
    installation: Option<u64>,
    chosen: Option<&Chosen<'_>>,
    ours: &ObjectKey,
) -> Vec<Place> {
    let our = |key: &str| Place { secret: ours.clone(), key: key.to_owned() };
    if sender == Sender::GitHub && installation.is_some() {
        return vec![our(secret_keys::WEBHOOK)];
    }
    // The kind that the Repository names has to be that of the sender: an event of a forge where anybody may own any name must
    // not pass for one of another forge.
    let is_of = |chosen: &&Chosen<'_>| {
        chosen.provider().is_none_or(|provider| is_same(provider, provider_of_sender(sender)))
    };
    let own = chosen.filter(is_of).and_then(Chosen::webhook_secret);
    let provider_wide = match sender {
        Sender::GitLab => Some(our(secret_keys::GITLAB_WEBHOOK)),
        Sender::Gitea => Some(our(secret_keys::GITEA_WEBHOOK)),
        Sender::GitHub | Sender::BitbucketServer | Sender::BitbucketCloud => None,
    };
    own.into_iter().chain(provider_wide).collect()
}

pub(super) fn provider_of_sender(sender: Sender) -> GitProvider {
    match sender {
        Sender::GitHub => GitProvider::GitHub,
        Sender::GitLab => GitProvider::GitLab,
        Sender::Gitea => GitProvider::Gitea,
        Sender::BitbucketServer => GitProvider::BitbucketServer,
        Sender::BitbucketCloud => GitProvider::BitbucketCloud,
    }
}

/// What a token of the GitHub App reaches for an event of `repository`, whose number is `id` (spec section 4.2, point 5).
/// `is_watched` tells whether a Repository of the same namespace watches a URL.
pub(super) fn scope(
    repository: &Repository,
    event: (&forge::Repository, Option<u64>),
    server: &Url,
    settings: &Settings,
    is_watched: impl Fn(&str) -> bool,
) -> Result<forge::Scope, Error> {
    let (named, id) = event;
    let own =
        repository.spec.spec.settings.as_ref().map_or(&[][..], |own| &own.github_app_token_scope_repos[..]);
    let wide = &settings.github_app_extra_repos;
    if own.is_empty() && wide.is_empty() && !settings.github_app_token_scoped {
        return Ok(forge::Scope::default());
    }
    let refused = |reason: EventReason, text: String| Error::Scope { reason, text };
    if !own.is_empty() && settings.github_app_token_scoped && wide.is_empty() {
        return Err(refused(
            EventReason::SecretGhAppTokenRepoScopeIsEnabled,
            "spec.settings.github_app_token_scope_repos: the administrator's setting secret-github-app-token-scoped keeps tokens to \
             the repository of the event; ask for it to be false, or leave the list out"
                .to_owned(),
        ));
    }
    let mut scope = match id {
        Some(id) => forge::Scope { ids: vec![id], ..forge::Scope::default() },
        None => forge::Scope { names: vec![named.name().to_owned()], ..forge::Scope::default() },
    };
    for repo in own {
        let url = format!("{}{repo}", origin(server));
        // GitHub takes names without owners: another's repository of that name must not come in.
        let name = name_of(repo, named.owner()).filter(|_| is_watched(&url)).ok_or_else(|| {
            refused(
                EventReason::RepoDoesNotExistInNamespace,
                format!(
                    "spec.settings.github_app_token_scope_repos: {repo:?} needs a Repository with the URL {url} in this namespace, \
                     and the owner {:?}",
                    named.owner()
                ),
            )
        })?;
        scope.names.push(name);
    }
    // Those of other owners are for the events of those.
    scope.names.extend(wide.iter().filter_map(|repo| name_of(repo, named.owner())));
    scope.names.sort_unstable();
    scope.names.dedup();
    Ok(scope)
}

fn name_of(repo: &str, owner: &str) -> Option<String> {
    let (repo_owner, name) = repo.split_once('/')?;
    repo_owner.eq_ignore_ascii_case(owner).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::tests::repository;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn ours() -> ObjectKey {
        ObjectKey::new("pipelines-as-code", "pipelines-as-code-secret")
    }

    fn shown(places: &[Place]) -> Vec<String> {
        places.iter().map(|place| format!("{}:{}", place.secret, place.key)).collect()
    }

    const OURS: &str = "pipelines-as-code/pipelines-as-code-secret";

    #[rstest]
    #[case::app(Sender::GitHub, Some(7), json!({"type": "github", "webhook_secret": {"name": "s"}}), vec![format!("{OURS}:webhook.secret")])]
    #[case::own(Sender::GitHub, None, json!({"webhook_secret": {"name": "s"}}), vec!["tenant/s:webhook.secret".to_owned()])]
    #[case::own_key(Sender::GitHub, None, json!({"webhook_secret": {"name": "s", "key": "k"}}), vec!["tenant/s:k".to_owned()])]
    #[case::none(Sender::GitHub, None, json!(null), vec![])]
    #[case::gitlab(Sender::GitLab, None, json!({"type": "gitlab"}), vec![format!("{OURS}:gitlab.webhook.secret")])]
    #[case::gitea_also(Sender::Gitea, None, json!({"type": "forgejo", "webhook_secret": {"name": "s"}}), vec!["tenant/s:webhook.secret".to_owned(), format!("{OURS}:gitea.webhook.secret")])]
    #[case::of_another_forge(Sender::GitHub, None, json!({"type": "gitea", "webhook_secret": {"name": "s"}}), vec![])]
    #[case::an_installation_is_githubs(Sender::Gitea, Some(7), json!(null), vec![format!("{OURS}:gitea.webhook.secret")])]
    #[case::bitbucket(Sender::BitbucketServer, None, json!({"type": "bitbucket-server", "webhook_secret": {"name": "s"}}), vec!["tenant/s:webhook.secret".to_owned()])]
    fn which_secret_proves_a_delivery(
        #[case] sender: Sender,
        #[case] installation: Option<u64>,
        #[case] provider: Value,
        #[case] expected: Vec<String>,
    ) {
        let repository = repository(&json!({"url": "https://git.test/o/app", "git_provider": provider}));
        let chosen = chosen(&repository);
        assert_eq!(shown(&proofs(sender, installation, chosen.as_ref(), &ours())), expected);
    }

    #[rstest]
    #[case::named(GitProvider::Gitea, json!({"url": "https://api.git.test/x"}), "https://git.test/o/app", Ok("https://api.git.test/x"))]
    #[case::where_it_is(GitProvider::Gitea, json!({}), "https://git.test:3000/o/app", Ok("https://git.test:3000/"))]
    #[case::public(GitProvider::GitHub, json!({}), "https://github.com/o/app", Ok("https://github.com/"))]
    #[case::enterprise(GitProvider::GitHubEnterprise, json!({}), "https://git.corp.test/o/app", Ok("https://git.corp.test/"))]
    #[case::not_public(GitProvider::GitHub, json!({}), "https://git.corp.test/o/app", Err("spec.git_provider.url is missing"))]
    #[case::no_address(GitProvider::GitLab, json!({"url": "git.test"}), "https://git.test/o/app", Err("is no address"))]
    #[case::no_web_address(GitProvider::GitLab, json!({"url": "ssh://git.test"}), "https://git.test/o/app", Err("is no address"))]
    fn a_token_goes_to(
        #[case] provider: GitProvider,
        #[case] settings: Value,
        #[case] url: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let repository = repository(&json!({"url": url, "git_provider": settings}));
        let chosen = chosen(&repository).unwrap();
        match (chosen.server(provider, &Url::parse(url).unwrap()), expected) {
            (Ok(server), Ok(expected)) => assert_eq!(server.as_str(), expected),
            (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    fn scoped(is_scoped: bool, wide: &[&str], own: &[&str], id: Option<u64>) -> Result<forge::Scope, String> {
        let settings = Settings {
            github_app_token_scoped: is_scoped,
            github_app_extra_repos: wide.iter().map(ToString::to_string).collect(),
            ..Settings::default()
        };
        let repository = repository(&json!({"settings": {"github_app_token_scope_repos": own}}));
        let named = forge::Repository::new("org", "app").unwrap();
        let server = Url::parse("https://github.com").unwrap();
        let is_watched =
            |url: &str| url == "https://github.com/org/lib" || url == "https://github.com/other/lib";
        scope(&repository, (&named, id), &server, &settings, is_watched).map_err(|error| match error {
            Error::Scope { reason, .. } => <&str>::from(reason).to_owned(),
            other => panic!("{other}"),
        })
    }

    fn of(ids: &[u64], names: &[&str]) -> forge::Scope {
        let names = names.iter().map(ToString::to_string).collect();
        forge::Scope { ids: ids.to_vec(), names, ..forge::Scope::default() }
    }

    #[rstest]
    #[case::narrow(true, &[], &[], Some(1), Ok(of(&[1], &[])))]
    #[case::narrow_without_number(true, &[], &[], None, Ok(of(&[], &["app"])))]
    #[case::wide(false, &[], &[], Some(1), Ok(of(&[], &[])))]
    #[case::the_administrators_list(true, &["org/a", "other/b"], &[], Some(1), Ok(of(&[1], &["a"])))]
    #[case::own_list(false, &[], &["org/lib"], Some(1), Ok(of(&[1], &["lib"])))]
    #[case::own_list_beside_the_administrators(true, &["org/a"], &["org/lib"], Some(1), Ok(of(&[1], &["a", "lib"])))]
    #[case::own_list_where_tokens_are_narrow(true, &[], &["org/lib"], Some(1), Err("SecretGHAppTokenRepoScopeIsEnabled".to_owned()))]
    #[case::not_watched_here(false, &[], &["org/secret"], Some(1), Err("RepoDoesNotExistInNamespace".to_owned()))]
    #[case::of_another_owner(false, &[], &["other/lib"], Some(1), Err("RepoDoesNotExistInNamespace".to_owned()))]
    fn what_a_token_of_the_app_reaches(
        #[case] is_scoped: bool,
        #[case] wide: &[&str],
        #[case] own: &[&str],
        #[case] id: Option<u64>,
        #[case] expected: Result<forge::Scope, String>,
    ) {
        assert_eq!(scoped(is_scoped, wide, own, id), expected);
    }

    #[rstest]
    #[case("https://git.test/o/app", Some("o/app"))]
    #[case("https://git.test/group/sub/app.git/", Some("group/sub/app"))]
    #[case("https://git.test/app", None)]
    #[case("https://git.test/o/..%2Fx", None)]
    fn a_repositorys_name_is_in_its_url(#[case] url: &str, #[case] expected: Option<&str>) {
        let found = repository_of(&Url::parse(url).unwrap()).map(|found| found.to_string());
        assert_eq!(found.as_deref(), expected);
    }
}
