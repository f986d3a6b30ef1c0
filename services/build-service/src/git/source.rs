//! Where the source of a Component is.

use application_service_api::Component;
use build_service_api::{ErrorId, annotations};
use fleet::outbound::Url;
use forge::{Provider, Repository};

use crate::failure::Failure;

/// Where the source of a Component is. Only of forges that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) provider: Provider,
    /// Name of the host, without a port: Secrets are labelled with it.
    pub(crate) host: String,
    /// The forge, as people see it or with the path of its API.
    pub(crate) server: Url,
    /// The annotation `git-provider-url`, which a Repository names too.
    pub(crate) provider_url: Option<String>,
    /// As in the Component, but in the form of a Repository: see [`plain_url`].
    pub(crate) url: String,
    pub(crate) repository: Repository,
    /// Branch, tag or commit. Absent means the default branch.
    pub(crate) revision: Option<String>,
    /// Scheme, host and port of the pages.
    web: String,
}

impl Source {
    /// `None` for a Component without a Git repository.
    pub(crate) fn of(component: &Component) -> Option<Result<Self, Failure>> {
        let git = component.spec.source.as_ref()?.git.as_ref().filter(|git| !git.url.trim().is_empty())?;
        let annotation = |key: fleet_api::AnnotationKey| {
            key.of(&component.metadata.annotations).map(str::trim).filter(|value| !value.is_empty())
        };
        let provider = annotation(annotations::GIT_PROVIDER);
        let provider_url = annotation(annotations::GIT_PROVIDER_URL);
        Some(Self::parse(git.url.trim(), git.revision.as_deref(), provider, provider_url))
    }

    fn parse(
        url: &str,
        revision: Option<&str>,
        provider: Option<&str>,
        provider_url: Option<&str>,
    ) -> Result<Self, Failure> {
        for (field, url) in
            [("spec.source.git.url", Some(url)), ("annotation git-provider-url", provider_url)]
        {
            if url.is_some_and(|url| url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:")))
            {
                let detail = format!("{field}: use an address that begins with https://");
                return Err(Failure::permanent(ErrorId::HttpUsedForRepositoryAccess, detail));
            }
        }
        let place = Place::parse(url)?;
        let provider = provider_of(&place, provider)?;
        let repository = repository_of(provider, &place.path)?;
        let server = match provider_url {
            Some(given) => server_at(given, &place.host)?,
            None => address(&place.web)?,
        };
        Ok(Self {
            provider,
            server,
            provider_url: provider_url.map(str::to_owned),
            url: plain_url(url).to_owned(),
            repository,
            revision: revision.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned),
            host: place.host,
            web: place.web,
        })
    }

    /// Where a person sees the source at a commit. `commit` may be a placeholder.
    pub(crate) fn browse_url(&self, commit: &str) -> String {
        let Self { web, repository, .. } = self;
        match self.provider {
            Provider::GitLab => format!("{web}/{repository}/-/tree/{commit}"),
            Provider::Gitea => format!("{web}/{repository}/src/commit/{commit}"),
            _ => format!("{web}/{repository}?rev={commit}"),
        }
    }

    /// For messages: `gitlab.com/group/name`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

/// The URL of a repository, as Repositories have it: without a slash or `.git` at its end.
pub(crate) fn plain_url(url: &str) -> &str {
    let url = url.trim().trim_end_matches('/');
    url.strip_suffix(".git").unwrap_or(url).trim_end_matches('/')
}

/// Whether a revision is a commit, maybe shortened: a branch can hardly have such a name.
pub(crate) fn is_commit(revision: &str) -> bool {
    (7..=40).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A URL of Git in its parts.
struct Place {
    host: String,
    /// The part of the host's name that tells the forge.
    label: String,
    web: String,
    path: String,
}

impl Place {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let detail = format!("spec.source.git.url: {why}; expected https://<host>/<owner>/<name>");
            Failure::permanent(ErrorId::WrongSourceUrl, detail)
        };
        // `git@host:path` is no URL.
        if let Some((host, path)) = text.strip_prefix("git@").and_then(|rest| rest.split_once(':')) {
            let label = host.split('.').next().unwrap_or_default().to_owned();
            let (host, path) = (host.to_ascii_lowercase(), path.to_owned());
            return Ok(Self { label, web: format!("https://{host}"), host, path });
        }
        let url = Url::parse(text).map_err(|error| wrong(&format!("it is no address ({error})")))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it has no host"))?;
        if !matches!(url.scheme(), "https" | "ssh") {
            return Err(wrong(&format!("the scheme {} is not supported", url.scheme())));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or fragment"));
        }
        let mut labels = host.rsplit('.');
        let last = labels.next().unwrap_or_default();
        let label = labels.next().unwrap_or(last).to_owned();
        // Of ssh it is another program's port.
        let port = url.port().filter(|_| url.scheme() == "https");
        let web = port.map_or_else(|| format!("https://{host}"), |port| format!("https://{host}:{port}"));
        Ok(Self { host: host.to_owned(), label, web, path: url.path().to_owned() })
    }
}

fn provider_of(place: &Place, annotation: Option<&str>) -> Result<Provider, Failure> {
    let unknown = |detail: String| Failure::permanent(ErrorId::UnknownGitProvider, detail);
    let is_known = |name: &&str| matches!(*name, "github" | "gitlab" | "gitea" | "forgejo" | "bitbucket");
    match [Some(place.label.as_str()), annotation].into_iter().flatten().find(is_known) {
        Some("github") => Ok(Provider::GitHub),
        Some("gitlab") => Ok(Provider::GitLab),
        Some("bitbucket") => Err(unknown(format!("{}: Bitbucket is not supported", place.host))),
        Some(_) => Ok(Provider::Gitea),
        None => Err(unknown(format!(
            "{}: set the annotation git-provider of the Component to github, gitlab, gitea or forgejo",
            place.host
        ))),
    }
}

/// GitLab's groups lie in groups; elsewhere an owner and a name are all.
fn repository_of(provider: Provider, path: &str) -> Result<Repository, Failure> {
    let wrong = || {
        let detail = format!(
            "spec.source.git.url: the path {path:?} is not that of a repository; expected /<owner>/<name>, without a branch, directory or file"
        );
        Failure::permanent(ErrorId::WrongSourceUrl, detail)
    };
    let path = plain_url(path).trim_start_matches('/');
    let (owner, name) = path.rsplit_once('/').ok_or_else(wrong)?;
    if provider != Provider::GitLab && owner.contains('/') {
        return Err(wrong());
    }
    Repository::new(owner, name).map_err(|_| wrong())
}

/// The annotation `git-provider-url`. Tokens go there, so it has to be of the same host, or that of its API.
fn server_at(given: &str, host: &str) -> Result<Url, Failure> {
    let wrong = |why: String| {
        Failure::permanent(ErrorId::UnknownGitProvider, format!("annotation git-provider-url: {why}"))
    };
    let url =
        address(given).map_err(|_| wrong(format!("{given:?} is no address; expected https://{host}")))?;
    let named = url.host_str().unwrap_or_default();
    if url.scheme() != "https" || !(named == host || named.strip_prefix("api.") == Some(host)) {
        return Err(wrong(format!("expected https://{host}, where the repository is, but it is {given:?}")));
    }
    Ok(url)
}

fn address(text: &str) -> Result<Url, Failure> {
    let wrong = |error| {
        Failure::permanent(
            ErrorId::WrongSourceUrl,
            format!("spec.source.git.url: its host is none ({error})"),
        )
    };
    Url::parse(text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(url: &str) -> Result<Source, Failure> {
        Source::parse(url, None, None, None)
    }

    fn id(result: Result<Source, Failure>) -> ErrorId {
        match result.unwrap_err() {
            Failure::Permanent { id, .. } => id,
            Failure::Transient { detail, .. } => panic!("it is transient: {detail}"),
        }
    }

    #[rstest]
    #[case("https://github.com/acme/app", None, Provider::GitHub, "acme/app")]
    #[case("https://github.com/acme/app.git", None, Provider::GitHub, "acme/app")]
    #[case("https://github.com/acme/app/", None, Provider::GitHub, "acme/app")]
    #[case("https://github.com/acme/app.git/", None, Provider::GitHub, "acme/app")]
    #[case("git@github.com:acme/app.git", None, Provider::GitHub, "acme/app")]
    #[case("ssh://git@gitlab.com:2222/acme/app.git", None, Provider::GitLab, "acme/app")]
    #[case("https://gitlab.com/acme/platform/app", None, Provider::GitLab, "acme/platform/app")]
    #[case("https://gitlab.example.com/acme/app", Some("gitlab"), Provider::GitLab, "acme/app")]
    #[case("https://www.gitea.com/acme/app", None, Provider::Gitea, "acme/app")]
    #[case("https://localhost:3000/acme/app", Some("forgejo"), Provider::Gitea, "acme/app")]
    #[case("https://127.0.0.1/acme/app", Some("gitea"), Provider::Gitea, "acme/app")]
    fn finds_the_forge_and_the_repository(
        #[case] url: &str,
        #[case] annotation: Option<&str>,
        #[case] provider: Provider,
        #[case] repository: &str,
    ) {
        let source = Source::parse(url, None, annotation, None).unwrap();
        assert_eq!((source.provider, source.repository.to_string().as_str()), (provider, repository));
    }

    #[rstest]
    #[case::unknown_host("https://git.example.com/acme/app", None, None, ErrorId::UnknownGitProvider)]
    #[case::unknown_annotation("https://git.example.com/a/b", Some("svn"), None, ErrorId::UnknownGitProvider)]
    #[case::bitbucket("https://bitbucket.org/acme/app", None, None, ErrorId::UnknownGitProvider)]
    #[case::first_label_of_a_url("https://github.example.com/a/b", None, None, ErrorId::UnknownGitProvider)]
    #[case::http("http://github.com/acme/app", None, None, ErrorId::HttpUsedForRepositoryAccess)]
    #[case::http_in_capitals("HTTP://github.com/acme/app", None, None, ErrorId::HttpUsedForRepositoryAccess)]
    #[case::http_of_the_forge(
        "https://github.com/acme/app",
        None,
        Some("http://github.com"),
        ErrorId::HttpUsedForRepositoryAccess
    )]
    #[case::owner_only("https://github.com/acme", None, None, ErrorId::WrongSourceUrl)]
    #[case::no_path("https://github.com", None, None, ErrorId::WrongSourceUrl)]
    #[case::directory("https://github.com/acme/app/tree/main/src", None, None, ErrorId::WrongSourceUrl)]
    #[case::file_of_gitlab("https://gitlab.com/acme/app/-/blob/main/a", None, None, ErrorId::WrongSourceUrl)]
    #[case::query("https://github.com/acme/app?tab=readme", None, None, ErrorId::WrongSourceUrl)]
    #[case::parent("https://gitlab.com/acme/%2e%2e/app/x..y", None, None, ErrorId::WrongSourceUrl)]
    #[case::other_scheme("ftp://github.com/acme/app", None, None, ErrorId::WrongSourceUrl)]
    #[case::no_url("app", None, None, ErrorId::WrongSourceUrl)]
    #[case::short_and_not_ascii("äöü", None, None, ErrorId::WrongSourceUrl)]
    #[case::another_server(
        "https://gitlab.com/acme/app",
        None,
        Some("https://evil.example"),
        ErrorId::UnknownGitProvider
    )]
    #[case::a_look_alike(
        "https://gitlab.com/acme/app",
        None,
        Some("https://gitlab.com.evil.example"),
        ErrorId::UnknownGitProvider
    )]
    fn says_what_is_wrong(
        #[case] url: &str,
        #[case] provider: Option<&str>,
        #[case] provider_url: Option<&str>,
        #[case] expected: ErrorId,
    ) {
        assert_eq!(id(Source::parse(url, None, provider, provider_url)), expected);
    }

    #[test]
    fn has_what_repositories_and_secrets_are_found_by() {
        let url = "https://GitLab.example.com:8443/acme/app.git";
        let source =
            Source::parse(url, Some(" "), Some("gitlab"), Some("https://gitlab.example.com:8443/api/v4"))
                .unwrap();
        assert_eq!(source.host, "gitlab.example.com");
        assert_eq!(source.url, "https://GitLab.example.com:8443/acme/app");
        assert_eq!(source.server.as_str(), "https://gitlab.example.com:8443/api/v4");
        assert_eq!(source.revision, None);
        assert_eq!(source.name(), "gitlab.example.com/acme/app");
    }

    #[rstest]
    #[case("https://github.com/acme/app", "https://github.com/acme/app?rev=abc")]
    #[case("https://gitlab.com/acme/sub/app.git", "https://gitlab.com/acme/sub/app/-/tree/abc")]
    #[case("https://gitea.com:3000/acme/app", "https://gitea.com:3000/acme/app/src/commit/abc")]
    #[case("git@github.com:acme/app", "https://github.com/acme/app?rev=abc")]
    fn shows_a_person_the_source(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(parse(url).unwrap().browse_url("abc"), expected);
    }

    #[rstest]
    #[case("0123456", true)]
    #[case("0123456789abcdefABCDEF0123456789abcdef01", true)]
    #[case("012345", false)]
    #[case("0123456789abcdefABCDEF0123456789abcdef012", false)]
    #[case("feature-0123456", false)]
    fn knows_commits(#[case] revision: &str, #[case] expected: bool) {
        assert_eq!(is_commit(revision), expected);
    }

    #[test]
    fn a_component_without_git_has_no_source() {
        let component = |git: &str| -> Component {
            let object = serde_json::json!({
                "metadata": {"name": "c", "annotations": {"git-provider": "gitlab"}},
                "spec": {"application": "a", "componentName": "c", "source": {"git": {"url": git}}},
            });
            serde_json::from_value(object).unwrap()
        };
        assert_eq!(Source::of(&component(" ")), None);
        assert_eq!(Source::of(&Component::default()), None);
        let source = Source::of(&component("https://git.example.com/a/b")).unwrap().unwrap();
        assert_eq!(source.provider, Provider::GitLab);
    }
}
