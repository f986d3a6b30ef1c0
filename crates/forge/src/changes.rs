//! What services change at a forge: files, pull requests that propose them, and webhooks.

use fleet::Secret;
use fleet::outbound::{self, Url};
use futures::future::BoxFuture;

use crate::contents::{Access, Commit, Provider, Repository};
use crate::conversation::Forge;
use crate::error::Error;
use crate::gitea::Gitea;
use crate::github::GitHub;
use crate::gitlab::GitLab;

/// Changes repositories with one credential. A pull request is what GitLab calls a merge request; both of its branches are in
/// the same repository.
pub trait Changes: Forge {
    fn about<'a>(&'a self, repository: &'a Repository) -> BoxFuture<'a, Result<RepositoryInfo, Error>>;

    /// The commit that a branch is at. `None` if there is no such branch.
    fn branch_head<'a>(
        &'a self,
        repository: &'a Repository,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<Option<Commit>, Error>>;

    /// Puts one commit onto a branch, which is made if it is new, and never by force: [`Error::Conflict`] if somebody else was
    /// faster.
    fn push<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a NewCommit,
    ) -> BoxFuture<'a, Result<Commit, Error>>;

    /// As [`push`](Self::push), onto a branch that has to be new: [`Error::Conflict`] if it is there. By fewer calls.
    fn begin<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a NewCommit,
    ) -> BoxFuture<'a, Result<Commit, Error>>;

    /// The open pull requests from branch `head` to branch `base`.
    fn requests<'a>(
        &'a self,
        repository: &'a Repository,
        head: &'a str,
        base: &'a str,
    ) -> BoxFuture<'a, Result<Vec<OpenRequest>, Error>>;

    /// Opens a pull request. Of what is there already: see [`requests`](Self::requests).
    fn open_request<'a>(
        &'a self,
        repository: &'a Repository,
        request: &'a NewRequest,
    ) -> BoxFuture<'a, Result<Opened, Error>>;

    /// Gives an open pull request this title and text, and these labels beside those that it has.
    fn update_request<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
        request: &'a NewRequest,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Deletes a branch, which closes pull requests from it. Whether it was there.
    fn delete_branch<'a>(
        &'a self,
        repository: &'a Repository,
        branch: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>>;

    /// Has the events of [`Hook`] sent to its address, signed with its secret. Other webhooks, and other events of this one, stay
    /// as they are. Whether it was made.
    fn ensure_hook<'a>(
        &'a self,
        repository: &'a Repository,
        hook: &'a Hook,
    ) -> BoxFuture<'a, Result<bool, Error>>;

    /// Deletes all webhooks with this address. Whether there was one.
    fn delete_hook<'a>(
        &'a self,
        repository: &'a Repository,
        url: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>>;
}

/// What is known of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryInfo {
    /// Empty in a repository without a commit.
    pub default_branch: String,
    /// Whether it is hidden from those who have not signed in.
    pub is_private: bool,
    /// Whether nothing can be changed.
    pub is_archived: bool,
    /// Where people see it.
    pub url: String,
}

/// A commit to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    pub branch: String,
    /// Where the branch begins if it is new.
    pub base: Commit,
    pub changes: Vec<FileChange>,
    pub message: String,
    /// Absent means whose credential it is.
    pub author: Option<Author>,
}

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// From the root of the repository, with `/` between the parts.
    pub path: String,
    /// `None` deletes it. Deleting what is not there is no error.
    pub content: Option<Vec<u8>>,
    /// Whether it is a program. GitHub and GitLab set it; Gitea lets an existing file keep what it is, and makes new ones that are
    /// none.
    pub executable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub email: String,
}

/// A pull request to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRequest {
    /// Branch with the changes.
    pub head: String,
    /// Branch where they shall go to.
    pub base: String,
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Those that the repository does not know are made.
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    pub number: u64,
    /// Where people see it.
    pub url: String,
}

/// What came of [`Changes::open_request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    Request(OpenRequest),
    /// All of the branch is in the other already.
    NoDifference,
}

/// A webhook for pushes, pull requests, and comments.
#[derive(Clone, Debug)]
pub struct Hook {
    pub url: String,
    pub secret: Secret<String>,
    /// Whether the forge checks the certificate of `url`. Gitea decides that for all of its webhooks.
    pub verify_tls: bool,
}

/// As [`converse`](crate::converse), for all that [`Changes`] is.
pub fn change(
    provider: Provider,
    server: &Url,
    access: Access<'_>,
    outbound: &outbound::Client,
) -> Result<Box<dyn Changes>, Error> {
    let token = access.token;
    Ok(match provider {
        Provider::GitHub => Box::new(GitHub::new(server, token, access.is_app, outbound)?),
        Provider::GitLab => Box::new(GitLab::new(server, token, outbound)?),
        Provider::Gitea => Box::new(Gitea::new(server, token, outbound)?),
        Provider::BitbucketCloud | Provider::BitbucketServer => {
            return Err(Error::invalid(
                server,
                format!("nothing can be changed at forges of type {provider}"),
            ));
        }
    })
}

/// What is in a file, as forges take it in JSON.
pub(crate) fn base64(content: &[u8]) -> String {
    data_encoding::BASE64.encode(content)
}
