//! A repository and what is put on it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;

use super::model::{Access, Member, Model};

#[derive(Debug)]
pub struct Repository {
    pub id: u64,
    /// Login of the account, or path of the group.
    pub owner: String,
    pub name: String,
    pub description: String,
    pub visibility: Visibility,
    pub default_branch: String,
    /// Answers say so; that nothing can be changed then is not enforced.
    pub is_archived: bool,
    /// Id of the repository that this one was forked from.
    pub fork_of: Option<u64>,
    pub collaborators: Vec<Member>,
    /// Commits by full name: `refs/heads/main`, `refs/tags/v1`.
    pub refs: BTreeMap<String, String>,
    pub pulls: Vec<PullRequest>,
    /// Of pull requests and commits, oldest first.
    pub comments: Vec<Comment>,
    /// Oldest first.
    pub statuses: Vec<CommitStatus>,
    pub check_suites: Vec<CheckSuite>,
    pub check_runs: Vec<CheckRun>,
    /// GitLab: of merge requests, oldest first.
    pub pipelines: Vec<Pipeline>,
    pub hooks: Vec<Hook>,
    pub releases: Vec<Release>,
    pub created_at: Timestamp,
    pub(super) network: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    Public,
    /// GitLab: for everybody who has signed in.
    Internal,
    Private,
}

/// A pull or merge request.
#[derive(Clone, Debug)]
pub struct PullRequest {
    pub id: u64,
    /// GitLab's `iid`. Counted per repository.
    pub number: u64,
    pub title: String,
    pub body: String,
    pub state: PullState,
    pub draft: bool,
    pub author: String,
    /// Id; another than the base's for one from a fork.
    pub head_repository: u64,
    pub head_branch: String,
    pub head_sha: String,
    pub base_branch: String,
    pub merge_commit: Option<String>,
    pub labels: Vec<String>,
    /// GitLab: those who approved.
    pub reviews: Vec<Review>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullState {
    Open,
    Closed,
    Merged,
}

#[derive(Clone, Debug)]
pub struct Review {
    pub id: u64,
    pub author: String,
    /// `APPROVED`, `CHANGES_REQUESTED` or `COMMENTED`.
    pub state: String,
    pub body: String,
    pub commit: String,
    pub at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Comment {
    pub id: u64,
    pub on: CommentOn,
    pub author: String,
    pub body: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentOn {
    /// By number.
    Pull(u64),
    Commit(String),
}

/// GitHub's `context` is GitLab's `name`.
#[derive(Clone, Debug)]
pub struct CommitStatus {
    pub id: u64,
    pub sha: String,
    pub context: String,
    /// In the forge's own words.
    pub state: String,
    pub description: Option<String>,
    pub target_url: Option<String>,
    pub creator: String,
    /// GitLab: branch or tag, as given.
    pub reference: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// GitLab: what runs for a merge request, and what statuses of its commits belong to.
#[derive(Clone, Debug)]
pub struct Pipeline {
    pub id: u64,
    pub sha: String,
    /// `iid` of the merge request.
    pub merge_request: u64,
}

impl Pipeline {
    /// The ref that it runs for.
    pub fn reference(&self) -> String {
        format!("refs/merge-requests/{}/head", self.merge_request)
    }
}

/// GitHub: one for each App and commit.
#[derive(Clone, Debug)]
pub struct CheckSuite {
    pub id: u64,
    pub head_sha: String,
    pub head_branch: Option<String>,
    pub app: u64,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct CheckRun {
    pub id: u64,
    pub suite: u64,
    pub app: u64,
    pub head_sha: String,
    pub name: String,
    pub external_id: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    pub conclusion: Option<String>,
    pub details_url: Option<String>,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    /// `title`, `summary`, `text`, as last given; annotations are kept apart because each update adds to them.
    pub output: Value,
    pub annotations: Vec<Value>,
}

/// A webhook of a repository.
#[derive(Clone, Debug)]
pub struct Hook {
    pub id: u64,
    pub url: String,
    pub secret: Option<String>,
    /// In the forge's own words: `pull_request`, `merge_requests_events`.
    pub events: Vec<String>,
    /// GitHub: `json` or `form`.
    pub content_type: String,
    pub verifies_tls: bool,
    pub active: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A tag with notes.
#[derive(Clone, Debug)]
pub struct Release {
    pub id: u64,
    pub tag: String,
    pub name: String,
    pub body: String,
    pub created_at: Timestamp,
}

/// A pull request that is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct NewPull<'a> {
    pub title: &'a str,
    pub body: &'a str,
    pub author: &'a str,
    /// `owner/name` of the repository that the head branch is in.
    pub from: &'a str,
    pub head: &'a str,
    pub base: &'a str,
    pub draft: bool,
}

impl Repository {
    pub(super) fn new(
        id: u64,
        owner: &str,
        name: &str,
        network: usize,
        fork_of: Option<u64>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            visibility: Visibility::Public,
            default_branch: "main".to_owned(),
            is_archived: false,
            fork_of,
            collaborators: Vec::new(),
            refs: BTreeMap::new(),
            pulls: Vec::new(),
            comments: Vec::new(),
            statuses: Vec::new(),
            check_suites: Vec::new(),
            check_runs: Vec::new(),
            pipelines: Vec::new(),
            hooks: Vec::new(),
            releases: Vec::new(),
            created_at: now,
            network,
        }
    }

    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub fn make_private(&mut self) -> &mut Self {
        self.visibility = Visibility::Private;
        self
    }

    pub fn collaborator(&mut self, login: &str, access: Access) -> &mut Self {
        self.collaborators.push(Member { login: login.to_owned(), access, is_public: true });
        self
    }

    /// The commit of a branch.
    pub fn head(&self, branch: &str) -> Option<&str> {
        self.refs.get(&format!("refs/heads/{branch}")).map(String::as_str)
    }

    /// Branches or tags (`refs/heads/`, `refs/tags/`), by name.
    pub fn refs_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.refs.iter().filter_map(move |(name, sha)| Some((name.strip_prefix(prefix)?, sha.as_str())))
    }

    pub fn pull(&self, number: u64) -> Option<&PullRequest> {
        self.pulls.iter().find(|pull| pull.number == number)
    }

    pub fn pull_mut(&mut self, number: u64) -> Option<&mut PullRequest> {
        self.pulls.iter_mut().find(|pull| pull.number == number)
    }

    pub fn comments_on(&self, on: &CommentOn) -> impl Iterator<Item = &Comment> {
        self.comments.iter().filter(move |comment| comment.on == *on)
    }
}

impl PullRequest {
    pub fn is_open(&self) -> bool {
        self.state == PullState::Open
    }

    pub(super) fn close(&mut self, now: Timestamp) {
        self.state = PullState::Closed;
        self.updated_at = now;
    }
}

impl Model {
    /// Opens a pull request and returns its number.
    pub fn open_pull(&mut self, full_name: &str, new: NewPull<'_>) -> anyhow::Result<u64> {
        let from = self.repo(new.from)?;
        let head_sha =
            from.head(new.head).with_context(|| format!("{} has no branch {}", new.from, new.head))?;
        let (head_sha, head_repository) = (head_sha.to_owned(), from.id);
        let (id, now) = (self.next_id(), self.now());
        let pulls = &mut self.repo_mut(full_name)?.pulls;
        let number = pulls.last().map_or(1, |pull| pull.number + 1);
        pulls.push(PullRequest {
            id,
            number,
            title: new.title.to_owned(),
            body: new.body.to_owned(),
            state: PullState::Open,
            draft: new.draft,
            author: new.author.to_owned(),
            head_repository,
            head_branch: new.head.to_owned(),
            head_sha,
            base_branch: new.base.to_owned(),
            merge_commit: None,
            labels: Vec::new(),
            reviews: Vec::new(),
            created_at: now,
            updated_at: now,
        });
        Ok(number)
    }

    /// Merges a pull request by a commit of two parents, and returns that commit.
    pub fn merge_pull(&mut self, full_name: &str, number: u64, message: &str) -> anyhow::Result<String> {
        let repository = self.repo(full_name)?;
        let pull =
            repository.pull(number).with_context(|| format!("{full_name} has no pull request {number}"))?;
        let (base, head) = (pull.base_branch.clone(), pull.head_sha.clone());
        let parent = repository.head(&base).with_context(|| format!("{full_name} has no branch {base}"))?;
        let parents = [parent.to_owned(), head.clone()];
        let now = self.now();
        let by = super::git::Signature {
            name: "Test".to_owned(),
            email: "test@example.com".to_owned(),
            date: now,
        };
        let objects = self.objects_mut(full_name)?;
        let fork_point = objects.merge_base(&parents[0], &head);
        let tree = objects.commit(&parents[0]).map(|commit| commit.tree.clone()).unwrap_or_default();
        let mut files = objects.files(&tree);
        let merged = objects.commit(&head).map(|commit| objects.files(&commit.tree)).unwrap_or_default();
        for change in objects.diff(fork_point.as_deref(), Some(&head)) {
            if let super::git::ChangeKind::Renamed { from } = &change.kind {
                files.remove(from);
            }
            match merged.get(&change.path) {
                Some(entry) => _ = files.insert(change.path, entry.clone()),
                None => _ = files.remove(&change.path),
            }
        }
        let tree = objects.put_files(&files);
        let sha = objects.put_commit(&tree, &parents, message, by.clone(), by);
        self.set_ref(full_name, &format!("refs/heads/{base}"), &sha)?;
        let pull =
            self.repo_mut(full_name)?.pull_mut(number).context("a pull request that was just found")?;
        pull.state = PullState::Merged;
        pull.merge_commit = Some(sha.clone());
        pull.updated_at = now;
        Ok(sha)
    }

    /// Adds a comment and returns its id.
    pub fn comment(
        &mut self,
        full_name: &str,
        on: CommentOn,
        author: &str,
        body: &str,
    ) -> anyhow::Result<u64> {
        let (id, now) = (self.next_id(), self.now());
        let (author, body) = (author.to_owned(), body.to_owned());
        let comments = &mut self.repo_mut(full_name)?.comments;
        comments.push(Comment { id, on, author, body, created_at: now, updated_at: now });
        Ok(id)
    }
}
