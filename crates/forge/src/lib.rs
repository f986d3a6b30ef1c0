//! Reads from forges, changes what is there, and answers: GitHub, GitLab, Gitea (Forgejo too), Bitbucket Cloud and Bitbucket Server.
//!
//! ```text
//! Provider + server + token ─▶ connect ─▶ dyn Contents ─┬─ commit: what a branch or tag is at
//!           │                                           └─ file: one file of a commit
//!           ├───────────────▶ converse ─▶ dyn Forge ─── Contents, pull requests, people, comments, reports
//!           ├───────────────▶ change ───▶ dyn Changes ─ Forge, commits, branches, new pull requests, webhooks
//!           └───────────────▶ release ──▶ dyn Releases ─ tags with notes
//! ```
//! Each provider is a few calls of its REST API, by [`fleet::outbound`]. Answers are believed as little as possible: sizes and
//! pages have limits, a name is never a way out of an address, what says who takes part is read from the server itself.

mod bitbucket;
mod changes;
mod contents;
mod conversation;
mod error;
mod files;
mod gitea;
mod github;
mod gitlab;
mod http_api;
mod hub;
pub mod markdown;
mod releases;
pub mod signature;

pub use changes::{
    Author, Changes, FileChange, Hook, NewCommit, NewRequest, OpenRequest, Opened, RepositoryInfo, change,
};
pub use contents::{Access, Commit, Contents, InvalidRepository, Provider, Repository, connect, converse};
pub use conversation::{
    Annotation, Before, Branch, Change, ChangedFiles, Comment, CommentId, CommitText, File, FileLimits,
    Forge, PullRequest, Report, Reported, User, Verdict, comment_once,
};
pub use error::Error;
pub use github::{App, AppInfo, Installation, InstallationToken, InvalidApp, Scope};
pub use releases::{NewRelease, Recorded, RecordedHow, Releases, release};
