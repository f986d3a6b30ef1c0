//! Answers of GitLab.

use jiff::Timestamp;
use serde::Deserialize;

use crate::contents::Repository;
use crate::conversation::{Branch, ChangedFiles, User};

#[derive(Deserialize)]
pub(super) struct FoundCommit {
    pub(super) id: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) web_url: String,
}

#[derive(Deserialize)]
pub(super) struct MergeRequest {
    pub(super) iid: u64,
    pub(super) title: String,
    pub(super) web_url: String,
    pub(super) state: String,
    pub(super) author: Account,
    /// Head of the source branch.
    pub(super) sha: Option<String>,
    pub(super) source_branch: String,
    pub(super) target_branch: String,
    /// `null` when the fork is gone.
    pub(super) source_project_id: Option<u64>,
    pub(super) target_project_id: u64,
    #[serde(default)]
    pub(super) labels: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) id: u64,
    pub(super) username: String,
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self { login: account.username, id: Some(account.id.to_string()) }
    }
}

#[derive(Deserialize)]
pub(super) struct Project {
    pub(super) web_url: String,
    pub(super) http_url_to_repo: String,
    #[serde(default)]
    pub(super) default_branch: Option<String>,
    path_with_namespace: String,
    /// What it was forked from.
    #[serde(rename = "forked_from_project", default)]
    parent: Option<Parent>,
}

#[derive(Deserialize)]
struct Parent {
    path_with_namespace: String,
}

impl Project {
    /// Whether merge requests to `repository` may come from it: it is that project, or a fork of it.
    pub(super) fn is_source_of(&self, repository: &Repository) -> bool {
        let is_it = |path: &str| path.eq_ignore_ascii_case(&repository.to_string());
        let parent = self.parent.as_ref();
        is_it(&self.path_with_namespace) || parent.is_some_and(|parent| is_it(&parent.path_with_namespace))
    }
}

#[derive(Deserialize)]
pub(super) struct Compared {
    #[serde(default)]
    pub(super) diffs: Vec<Diff>,
}

#[derive(Deserialize)]
pub(super) struct Diff {
    pub(super) new_path: String,
    pub(super) new_file: bool,
    pub(super) renamed_file: bool,
    pub(super) deleted_file: bool,
}

#[derive(Deserialize)]
pub(super) struct TreeEntry {
    /// `blob`, `tree`, or `commit` of a submodule.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) path: String,
    pub(super) mode: String,
}

/// Also of a group that the project lies in.
#[derive(Deserialize)]
pub(super) struct Member {
    pub(super) id: u64,
    /// `active`, `awaiting` or `blocked`.
    pub(super) state: String,
}

/// Mode of a symbolic link.
pub(super) const LINK: &str = "120000";

#[derive(Deserialize)]
pub(super) struct Note {
    pub(super) id: u64,
    pub(super) author: Account,
    pub(super) body: String,
    /// Written by GitLab itself.
    #[serde(default)]
    pub(super) system: bool,
    pub(super) created_at: Timestamp,
}

#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) id: u64,
}

pub(super) fn sorted(diffs: Vec<Diff>) -> ChangedFiles {
    let mut changed = ChangedFiles::default();
    for diff in diffs {
        let kind = match diff {
            Diff { new_file: true, .. } => &mut changed.added,
            Diff { deleted_file: true, .. } => &mut changed.deleted,
            Diff { renamed_file: true, .. } => &mut changed.renamed,
            Diff { .. } => &mut changed.modified,
        };
        kind.insert(diff.new_path);
    }
    changed
}

pub(super) fn branch(name: String, id: Option<u64>, project: Option<&Project>) -> Branch {
    Branch {
        name,
        repository_url: project.map(|project| project.web_url.clone()).unwrap_or_default(),
        clone_url: project.map(|project| project.http_url_to_repo.clone()).unwrap_or_default(),
        repository_id: id,
    }
}
