//! Answers of Bitbucket Cloud.

use jiff::Timestamp;
use serde::Deserialize;

use crate::conversation::{Branch, Comment, CommentId, User};
use crate::files::{Entry, EntryKind};

/// A part of a list.
#[derive(Deserialize)]
pub(super) struct Page<T> {
    pub(super) values: Vec<T>,
    /// Address of the next page.
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct FoundCommit {
    pub(super) hash: String,
    #[serde(default)]
    pub(super) message: String,
    pub(super) links: Links,
}

/// A branch or a tag.
#[derive(Deserialize)]
pub(super) struct FoundReference {
    pub(super) target: FoundCommit,
}

#[derive(Deserialize)]
pub(super) struct Links {
    pub(super) html: Link,
}

#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) href: String,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// The account of a person. A program's has no `account_id`.
#[derive(Default, Deserialize)]
pub(super) struct Account {
    #[serde(default)]
    pub(super) nickname: String,
    #[serde(default)]
    pub(super) account_id: Option<String>,
}

impl From<Account> for User {
    fn from(account: Account) -> Self {
        Self { login: account.nickname, id: account.account_id }
    }
}

#[derive(Deserialize)]
pub(super) struct FoundRepository {
    #[serde(default)]
    pub(super) mainbranch: Option<Named>,
}

#[derive(Deserialize)]
pub(super) struct Pull {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) title: String,
    /// `OPEN`, `MERGED`, `DECLINED` or `SUPERSEDED`.
    pub(super) state: String,
    /// `null` when the account is gone.
    #[serde(default)]
    pub(super) author: Option<Account>,
    pub(super) source: Side,
    pub(super) destination: Side,
    pub(super) links: Links,
}

#[derive(Deserialize)]
pub(super) struct Side {
    pub(super) branch: Named,
    /// `null` when the fork is gone.
    #[serde(default)]
    pub(super) commit: Option<ShortCommit>,
    #[serde(default)]
    pub(super) repository: Option<SideRepository>,
}

/// Twelve digits of a commit's name.
#[derive(Deserialize)]
pub(super) struct ShortCommit {
    pub(super) hash: String,
}

#[derive(Deserialize)]
pub(super) struct SideRepository {
    pub(super) full_name: String,
    pub(super) links: Links,
}

impl Side {
    pub(super) fn branch(&self) -> Branch {
        let url = self.repository.as_ref().map(|one| one.links.html.href.clone()).unwrap_or_default();
        let clone_url = if url.is_empty() { String::new() } else { format!("{url}.git") };
        Branch { name: self.branch.name.clone(), repository_url: url, clone_url, repository_id: None }
    }
}

/// Something in a directory of a commit.
#[derive(Deserialize)]
pub(super) struct Listed {
    /// `commit_file` or `commit_directory`.
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: Option<u64>,
    /// `link`, `subrepository`, `executable`, `binary`.
    #[serde(default)]
    attributes: Vec<String>,
}

impl From<Listed> for Entry {
    fn from(listed: Listed) -> Self {
        let is_special = listed.attributes.iter().any(|one| one == "link" || one == "subrepository");
        let kind = match listed.kind.as_str() {
            "commit_file" if !is_special => EntryKind::File,
            // Directories are looked into by the same call.
            _ => EntryKind::Other,
        };
        Self { kind, path: listed.path, size: listed.size }
    }
}

/// How a file differs.
#[derive(Deserialize)]
pub(super) struct Difference {
    /// `added`, `removed`, `modified`, `renamed`, or words about conflicts.
    pub(super) status: String,
    #[serde(default)]
    pub(super) old: Option<Place>,
    #[serde(default)]
    pub(super) new: Option<Place>,
}

#[derive(Deserialize)]
pub(super) struct Place {
    pub(super) path: String,
}

/// Somebody in a workspace.
#[derive(Deserialize)]
pub(super) struct Member {
    pub(super) user: Account,
}

#[derive(Deserialize)]
pub(super) struct FoundComment {
    id: u64,
    content: Content,
    #[serde(default)]
    user: Option<Account>,
    created_on: Timestamp,
    #[serde(default)]
    pub(super) deleted: bool,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    raw: String,
}

impl From<FoundComment> for Comment {
    fn from(found: FoundComment) -> Self {
        Self {
            id: CommentId(found.id),
            author: found.user.map(User::from).unwrap_or_default(),
            text: found.content.raw,
            created_at: found.created_on,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) id: u64,
}

#[derive(Deserialize)]
pub(super) struct BuildStatus {
    /// `INPROGRESS`, `SUCCESSFUL`, `FAILED` or `STOPPED`.
    pub(super) state: String,
}
