//! What services ask of a forge beside [`Contents`]: what an event is about, who took part, and where to report.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::contents::{Commit, Contents, Repository};
use crate::error::Error;

/// A forge's repositories, the people around them and the answers that they wait for, with one credential.
pub trait Forge: Contents {
    /// The commit that a branch, a tag or a commit's own name is at, with what a person would read of it.
    fn describe<'a>(
        &'a self,
        repository: &'a Repository,
        revision: &'a str,
    ) -> BoxFuture<'a, Result<CommitText, Error>>;

    fn pull_request<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
    ) -> BoxFuture<'a, Result<PullRequest, Error>>;

    /// Numbers of the open pull requests whose head is this commit.
    fn pull_requests_of<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
    ) -> BoxFuture<'a, Result<Vec<u64>, Error>>;

    /// The files of a directory of a commit, those of its directories too, in the order of their paths. Empty if
    /// there is no such directory. Links and submodules are left out.
    fn files<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        directory: &'a str,
        limits: FileLimits,
        wanted: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Vec<File>, Error>>;

    /// At most 3000, and of GitHub's pushes 300, which is what forges tell of.
    fn changed_files<'a>(
        &'a self,
        repository: &'a Repository,
        change: &'a Change,
    ) -> BoxFuture<'a, Result<ChangedFiles, Error>>;

    /// Whether somebody takes part in the repository by the forge's own rules: its owner, a member of its
    /// organisation or group (also by a parent of it), or a collaborator.
    fn is_contributor<'a>(
        &'a self,
        repository: &'a Repository,
        user: &'a User,
    ) -> BoxFuture<'a, Result<bool, Error>>;

    /// Whether somebody is in a team of the repository's organisation. `None` if there is no such team, or the
    /// forge has none.
    fn is_in_team<'a>(
        &'a self,
        repository: &'a Repository,
        team: &'a str,
        user: &'a User,
    ) -> BoxFuture<'a, Result<Option<bool>, Error>>;

    /// The comments on a pull request, oldest first; the first thousand (Bitbucket Server: the last).
    fn comments<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
    ) -> BoxFuture<'a, Result<Vec<Comment>, Error>>;

    /// Comments on a pull request, in place of the comment `instead_of` if that is still there. Too long a text is cut.
    fn comment<'a>(
        &'a self,
        repository: &'a Repository,
        number: u64,
        text: &'a str,
        instead_of: Option<CommentId>,
    ) -> BoxFuture<'a, Result<CommentId, Error>>;

    /// Says at a commit how one of its runs does. What was said under the same context before is replaced.
    fn report<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        report: &'a Report,
    ) -> BoxFuture<'a, Result<Reported, Error>>;

    /// As [`report`](Self::report), for those who keep no note of what they said, or may have died before they made it: what is
    /// there under the same name is continued, and left alone where it says the same. At forges that replace what has the
    /// same name by themselves it is the same.
    fn announce<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        report: &'a Report,
        _before: Before,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move { self.report(repository, commit, report).await.map(drop) }.boxed()
    }
}

/// Where [`Forge::announce`] looks for what was said before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// GitHub: number of our App. Check runs of others are not ours, whatever they are called.
    pub app: Option<u64>,
    /// GitLab: the merge request, whose pipeline the status goes to if there is one.
    pub merge_request: Option<u64>,
}

/// Makes the comment on a pull request that begins with `mark`, or puts `text`, which does too, in its place. A crash in between
/// says nothing twice.
///
/// # Errors
/// The forge's.
pub async fn comment_once(
    forge: &dyn Forge,
    repository: &Repository,
    number: u64,
    mark: &str,
    text: &str,
) -> Result<(), Error> {
    let comments = forge.comments(repository, number).await?;
    // The oldest: whoever copies the mark comes later.
    let known = comments.iter().find(|comment| comment.text.starts_with(mark));
    if known.is_some_and(|known| known.text.trim_end() == text.trim_end()) {
        return Ok(());
    }
    forge.comment(repository, number, text, known.map(|known| known.id)).await.map(drop)
}

/// A commit as a person reads of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitText {
    pub commit: Commit,
    /// Its whole message.
    pub message: String,
    /// Where a person sees it.
    pub url: String,
}

impl CommitText {
    /// First line of the message.
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

/// Somebody at a forge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct User {
    /// The name that people see in addresses.
    pub login: String,
    /// What stays when the name changes, where the forge tells of such: Bitbucket Cloud's account, GitLab's number.
    pub id: Option<String>,
}

/// A branch, and the repository that it is in: a pull request from a fork has two of those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// Without `refs/heads/`.
    pub name: String,
    /// Where a person sees the repository. Empty if the fork is gone.
    pub repository_url: String,
    /// Where Git clones it from. Empty if the fork is gone.
    pub clone_url: String,
    /// The forge's number of the repository, where there is one.
    pub repository_id: Option<u64>,
}

/// A pull request, at GitLab a merge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    pub url: String,
    pub is_open: bool,
    pub author: User,
    /// Where the changes are.
    pub head: Branch,
    pub head_commit: Commit,
    /// Where they shall go to.
    pub base: Branch,
    /// When somebody last pushed to the repository of `head`, to any branch, by the forge's clock. `None` where it is not told.
    pub pushed_at: Option<Timestamp>,
    /// Default branch of the repository of `base`.
    pub default_branch: String,
    pub labels: Vec<String>,
}

/// How much [`Forge::files`] reads before it is [`Error::TooLarge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// How many files.
    pub files: usize,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all of them.
    pub total: u64,
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// From the root of the repository, with `/` between the parts.
    pub path: String,
    pub content: Vec<u8>,
}

/// What has changed files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    PullRequest(u64),
    Push {
        /// Where the branch was. `None` if it is new: what the commit itself changed counts then.
        before: Option<Commit>,
        after: Commit,
    },
}

/// Paths of changed files, from the root of the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedFiles {
    pub added: BTreeSet<String>,
    pub deleted: BTreeSet<String>,
    pub modified: BTreeSet<String>,
    /// Under their new names.
    pub renamed: BTreeSet<String>,
}

impl ChangedFiles {
    /// All of them, whatever became of them.
    pub fn all(&self) -> BTreeSet<&str> {
        let kinds = [&self.added, &self.deleted, &self.modified, &self.renamed];
        kinds.into_iter().flatten().map(String::as_str).collect()
    }
}

/// The forge's number of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommentId(pub u64);

/// A comment on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub id: CommentId,
    pub author: User,
    pub text: String,
    pub created_at: Timestamp,
}

/// How a run does, for the people at the forge.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Under which it stands among the others of the commit: `Konflux / component-on-push`.
    pub context: String,
    pub verdict: Verdict,
    /// A few words: `Success`, `Pending approval`.
    pub title: String,
    /// A line: `Konflux / component-on-push has successfully validated your commit.`
    pub summary: String,
    /// All that is to say, in Markdown. May be empty.
    pub text: String,
    /// Where a person sees the run.
    pub details_url: Option<String>,
    /// Our name of the run, for a check run of GitHub.
    pub external_id: String,
    /// The check run of GitHub that it continues.
    pub check_run: Option<u64>,
    /// Context of what was said before there was a run (`Pending approval`): it is replaced by this. To be given only where
    /// something was said, and by the first report of one run of the event: it takes one or two more calls. A check run of
    /// GitHub is continued under its new name; a status cannot be renamed, so one that waits is told to succeed.
    pub replaces: Option<String>,
    /// GitLab: number of the project that the merge request comes from, where statuses go to; looked up first, by one more
    /// call. Nothing is said, and that is no error, where it is neither the repository nor a fork of it, or where our token
    /// may not write to somebody's fork.
    pub source_project: Option<u64>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// Places in files of the commit. Only check runs can show them.
    pub annotations: Vec<Annotation>,
}

impl Report {
    /// What a status that this one [`replaces`](Self::replaces) ends with.
    pub(crate) fn settling(&self, replaced: &str) -> Self {
        Self {
            context: replaced.to_owned(),
            verdict: Verdict::Success,
            title: format!("Continued as {}", self.context),
            replaces: None,
            ..self.clone()
        }
    }
}

/// What [`Report`] says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It waits: for its turn, or for somebody's approval.
    Queued,
    InProgress,
    Success,
    Failure,
    /// It ended without an answer.
    Neutral,
    /// Somebody stopped it.
    Cancelled,
    /// It could not be run.
    Error,
    /// Somebody deleted it before it ended.
    Deleted,
}

/// Something to say at a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    pub path: String,
    /// From 1.
    pub line: u32,
    pub message: String,
}

/// What came of a [`Report`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// The check run of GitHub, to be named by the next report of the run.
    pub check_run: Option<u64>,
}
