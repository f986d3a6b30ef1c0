//! Addresses of files as a browser shows them: each forge has its own form.

use fleet::outbound::Url;
use forge::Repository;
use percent_encoding::percent_decode_str;
use pipelines_as_code_api::pipeline_run::GitProvider;

use super::reference::{FileAt, checked_path};

/// Where GitHub has files without a page around them.
const GITHUB_RAW: &str = "raw.githubusercontent.com";

/// The file that an address of the event's forge shows. `None` for what shows no file, and for other servers: those never see a
/// credential. An error for a file that cannot be.
pub(super) fn file(provider: GitProvider, server: &str, url: &Url) -> Option<Result<FileAt, String>> {
    let server = Url::parse(server).ok()?;
    let parts: Vec<&str> = url.path_segments()?.collect();
    let place = if is_same(&server, url) {
        let below = server.path_segments().into_iter().flatten().filter(|part| !part.is_empty()).count();
        shown(provider, parts.get(below..)?, url)?
    } else if is_raw_host(provider, &server, url) {
        let [owner, name, rest @ ..] = parts.as_slice() else { return None };
        Place::new((*owner).to_owned(), name, without_ref(rest))?
    } else {
        return None;
    };
    Some(place.decoded())
}

/// Parts of an address, as they are written.
struct Place<'a> {
    owner: String,
    name: &'a str,
    revision: &'a str,
    path: Vec<&'a str>,
}

impl<'a> Place<'a> {
    /// `rest` is the revision and the path.
    fn new(owner: String, name: &'a str, rest: &[&'a str]) -> Option<Self> {
        let [revision, path @ ..] = rest else { return None };
        (!path.is_empty()).then(|| Self { owner, name, revision, path: path.to_vec() })
    }

    fn decoded(self) -> Result<FileAt, String> {
        let decoded = |text: &str| {
            let bytes = percent_decode_str(text).decode_utf8();
            bytes.map(std::borrow::Cow::into_owned).map_err(|_| format!("{text:?} is no text in UTF-8"))
        };
        let repository = Repository::new(&decoded(&self.owner)?, &decoded(self.name)?)
            .map_err(|error| error.to_string())?;
        let path = checked_path(&decoded(&self.path.join("/"))?)?;
        let revision = decoded(self.revision)?;
        let of_refs = ["refs/heads/", "refs/tags/"].iter().find_map(|prefix| revision.strip_prefix(prefix));
        let revision = of_refs.unwrap_or(&revision).to_owned();
        // Forges take it as a part of a path or of a query.
        let is_harmless = |part: &str| !part.is_empty() && part != "." && part != "..";
        if revision.starts_with('-') || !revision.split('/').all(is_harmless) {
            return Err(format!("{revision:?} is no branch, tag or commit"));
        }
        Ok(FileAt { repository, revision, path })
    }
}

/// The form of each forge.
fn shown<'a>(provider: GitProvider, parts: &[&'a str], url: &'a Url) -> Option<Place<'a>> {
    match (provider, parts) {
        (GitProvider::GitHub | GitProvider::GitHubEnterprise, [owner, name, "blob" | "raw", rest @ ..]) => {
            Place::new((*owner).to_owned(), name, without_ref(rest))
        }
        (GitProvider::GitLab, parts) => {
            let at = parts.iter().position(|part| *part == "-")?;
            let ([owner @ .., name], ["-", "blob" | "raw", rest @ ..]) = parts.split_at(at) else {
                return None;
            };
            Place::new(owner.join("/"), name, rest)
        }
        (GitProvider::Gitea, [owner, name, "src" | "raw", "branch" | "tag" | "commit", rest @ ..])
        | (GitProvider::BitbucketCloud, [owner, name, "src" | "raw", rest @ ..]) => {
            Place::new((*owner).to_owned(), name, rest)
        }
        (
            GitProvider::BitbucketServer,
            [kind @ ("projects" | "users"), owner, "repos", name, "browse" | "raw", path @ ..],
        ) => {
            let mut pairs = url.query().into_iter().flat_map(|query| query.split('&'));
            let revision = pairs.find_map(|pair| pair.strip_prefix("at=")).unwrap_or("HEAD");
            let owner = if *kind == "users" { format!("~{owner}") } else { (*owner).to_owned() };
            (!path.is_empty()).then(|| Place { owner, name, revision, path: path.to_vec() })
        }
        _ => None,
    }
}

/// `refs/heads/main` is `main`.
fn without_ref<'a, 'b>(rest: &'b [&'a str]) -> &'b [&'a str] {
    match rest {
        ["refs", "heads" | "tags", short @ ..] => short,
        long => long,
    }
}

/// Scheme does not count: the forge is asked in its own.
fn is_same(server: &Url, url: &Url) -> bool {
    let is_port = url.port() == server.port() || (url.scheme() != server.scheme() && url.port().is_none());
    url.host_str().is_some() && url.host_str() == server.host_str() && is_port
}

fn is_raw_host(provider: GitProvider, server: &Url, url: &Url) -> bool {
    let (Some(host), Some(of_server)) = (url.host_str(), server.host_str()) else { return false };
    match provider {
        GitProvider::GitHub => of_server == "github.com" && host == GITHUB_RAW,
        GitProvider::GitHubEnterprise => host.strip_prefix("raw.") == Some(of_server),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GITHUB: (GitProvider, &str) = (GitProvider::GitHub, "https://github.com");
    const ENTERPRISE: (GitProvider, &str) = (GitProvider::GitHubEnterprise, "https://ghe.test");
    const GITLAB: (GitProvider, &str) = (GitProvider::GitLab, "https://gitlab.test/git");
    const GITEA: (GitProvider, &str) = (GitProvider::Gitea, "https://gitea.test:3000");
    const CLOUD: (GitProvider, &str) = (GitProvider::BitbucketCloud, "https://bitbucket.org");
    const SERVER: (GitProvider, &str) = (GitProvider::BitbucketServer, "https://bb.test");

    fn read(forge: (GitProvider, &str), url: &str) -> Option<Result<(String, String, String), String>> {
        let found = file(forge.0, forge.1, &Url::parse(url).unwrap())?;
        Some(found.map(|file| (file.repository.to_string(), file.revision, file.path)))
    }

    #[rstest]
    #[case::blob(GITHUB, "https://github.com/o/r/blob/main/t/a.yaml", "o/r", "main", "t/a.yaml")]
    #[case::raw(GITHUB, "https://github.com/o/r/raw/v1/a.yaml", "o/r", "v1", "a.yaml")]
    #[case::raw_host(
        GITHUB,
        "https://raw.githubusercontent.com/o/r/main/t/a.yaml",
        "o/r",
        "main",
        "t/a.yaml"
    )]
    #[case::raw_host_with_ref(
        GITHUB,
        "https://raw.githubusercontent.com/o/r/refs/heads/main/a.yaml",
        "o/r",
        "main",
        "a.yaml"
    )]
    #[case::slash_in_branch(
        GITHUB,
        "https://github.com/o/r/blob/feature%2Fx/a.yaml",
        "o/r",
        "feature/x",
        "a.yaml"
    )]
    #[case::blank_in_path(
        GITHUB,
        "https://github.com/o/r/blob/main/my%20task.yaml",
        "o/r",
        "main",
        "my task.yaml"
    )]
    #[case::other_case(GITHUB, "HTTPS://GitHub.com/o/r/blob/main/a.yaml", "o/r", "main", "a.yaml")]
    #[case::plain(GITHUB, "http://github.com/o/r/blob/main/a.yaml", "o/r", "main", "a.yaml")]
    #[case::enterprise(ENTERPRISE, "https://ghe.test/o/r/blob/main/a.yaml", "o/r", "main", "a.yaml")]
    #[case::enterprise_raw(ENTERPRISE, "https://raw.ghe.test/o/r/main/a.yaml", "o/r", "main", "a.yaml")]
    #[case::gitlab(GITLAB, "https://gitlab.test/git/g/s/r/-/blob/main/t/a.yaml", "g/s/r", "main", "t/a.yaml")]
    #[case::gitlab_raw(GITLAB, "https://gitlab.test/git/g/r/-/raw/main/a.yaml", "g/r", "main", "a.yaml")]
    #[case::gitea(GITEA, "https://gitea.test:3000/o/r/src/branch/main/t/a.yaml", "o/r", "main", "t/a.yaml")]
    #[case::gitea_raw(GITEA, "https://gitea.test:3000/o/r/raw/tag/v1/a.yaml", "o/r", "v1", "a.yaml")]
    #[case::cloud(CLOUD, "https://bitbucket.org/w/r/src/main/a.yaml", "w/r", "main", "a.yaml")]
    #[case::server(
        SERVER,
        "https://bb.test/projects/P/repos/r/browse/t/a.yaml?at=refs%2Fheads%2Fx%2Fy",
        "P/r",
        "x/y",
        "t/a.yaml"
    )]
    #[case::server_personal(
        SERVER,
        "https://bb.test/users/jane/repos/r/raw/a.yaml",
        "~jane/r",
        "HEAD",
        "a.yaml"
    )]
    fn knows_files(
        #[case] forge: (GitProvider, &str),
        #[case] url: &str,
        #[case] repository: &str,
        #[case] revision: &str,
        #[case] path: &str,
    ) {
        let expected = (repository.to_owned(), revision.to_owned(), path.to_owned());
        assert_eq!(read(forge, url), Some(Ok(expected)));
    }

    #[rstest]
    #[case::other_server(GITHUB, "https://evil.test/o/r/blob/main/a.yaml")]
    #[case::name_within_another(GITHUB, "https://github.com.evil.test/o/r/blob/main/a.yaml")]
    #[case::name_as_user(GITHUB, "https://github.com@evil.test/o/r/blob/main/a.yaml")]
    #[case::other_port(GITHUB, "https://github.com:8443/o/r/blob/main/a.yaml")]
    #[case::other_port_in_plain(GITHUB, "http://github.com:8443/o/r/blob/main/a.yaml")]
    #[case::raw_host_of_another(ENTERPRISE, "https://raw.githubusercontent.com/o/r/main/a.yaml")]
    #[case::page(GITHUB, "https://github.com/o/r/releases/download/v1/a.yaml")]
    #[case::no_path(GITHUB, "https://github.com/o/r/blob/main")]
    #[case::other_forges_form(GITLAB, "https://gitlab.test/git/g/r/blob/main/a.yaml")]
    #[case::repository(GITHUB, "https://github.com/o/r")]
    fn leaves_others_alone(#[case] forge: (GitProvider, &str), #[case] url: &str) {
        assert_eq!(read(forge, url), None);
    }

    #[rstest]
    #[case::path_upwards("https://github.com/o/r/blob/main/t%2F..%2F..%2Fa.yaml")]
    #[case::revision_upwards("https://github.com/o/r/blob/..%2F..%2Fx/a.yaml")]
    #[case::option("https://github.com/o/r/blob/--upload-pack/a.yaml")]
    #[case::repository("https://github.com/o/r%3Fx/blob/main/a.yaml")]
    #[case::no_text("https://github.com/o/r/blob/main/%ff.yaml")]
    #[case::empty_part("https://github.com/o/r/blob/main//a.yaml")]
    fn refuses_what_no_file_is(#[case] url: &str) {
        assert!(matches!(read(GITHUB, url), Some(Err(_))), "{:?}", read(GITHUB, url));
    }
}
