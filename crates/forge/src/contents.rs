//! What services ask of a forge's repositories.

use std::fmt;
use std::str::FromStr;

use fleet::Secret;
use fleet::outbound::{self, Url};
use futures::future::BoxFuture;

use crate::bitbucket::{Cloud, Server};
use crate::conversation::Forge;
use crate::error::Error;
use crate::gitea::Gitea;
use crate::github::GitHub;
use crate::gitlab::GitLab;

/// Reads a forge's repositories with one credential.
pub trait Contents: Send + Sync {
    /// The commit that a branch, a tag or a commit's own name is at.
    fn commit<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<Commit, Error>>;

    /// A file of a commit, of at most `limit` bytes.
    fn file<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        path: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>>;

    /// Where Git would clone it from.
    fn clone_url(&self, repository: &Repository) -> String;
}

/// Whose API a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, strum::EnumString, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Provider {
    #[default]
    GitHub,
    GitLab,
    #[strum(to_string = "gitea", serialize = "forgejo")]
    Gitea,
    #[strum(to_string = "bitbucket-cloud", serialize = "bitbucketcloud")]
    BitbucketCloud,
    /// Data Center, as it is called now.
    #[strum(
        to_string = "bitbucket-server",
        serialize = "bitbucketserver",
        serialize = "bitbucket-datacenter"
    )]
    BitbucketServer,
}

impl Provider {
    /// The server that is meant where none is named. There is no such of what everybody runs themselves.
    pub fn default_server(self) -> Option<&'static str> {
        match self {
            Self::GitHub => Some("https://github.com"),
            Self::GitLab => Some("https://gitlab.com"),
            Self::BitbucketCloud => Some("https://bitbucket.org"),
            Self::Gitea | Self::BitbucketServer => None,
        }
    }
}

/// Reads `server` (`https://github.com`, or the address of its API), with `token` if there is one, which goes to no other
/// server.
pub fn connect(
    provider: Provider,
    server: &Url,
    token: Option<&Secret<String>>,
    outbound: &outbound::Client,
) -> Result<Box<dyn Contents>, Error> {
    Ok(match provider {
        Provider::GitHub => Box::new(GitHub::new(server, token, false, outbound)?),
        Provider::GitLab => Box::new(GitLab::new(server, token, outbound)?),
        Provider::Gitea => Box::new(Gitea::new(server, token, outbound)?),
        Provider::BitbucketCloud => {
            Box::new(Cloud::new(server, Access { token, ..Access::default() }, outbound)?)
        }
        Provider::BitbucketServer => Box::new(Server::new(server, token, outbound)?),
    })
}

/// A credential for a forge.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access<'a> {
    pub token: Option<&'a Secret<String>>,
    /// Whose token it is. Bitbucket Cloud has to be told of an app password, and takes other tokens without.
    pub user: Option<&'a str>,
    /// The token is of an installation of a GitHub App.
    pub is_app: bool,
}

/// As [`connect`], for all that [`Forge`] is.
pub fn converse(
    provider: Provider,
    server: &Url,
    access: Access<'_>,
    outbound: &outbound::Client,
) -> Result<Box<dyn Forge>, Error> {
    let token = access.token;
    Ok(match provider {
        Provider::GitHub => Box::new(GitHub::new(server, token, access.is_app, outbound)?),
        Provider::GitLab => Box::new(GitLab::new(server, token, outbound)?),
        Provider::Gitea => Box::new(Gitea::new(server, token, outbound)?),
        Provider::BitbucketCloud => Box::new(Cloud::new(server, access, outbound)?),
        Provider::BitbucketServer => Box::new(Server::new(server, token, outbound)?),
    })
}

/// Owner (at GitLab a group, maybe with groups in it) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Repository {
    owner: String,
    name: String,
}

/// What names no repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no repository: expected owner/name, of letters, digits and . _ -")]
pub struct InvalidRepository(String);

impl Repository {
    /// Owner and name become parts of a path, so they are made of harmless characters only.
    pub fn new(owner: &str, name: &str) -> Result<Self, InvalidRepository> {
        let is_part = |part: &str| {
            let is_harmless = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !part.is_empty()
                && part.chars().all(is_harmless)
                && !part.starts_with(['.', '-'])
                && !part.contains("..")
        };
        // Bitbucket has people's own repositories below `~name`.
        let group = owner.strip_prefix('~').unwrap_or(owner);
        if is_part(name) && group.split('/').all(is_part) {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(InvalidRepository(format!("{owner}/{name}")))
        }
    }

    pub fn owner(&self) -> &str {
        &self.owner
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The full name of a commit: 40 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Commit(String);

impl Commit {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Commit {
    type Err = NoCommit;

    fn from_str(text: &str) -> Result<Self, NoCommit> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 40 && text.bytes().all(is_hex) { Ok(Self(text.to_owned())) } else { Err(NoCommit) }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the full name of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name of a commit has 40 lower-case hexadecimal digits")]
pub struct NoCommit;

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::github("konflux-ci", "build.definitions", true)]
    #[case::subgroup("group/sub", "repo", true)]
    #[case::personal("~jane", "repo", true)]
    #[case::empty("", "repo", false)]
    #[case::parent("..", "repo", false)]
    #[case::parent_within("group/..", "repo", false)]
    #[case::slash("org", "repo/contents", false)]
    #[case::query("org", "repo?x", false)]
    #[case::escape("org", "a%2Fb", false)]
    #[case::option("-o", "repo", false)]
    fn checks_repositories(#[case] owner: &str, #[case] name: &str, #[case] is_one: bool) {
        assert_eq!(Repository::new(owner, name).is_ok(), is_one);
    }

    #[rstest]
    #[case("github", Provider::GitHub)]
    #[case("gitlab", Provider::GitLab)]
    #[case("gitea", Provider::Gitea)]
    #[case("bitbucket-cloud", Provider::BitbucketCloud)]
    #[case("bitbucket-server", Provider::BitbucketServer)]
    fn providers_have_the_names_of_repositories(#[case] name: &str, #[case] provider: Provider) {
        assert_eq!(name.parse(), Ok(provider));
        assert_eq!(provider.to_string(), name);
    }

    #[rstest]
    #[case("forgejo", Provider::Gitea)]
    #[case("bitbucketcloud", Provider::BitbucketCloud)]
    #[case("bitbucket-datacenter", Provider::BitbucketServer)]
    fn providers_have_other_names(#[case] name: &str, #[case] provider: Provider) {
        assert_eq!(name.parse(), Ok(provider));
    }

    #[test]
    fn a_commit_is_its_full_name() {
        assert!("8cc5aef17d528ca5ab893dd430004fec8bf9beaa".parse::<Commit>().is_ok());
        assert!("8CC5AEF17D528CA5AB893DD430004FEC8BF9BEAA".parse::<Commit>().is_err());
        assert!("8cc5aef".parse::<Commit>().is_err());
    }
}
