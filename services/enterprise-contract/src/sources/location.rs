//! URLs of sources: the forms of go-getter that policies are written with (specification, section 4.5).

use std::path::PathBuf;

use fleet::outbound::Url;
use registry::Reference;

use super::error::Error;

/// Forges whose repositories are named without a scheme, and how many parts a repository's name has there, if that is fixed.
const FORGES: [(&str, Option<usize>); 3] =
    [("github.com", Some(2)), ("gitlab.com", None), ("bitbucket.org", Some(2))];
/// Registries whose images are named without a scheme. A dot in front: and all hosts below.
const REGISTRIES: [&str; 11] = [
    "quay.io",
    "ghcr.io",
    "docker.io",
    "gcr.io",
    ".gcr.io",
    ".pkg.dev",
    ".azurecr.io",
    ".amazonaws.com",
    "registry.gitlab.com",
    "registry.redhat.io",
    "registry.access.redhat.com",
];

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    Git {
        url: Url,
        /// Empty: all of it.
        folder: String,
        /// Absent: what the server calls its own.
        revision: Option<String>,
    },
    Bundle(Reference),
    Web {
        url: Url,
        /// Within an archive. Empty: all of it.
        folder: String,
        /// `sha256:<hex>` that the content must have.
        checksum: Option<String>,
    },
    Folder(PathBuf),
}

impl Location {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::invalid(text, why));
        if text.trim() != text || text.is_empty() || text.contains(char::is_control) {
            return wrong("it is empty, or has blanks or line ends around or in it");
        }
        if let Some((forced, rest)) = forced(text) {
            return match forced {
                "git" => git(text, rest),
                "oci" => bundle(text, rest),
                "file" => Ok(folder(rest)),
                "http" => wrong("http is insecure: anybody on the way could change the rules; use https"),
                "https" => web(text, rest),
                "s3" | "gcs" | "hg" => wrong(&format!(
                    "{forced}:: is not supported; put the files into a Git repository (git::https://…) or a bundle (oci::…)"
                )),
                other => wrong(&format!("{other}:: is unknown; known are git::, oci::, https:// and file::")),
            };
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return match scheme {
                "https" => web(text, text),
                "http" => wrong("http is insecure: anybody on the way could change the rules; use https"),
                "oci" => bundle(text, rest),
                "file" => Ok(folder(rest)),
                "git" | "ssh" => {
                    wrong("Git is spoken by https only: git::https://host/repository//folder?ref=branch")
                }
                "s3" | "gs" | "hg" => wrong("it is not supported; use git::https://… or oci::…"),
                _ => wrong("its scheme is unknown; known are git::https://, oci::, https:// and file::"),
            };
        }
        let (host, _) = text.split_once('/').unwrap_or((text, ""));
        if is_ssh(text) {
            return wrong(
                "Git over ssh needs a key; name its address for https: git::https://host/repository//folder?ref=branch",
            );
        }
        if let Some((_, parts)) = FORGES.iter().find(|(forge, _)| *forge == host) {
            return short(text, *parts);
        }
        if is_registry(host) {
            return bundle(text, text);
        }
        Ok(folder(text))
    }
}

/// The getter that is asked for by `<getter>::`.
fn forced(text: &str) -> Option<(&str, &str)> {
    let (getter, rest) = text.split_once("::")?;
    let is_name = !getter.is_empty() && getter.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some((getter, rest))
}

fn is_ssh(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(user, rest)| !user.contains('/') && rest.contains(':') && !rest.starts_with("sha256"))
}

fn is_registry(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, ""));
    if name == "localhost" || name == "127.0.0.1" {
        return !port.is_empty();
    }
    REGISTRIES.iter().any(|known| *known == name || known.starts_with('.') && name.ends_with(known))
}

fn folder(path: &str) -> Location {
    Location::Folder(PathBuf::from(path.trim_start_matches("file://")))
}

fn bundle(text: &str, rest: &str) -> Result<Location, Error> {
    let rest = rest.strip_prefix("https://").or_else(|| rest.strip_prefix("oci://")).unwrap_or(rest);
    if rest.starts_with("http://") {
        return Err(Error::invalid(
            text,
            "http is insecure: anybody on the way could change the rules; use https",
        ));
    }
    rest.parse().map(Location::Bundle).map_err(|error| Error::invalid(text, format!("{error}")))
}

/// `github.com/org/repository//folder?ref=branch`
fn short(text: &str, parts: Option<usize>) -> Result<Location, Error> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let (repository, mut folder) = match path.split_once("//") {
        Some((repository, folder)) => (repository.to_owned(), folder.to_owned()),
        None => (path.to_owned(), String::new()),
    };
    let mut names: Vec<&str> = repository.trim_end_matches('/').split('/').collect();
    if names.len() < 3 {
        return Err(Error::invalid(text, "it names no repository, as github.com/org/repository//folder"));
    }
    // What is behind the repository is a folder, also without the second slash.
    if let Some(parts) = parts {
        let rest = names.split_off(names.len().min(parts + 1));
        folder = [rest.join("/"), folder]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/");
    }
    let repository = names.join("/");
    let repository = repository.trim_end_matches(".git");
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    git(text, &format!("https://{repository}.git//{folder}{query}"))
}

/// `https://host/repository//folder?ref=branch`
fn git(text: &str, rest: &str) -> Result<Location, Error> {
    let wrong = |why: &str| Err(Error::invalid(text, why));
    if is_ssh(rest) || rest.starts_with("ssh://") || rest.starts_with("git://") {
        return wrong("Git is spoken by https only: git::https://host/repository//folder?ref=branch");
    }
    let rest = if rest.contains("://") { rest.to_owned() } else { format!("https://{rest}") };
    let Address { url, folder, query } = address(text, &rest)?;
    let mut revision = None;
    for (key, value) in query {
        match key.as_str() {
            "ref" => revision = Some(value).filter(|revision| !revision.is_empty()),
            // We never fetch more than the one commit.
            "depth" => {}
            _ => {
                return wrong(&format!(
                    "parameter {key:?} is unknown; a branch, tag or commit is named by ?ref="
                ));
            }
        }
    }
    if revision.as_deref().is_some_and(|revision| !git::is_revision(revision)) {
        return wrong("?ref= is no branch, tag or commit");
    }
    Ok(Location::Git { url, folder, revision })
}

fn web(text: &str, rest: &str) -> Result<Location, Error> {
    let Address { mut url, folder, query } = address(text, rest)?;
    let mut checksum = None;
    for (key, value) in query {
        if key == "checksum" {
            let digest = value.parse::<registry::Digest>();
            let digest = digest
                .map_err(|_| Error::invalid(text, "?checksum= is sha256: and 64 hexadecimal digits"))?;
            checksum = Some(digest.to_string());
        } else {
            url.query_pairs_mut().append_pair(&key, &value);
        }
    }
    Ok(Location::Web { url, folder, checksum })
}

struct Address {
    /// Without query.
    url: Url,
    folder: String,
    query: Vec<(String, String)>,
}

/// An address, with `//folder` and a query behind it.
fn address(text: &str, rest: &str) -> Result<Address, Error> {
    let wrong = |why: &str| Error::invalid(text, why);
    let (scheme, path) = rest.split_once("://").ok_or_else(|| wrong("it is no address"))?;
    if scheme == "http" && !path.starts_with("127.0.0.1:") && !path.starts_with("localhost:") {
        return Err(wrong("http is insecure: anybody on the way could change the rules; use https"));
    }
    if scheme != "https" && scheme != "http" {
        return Err(wrong("only https is spoken"));
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (path, folder) = path.split_once("//").unwrap_or((path, ""));
    let folder = folder.trim_matches('/');
    if !folder.is_empty() && !git::is_path(folder) {
        return Err(wrong("what stands behind // is no folder within it"));
    }
    let url = Url::parse(&format!("{scheme}://{path}")).map_err(|error| wrong(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid(
            "(not shown)",
            "an address of a source must hold no user or password: everybody who may read the policy would read them",
        ));
    }
    if url.host_str().is_none() || url.fragment().is_some() {
        return Err(wrong("it is no address of a host, or has a #"));
    }
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Ok(Address { url, folder: folder.to_owned(), query })
}

/// The URL of one commit.
pub(super) fn pinned_git(url: &Url, folder: &str, commit: &str) -> String {
    let separator = if folder.is_empty() { "" } else { "//" };
    format!("git::{url}{separator}{folder}?ref={commit}")
}

/// What to do where a page for people was named.
pub(super) fn scheme_less(text: &str) -> String {
    let rest = text.strip_prefix("https://").unwrap_or_default();
    if FORGES.iter().any(|(forge, _)| rest.split('/').next() == Some(*forge)) {
        return format!("; it may be a page for people: leave https:// out to have the repository ({rest})");
    }
    ": no file whose name ends in .rego".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn shown(location: Location) -> String {
        match location {
            Location::Git { url, folder, revision } => {
                format!("git {url} {folder:?} {}", revision.as_deref().unwrap_or("-"))
            }
            Location::Bundle(reference) => format!("oci {reference}"),
            Location::Web { url, folder, checksum } => {
                format!("web {url} {folder:?} {}", checksum.as_deref().unwrap_or("-"))
            }
            Location::Folder(path) => format!("file {}", path.display()),
        }
    }

    #[rstest]
    #[case::git("git::https://git.test/o/r.git//a/b?ref=v1", "git https://git.test/o/r.git \"a/b\" v1")]
    #[case::git_without_folder(
        "git::https://git.test/o/r.git?ref=v1",
        "git https://git.test/o/r.git \"\" v1"
    )]
    #[case::git_without_scheme("git::git.test/o/r//a", "git https://git.test/o/r \"a\" -")]
    #[case::git_depth("git::https://git.test/o/r?ref=v1&depth=1", "git https://git.test/o/r \"\" v1")]
    #[case::github("github.com/o/r//a/b?ref=main", "git https://github.com/o/r.git \"a/b\" main")]
    #[case::github_one_slash("github.com/o/r/a/b", "git https://github.com/o/r.git \"a/b\" -")]
    #[case::github_git("github.com/o/r.git", "git https://github.com/o/r.git \"\" -")]
    #[case::gitlab_groups("gitlab.com/g/sub/r//a", "git https://gitlab.com/g/sub/r.git \"a\" -")]
    #[case::oci("oci::quay.io/o/p:v1", "oci quay.io/o/p:v1")]
    #[case::oci_scheme("oci://quay.io/o/p", "oci quay.io/o/p:latest")]
    #[case::oci_https("oci::https://quay.io/o/p", "oci quay.io/o/p:latest")]
    #[case::bare_registry("quay.io/o/p:v1", "oci quay.io/o/p:v1")]
    #[case::bare_local("localhost:5000/p:v1", "oci localhost:5000/p:v1")]
    #[case::bare_loopback("127.0.0.1:5000/p", "oci 127.0.0.1:5000/p:latest")]
    #[case::bare_below("me.azurecr.io/p", "oci me.azurecr.io/p:latest")]
    #[case::web("https://h.test/p.tar.gz//a?x=y", "web https://h.test/p.tar.gz?x=y \"a\" -")]
    #[case::file("file::policy", "file policy")]
    #[case::file_scheme("file:///etc/policy", "file /etc/policy")]
    #[case::path("./policy", "file ./policy")]
    #[case::word("policy", "file policy")]
    #[case::host_that_looks_alike("notquay.io/o/p", "file notquay.io/o/p")]
    fn understands(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(shown(Location::parse(text).unwrap()), expected);
    }

    #[rstest]
    #[case::http("http://h.test/p.tar.gz", "insecure")]
    #[case::forced_http("http::h.test/p", "insecure")]
    #[case::git_http("git::http://git.test/o/r", "insecure")]
    #[case::oci_http("oci::http://r.test/p", "insecure")]
    #[case::ssh("git::ssh://git@git.test/o/r", "https only")]
    #[case::scp("git@git.test:o/r", "over ssh needs a key")]
    #[case::s3("s3::https://s3.test/b", "not supported")]
    #[case::gcs("gcs::https://x", "not supported")]
    #[case::hg("hg::https://x", "not supported")]
    #[case::other("ftp://x", "scheme is unknown")]
    #[case::forced_other("ext::sh -c x", "ext:: is unknown")]
    #[case::option("git::https://git.test/o/r?ref=--upload-pack=x", "?ref= is no branch")]
    #[case::ssh_key("git::https://git.test/o/r?sshkey=x", "\"sshkey\" is unknown")]
    #[case::folder_up("git::https://git.test/o/r//../x", "no folder within")]
    #[case::password("git::https://u:hunter2@git.test/o/r", "no user or password")]
    #[case::bad_image("oci::quay.io/UPPER", "no image reference")]
    #[case::empty("", "empty")]
    #[case::no_repository("github.com/o", "names no repository")]
    #[case::bad_checksum("https://h.test/p?checksum=md5:x", "checksum")]
    fn refuses(#[case] text: &str, #[case] expected: &str) {
        let error = Location::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,60}", form in 0_usize..6) {
            let prefix = ["", "git::", "oci::", "https://", "github.com/", "file::"][form];
            let _ = Location::parse(&format!("{prefix}{text}"));
        }
    }
}
