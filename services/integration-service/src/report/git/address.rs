//! URLs of repositories.

use fleet::ObjectKey;
use fleet::outbound::Url;

/// By what a Repository is found: its namespace, and its URL in one spelling (contracts.md, d): lower-case host, nothing of users, no
/// slash and no `.git` at the end. What is no URL stays as it is.
pub(crate) fn key_of(namespace: &str, url: &str) -> ObjectKey {
    let url = match web_url(url.trim()) {
        Some(url) => {
            let path = url.path().trim_end_matches('/');
            let path = path.strip_suffix(".git").unwrap_or(path);
            format!("{}{}", origin(&url), path.trim_start_matches('/'))
        }
        None => url.trim().to_owned(),
    };
    ObjectKey::new(namespace, url)
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

/// Host and port.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Owner and name, as forges have them in addresses.
pub(super) fn path_of(url: &Url) -> Option<forge::Repository> {
    let path = url.path().trim_matches('/');
    let parts: Vec<&str> = path.strip_suffix(".git").unwrap_or(path).split('/').collect();
    let found = match parts.as_slice() {
        // Bitbucket Server.
        ["projects", owner, "repos", name, ..] => forge::Repository::new(owner, name),
        ["users", owner, "repos", name, ..] => forge::Repository::new(&format!("~{owner}"), name),
        // At GitLab groups have groups.
        [group @ .., name] => forge::Repository::new(&group.join("/"), name),
        [] => return None,
    };
    found.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::slash("https://git.test/acme/app/")]
    #[case::git("https://git.test/acme/app.git")]
    #[case::both("https://git.test/acme/app.git/")]
    #[case::host("https://GIT.test/acme/app")]
    #[case::user("https://me:secret@git.test/acme/app")]
    #[case::blanks(" https://git.test/acme/app ")]
    fn spellings_of_one_url(#[case] url: &str) {
        assert_eq!(key_of("n", url), key_of("n", "https://git.test/acme/app"));
    }

    #[rstest]
    #[case::path("https://git.test/acme/App")]
    #[case::port("https://git.test:8443/acme/app")]
    #[case::scheme("http://git.test/acme/app")]
    #[case::none("acme/app")]
    fn other_urls(#[case] url: &str) {
        assert_ne!(key_of("n", url), key_of("n", "https://git.test/acme/app"));
    }

    #[rstest]
    #[case("https://github.com/acme/app.git", "acme/app")]
    #[case("https://gitlab.com/acme/platform/app/", "acme/platform/app")]
    #[case("https://bitbucket.test/projects/ACME/repos/app/browse", "ACME/app")]
    fn names_repositories(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(path_of(&web_url(url).unwrap()).unwrap().to_string(), expected);
    }

    #[test]
    fn a_host_names_none() {
        assert_eq!(path_of(&web_url("https://github.com/").unwrap()), None);
    }
}
