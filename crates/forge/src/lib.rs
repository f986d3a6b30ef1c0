//! Reads from forges, and answers there: GitHub, GitLab, Gitea (Forgejo too), Bitbucket Cloud and Bitbucket Server.
//!
//! ```text
//! Provider + server + token ─▶ connect ─▶ dyn Contents ─┬─ commit: what a branch or tag is at
//!           │                                           └─ file: one file of a commit
//!           └───────────────▶ converse ─▶ dyn Forge ─── Contents, pull requests, people, comments, reports
//! ```
//! Each provider is a few calls of its REST API, by [`fleet::outbound`]. Answers are believed as little as possible: sizes and
//! pages have limits, a name is never a way out of an address, what says who takes part is read from the server itself.

mod bitbucket;
mod contents;
mod conversation;
mod error;
mod files;
mod gitea;
mod github;
mod gitlab;
mod http_api;
mod hub;
pub mod signature;

pub use contents::{Access, Commit, Contents, InvalidRepository, Provider, Repository, connect, converse};
pub use conversation::{
    Annotation, Branch, Change, ChangedFiles, Comment, CommentId, CommitText, File, FileLimits, Forge,
    PullRequest, Report, Reported, User, Verdict,
};
pub use error::Error;
pub use github::{App, InstallationToken, InvalidApp, Scope};
