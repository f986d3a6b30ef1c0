//! Answers of Bitbucket Server.

use jiff::Timestamp;
use serde::Deserialize;

use crate::contents::Repository;
use crate::conversation::{Branch, ChangedFiles, Comment, CommentId, User};

/// A part of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page<T> {
    pub(super) values: Vec<T>,
    #[serde(rename = "isLastPage", default)]
    pub(super) is_last: bool,
    #[serde(default)]
    pub(super) next_page_start: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct FoundCommit {
    pub(super) id: String,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) id: Option<u64>,
}

impl Account {
    /// Names of two accounts are never the same, but one may have had the other's.
    pub(super) fn is(&self, user: &User) -> bool {
        let id = self.id.map(|id| id.to_string());
        let is_same_id = match (&id, &user.id) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        is_same_id && !self.name.is_empty() && self.name.eq_ignore_ascii_case(&user.login)
    }
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self { login: account.name, id: account.id.map(|id| id.to_string()) }
    }
}

#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) href: String,
    /// `http` or `ssh`, of addresses for Git.
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
pub(super) struct Links {
    #[serde(rename = "self", default)]
    pub(super) own: Vec<Link>,
    #[serde(default)]
    clone: Vec<Link>,
}

#[derive(Deserialize)]
pub(super) struct FoundRepository {
    id: u64,
    #[serde(default)]
    links: Links,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pull {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) title: String,
    /// `OPEN`, `MERGED` or `DECLINED`.
    pub(super) state: String,
    pub(super) author: Participant,
    pub(super) from_ref: Side,
    pub(super) to_ref: Side,
    #[serde(default)]
    pub(super) links: Links,
}

#[derive(Deserialize)]
pub(super) struct Participant {
    pub(super) user: Account,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Side {
    /// Without `refs/heads/`.
    pub(super) display_id: String,
    #[serde(default)]
    pub(super) latest_commit: String,
    #[serde(default)]
    repository: Option<FoundRepository>,
}

impl Side {
    pub(super) fn branch(&self) -> Branch {
        let links = self.repository.as_ref().map(|repository| &repository.links);
        // The link leads to the page of its files.
        let page = links.and_then(|links| links.own.first()).map_or("", |link| link.href.as_str());
        let clone = links.and_then(|links| links.clone.iter().find(|link| link.name.starts_with("http")));
        Branch {
            name: self.display_id.clone(),
            repository_url: page.strip_suffix("/browse").unwrap_or(page).to_owned(),
            clone_url: clone.map(|link| link.href.clone()).unwrap_or_default(),
            repository_id: self.repository.as_ref().map(|repository| repository.id),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DefaultBranch {
    pub(super) display_id: String,
}

/// How a file differs.
#[derive(Deserialize)]
pub(super) struct Difference {
    /// `ADD`, `COPY`, `DELETE`, `MODIFY`, `MOVE`.
    #[serde(rename = "type")]
    kind: String,
    path: Place,
}

#[derive(Deserialize)]
struct Place {
    #[serde(rename = "toString")]
    text: String,
}

pub(super) fn sorted(differences: Vec<Difference>) -> ChangedFiles {
    let mut changed = ChangedFiles::default();
    for Difference { kind, path } in differences {
        let kind = match kind.as_str() {
            "ADD" | "COPY" => &mut changed.added,
            "DELETE" => &mut changed.deleted,
            "MOVE" => &mut changed.renamed,
            _ => &mut changed.modified,
        };
        kind.insert(path.text);
    }
    changed
}

/// Somebody who may do something.
#[derive(Deserialize)]
pub(super) struct Permitted {
    pub(super) user: Account,
}

/// What happened on a pull request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Activity {
    /// `COMMENTED`, `OPENED`, `APPROVED`, …
    action: String,
    #[serde(default)]
    comment: Option<FoundComment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundComment {
    id: u64,
    #[serde(default)]
    text: String,
    #[serde(default)]
    author: Account,
    /// In milliseconds since 1970.
    created_date: i64,
}

impl Activity {
    /// The comment, if that is what happened.
    pub(super) fn comment(self) -> Option<Comment> {
        let found = self.comment.filter(|_| self.action == "COMMENTED")?;
        Some(Comment {
            id: CommentId(found.id),
            author: found.author.into(),
            text: found.text,
            created_at: Timestamp::from_millisecond(found.created_date).unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) id: u64,
    pub(super) version: u64,
}

#[derive(Deserialize)]
pub(super) struct BuildStatus {
    /// `INPROGRESS`, `SUCCESSFUL`, `FAILED`, …
    pub(super) state: String,
}

/// Whether a repository is somebody's own: that of `~jane` is jane's.
pub(super) fn is_own(repository: &Repository, user: &User) -> bool {
    repository.owner().strip_prefix('~').is_some_and(|owner| owner.eq_ignore_ascii_case(&user.login))
}
