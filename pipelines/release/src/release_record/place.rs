//! The repository where a release is made.

use anyhow::{Context as _, bail, ensure};
use forge::{Commit, Provider, Repository};
use url::Url;

use super::Settings;
use crate::apply_mapping::mapped::{Git, Snapshot};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) provider: Provider,
    pub(super) server: Url,
    pub(super) repository: Repository,
    /// What the images of this repository were built from. `None` if that is not one commit.
    pub(super) commit: Option<Commit>,
}

impl Place {
    pub(super) fn url(&self) -> String {
        format!("{}/{}", self.server.as_str().trim_end_matches('/'), self.repository)
    }
}

/// At least one.
pub(super) fn places(settings: &Settings, snapshot: &Snapshot) -> anyhow::Result<Vec<Place>> {
    let server: Url = settings.server.parse().with_context(|| {
        format!(
            "data.releaseRecord.server is {:?}: expected an address such as https://github.com",
            settings.server
        )
    })?;
    ensure!(server.scheme() == "https", "data.releaseRecord.server is {server}: expected https");
    let provider = provider(settings.provider.as_deref(), &server)?;
    let sources: Vec<(Repository, Option<Commit>)> = snapshot
        .components
        .iter()
        .filter_map(|one| source(one.source.as_ref()?.git.as_ref()?, &server))
        .collect();
    let mut repositories: Vec<Repository> = Vec::new();
    if let Some(name) = &settings.repository {
        let (owner, name) = name
            .rsplit_once('/')
            .with_context(|| format!("data.releaseRecord.repository is {name:?}: expected owner/name"))?;
        repositories.push(Repository::new(owner, name).context("data.releaseRecord.repository")?);
    } else {
        for (repository, _) in &sources {
            if !repositories.contains(repository) {
                repositories.push(repository.clone());
            }
        }
        ensure!(
            !repositories.is_empty(),
            "no component of the Snapshot has its source at {server}: set data.releaseRecord.repository"
        );
    }
    let place = |repository: Repository| {
        let mut commits = sources.iter().filter(|(of, _)| *of == repository).map(|(_, commit)| commit);
        let first = commits.next().cloned().flatten();
        let commit = first.filter(|first| commits.all(|other| other.as_ref() == Some(first)));
        Place { provider, server: server.clone(), repository, commit }
    };
    Ok(repositories.into_iter().map(place).collect())
}

fn provider(name: Option<&str>, server: &Url) -> anyhow::Result<Provider> {
    if let Some(name) = name {
        return name.parse().ok().with_context(|| {
            format!("data.releaseRecord.provider is {name:?}: expected github, gitlab, or gitea (forgejo)")
        });
    }
    match server.host_str() {
        Some("github.com") => Ok(Provider::GitHub),
        Some("gitlab.com") => Ok(Provider::GitLab),
        _ => bail!(
            "data.releaseRecord.provider is missing: {server} does not tell whether it is github, gitlab or gitea"
        ),
    }
}

/// The repository and commit of a source at this server; `None` at all others.
fn source(git: &Git, server: &Url) -> Option<(Repository, Option<Commit>)> {
    let url: Url = git.url.parse().ok().filter(|url: &Url| url.origin() == server.origin())?;
    let path = url.path().strip_prefix(server.path().trim_end_matches('/'))?;
    let path = path.trim_matches('/');
    let (owner, name) = path.strip_suffix(".git").unwrap_or(path).rsplit_once('/')?;
    Some((Repository::new(owner, name).ok()?, git.revision.parse().ok()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    const OTHER: &str = "1123456789abcdef0123456789abcdef01234567";

    fn found(settings: &serde_json::Value, sources: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
        let mut all = json!({"server": "https://github.com", "tag": "v1"});
        for (key, value) in settings.as_object().unwrap() {
            all[key] = value.clone();
        }
        let components: Vec<_> = sources
            .iter()
            .map(
                |(url, revision)| json!({"name": "a", "source": {"git": {"url": url, "revision": revision}}}),
            )
            .collect();
        let snapshot = serde_json::from_value(json!({"components": components})).unwrap();
        let places = places(&serde_json::from_value(all).unwrap(), &snapshot)?;
        let shown = |place: &Place| {
            let commit = place.commit.as_ref().map_or("-", Commit::as_str);
            format!("{} {} {commit}", place.provider, place.url())
        };
        Ok(places.iter().map(shown).collect())
    }

    #[rstest]
    #[case::of_components(
        json!({}), &[("https://github.com/a/b.git", COMMIT), ("https://github.com/a/b", COMMIT), ("https://gitlab.com/x/y", OTHER)],
        &["github https://github.com/a/b 0123456789abcdef0123456789abcdef01234567"]
    )]
    #[case::two_commits_are_none(
        json!({}), &[("https://github.com/a/b", COMMIT), ("https://github.com/a/b", OTHER)], &["github https://github.com/a/b -"]
    )]
    #[case::named(json!({"repository": "c/d"}), &[("https://github.com/a/b", COMMIT)], &["github https://github.com/c/d -"])]
    #[case::named_with_its_commit(
        json!({"repository": "a/b"}), &[("https://github.com/a/b", COMMIT)], &["github https://github.com/a/b 0123456789abcdef0123456789abcdef01234567"]
    )]
    #[case::below_a_path(
        json!({"server": "https://git.test/forge/", "provider": "forgejo"}), &[("https://git.test/forge/a/b", COMMIT)],
        &["gitea https://git.test/forge/a/b 0123456789abcdef0123456789abcdef01234567"]
    )]
    #[case::groups(
        json!({"server": "https://gitlab.com"}), &[("https://gitlab.com/g/h/b", "main")], &["gitlab https://gitlab.com/g/h/b -"]
    )]
    fn where_a_release_is_made(
        #[case] settings: serde_json::Value,
        #[case] sources: &[(&str, &str)],
        #[case] expected: &[&str],
    ) {
        assert_eq!(found(&settings, sources).unwrap(), expected);
    }

    #[rstest]
    #[case::nowhere(json!({}), "set data.releaseRecord.repository")]
    #[case::unknown_forge(json!({"server": "https://git.test"}), "data.releaseRecord.provider is missing")]
    #[case::no_provider(json!({"provider": "svn"}), "expected github, gitlab")]
    #[case::plain(json!({"server": "http://github.com"}), "expected https")]
    #[case::no_server(json!({"server": "github.com"}), "expected an address")]
    #[case::no_owner(json!({"repository": "app"}), "expected owner/name")]
    #[case::path(json!({"repository": "a/../b"}), "is no repository")]
    fn bad_settings_are_named(#[case] settings: serde_json::Value, #[case] words: &str) {
        let sources =
            [("https://github.com.evil.test/a/b", COMMIT), ("git@github.com:a/b", COMMIT), ("nonsense", "")];
        let error = format!("{:#}", found(&settings, &sources).unwrap_err());
        assert!(error.contains(words), "{error}");
    }
}
