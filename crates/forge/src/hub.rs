//! Answers in GitHub's shape, which Gitea has taken over.

use jiff::Timestamp;
use serde::Deserialize;

use crate::changes::{OpenRequest, RepositoryInfo};
use crate::contents::Repository;
use crate::conversation::{Branch, ChangedFiles, Comment, CommentId, PullRequest, User};
use crate::error::Error;
use crate::files::{Entry, EntryKind};

#[derive(Deserialize)]
pub(crate) struct Account {
    pub(crate) login: String,
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self { login: account.login, id: None }
    }
}

#[derive(Deserialize)]
pub(crate) struct ChangedFile {
    pub(crate) filename: String,
    pub(crate) status: String,
}

#[derive(Deserialize)]
pub(crate) struct Pull {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) html_url: String,
    pub(crate) state: String,
    pub(crate) user: Option<Account>,
    pub(crate) head: Side,
    pub(crate) base: Side,
    #[serde(default)]
    pub(crate) labels: Option<Vec<Label>>,
}

#[derive(Deserialize)]
pub(crate) struct Label {
    pub(crate) name: String,
}

#[derive(Deserialize)]
pub(crate) struct Side {
    #[serde(rename = "ref")]
    pub(crate) name: String,
    pub(crate) sha: String,
    /// `null` when the fork is gone.
    pub(crate) repo: Option<FoundRepository>,
}

#[derive(Deserialize)]
pub(crate) struct FoundRepository {
    pub(crate) id: u64,
    pub(crate) html_url: String,
    pub(crate) clone_url: String,
    pub(crate) default_branch: String,
    /// Gitea does not tell it.
    #[serde(default)]
    pub(crate) pushed_at: Option<Timestamp>,
}

/// Webhooks of a repository that are looked through.
pub(crate) const MAX_HOOKS: usize = 1000;

#[derive(Deserialize)]
pub(crate) struct About {
    #[serde(default)]
    default_branch: String,
    private: bool,
    #[serde(default)]
    archived: bool,
    html_url: String,
}

impl From<About> for RepositoryInfo {
    fn from(about: About) -> Self {
        Self {
            default_branch: about.default_branch,
            is_private: about.private,
            is_archived: about.archived,
            url: about.html_url,
        }
    }
}

/// A pull request that was just opened.
#[derive(Deserialize)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    html_url: String,
}

impl From<Seen> for OpenRequest {
    fn from(seen: Seen) -> Self {
        Self { number: seen.number, url: seen.html_url }
    }
}

#[derive(Deserialize)]
pub(crate) struct FoundHook {
    pub(crate) id: u64,
    /// At Gitea what its maker gave it; at GitHub always the same.
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) active: bool,
    events: Vec<String>,
    config: HookConfig,
}

#[derive(Deserialize)]
struct HookConfig {
    #[serde(default)]
    url: String,
}

impl FoundHook {
    pub(crate) fn leads_to(&self, url: &str) -> bool {
        self.config.url == url
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(String::as_str)
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.events().any(|known| known == event)
    }
}

#[derive(Deserialize)]
pub(crate) struct FoundComment {
    pub(crate) id: u64,
    pub(crate) user: Option<Account>,
    #[serde(default)]
    pub(crate) body: String,
    pub(crate) created_at: Timestamp,
}

#[derive(Deserialize)]
pub(crate) struct Made {
    pub(crate) id: u64,
}

#[derive(Deserialize)]
pub(crate) struct Listed {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) size: u64,
    /// Files have one. GitHub calls submodules files.
    #[serde(default)]
    pub(crate) download_url: Option<String>,
}

/// What is at a path. A file is shown by itself, also where a directory was asked for.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Listing {
    Directory(Vec<Listed>),
    Other {},
}

impl Listing {
    /// Nothing of what is no directory.
    pub(crate) fn entries(self) -> Vec<Entry> {
        match self {
            Self::Directory(listed) => listed.into_iter().map(Entry::from).collect(),
            Self::Other {} => Vec::new(),
        }
    }
}

impl Side {
    fn branch(&self) -> Branch {
        let repository = self.repo.as_ref();
        Branch {
            name: self.name.clone(),
            repository_url: repository.map(|one| one.html_url.clone()).unwrap_or_default(),
            clone_url: repository.map(|one| one.clone_url.clone()).unwrap_or_default(),
            repository_id: repository.map(|one| one.id),
        }
    }
}

/// By what became of them.
pub(crate) fn sorted(files: Vec<ChangedFile>) -> ChangedFiles {
    let mut changed = ChangedFiles::default();
    for file in files {
        let kind = match file.status.as_str() {
            "added" | "copied" => &mut changed.added,
            "removed" | "deleted" => &mut changed.deleted,
            "renamed" => &mut changed.renamed,
            _ => &mut changed.modified,
        };
        kind.insert(file.filename);
    }
    changed
}

impl From<Listed> for Entry {
    fn from(listed: Listed) -> Self {
        let kind = match listed.kind.as_str() {
            "file" if listed.download_url.is_some() => EntryKind::File,
            "dir" => EntryKind::Directory,
            _ => EntryKind::Other,
        };
        Self { kind, path: listed.path, size: Some(listed.size) }
    }
}

impl From<FoundComment> for Comment {
    fn from(found: FoundComment) -> Self {
        Self {
            id: CommentId(found.id),
            author: found.user.map(User::from).unwrap_or_default(),
            text: found.body,
            created_at: found.created_at,
        }
    }
}

impl From<Pull> for OpenRequest {
    fn from(pull: Pull) -> Self {
        Self { number: pull.number, url: pull.html_url }
    }
}

impl Pull {
    /// Whether it is from this branch of its own repository.
    pub(crate) fn is_from(&self, branch: &str) -> bool {
        let id = |side: &Side| side.repo.as_ref().map(|repository| repository.id);
        self.head.name == branch && id(&self.head) == id(&self.base)
    }

    pub(crate) fn into_pull_request(self, repository: &Repository) -> Result<PullRequest, Error> {
        let what = || format!("pull request {} of {repository}", self.number);
        let default_branch = self.base.repo.as_ref().map(|base| base.default_branch.clone());
        Ok(PullRequest {
            head_commit: self.head.sha.parse().map_err(|error| Error::invalid(what(), error))?,
            number: self.number,
            title: self.title,
            url: self.html_url,
            is_open: self.state == "open",
            author: self.user.map(User::from).unwrap_or_default(),
            pushed_at: self.head.repo.as_ref().and_then(|head| head.pushed_at),
            head: self.head.branch(),
            base: self.base.branch(),
            default_branch: default_branch.unwrap_or_default(),
            labels: self.labels.into_iter().flatten().map(|label| label.name).collect(),
        })
    }
}
