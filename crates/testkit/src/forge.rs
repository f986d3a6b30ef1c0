//! Fakes of the forges GitHub, GitLab, Bitbucket Cloud and Bitbucket Server, true to their REST APIs: HTTPS servers on
//! 127.0.0.1 with a content in memory.
//!
//! ```text
//!   test ──edit──▶ Model: accounts, repositories with real Git objects, pull requests, comments, checks, hooks
//!                    ▲                                         │
//!                    │ REST: rights, pages, limits, ETags       ▼ event::push(…).signed(secret)
//!   service ─────────┴─ Traffic: counts, faults            Delivery ──▶ any address
//! ```
//! What a service does through the API a test reads from the model, and the other way round. The answers have the paths,
//! fields, status codes, error bodies and headers of the real APIs; a route that is missing answers 501 and says so.
//! Git over HTTP is not served.

#![expect(
    clippy::unnecessary_wraps,
    reason = "handlers all give an `Answer`, and so do those that they end with"
)]

mod app;
pub mod bitbucket_cloud;
pub mod bitbucket_server;
#[cfg(test)]
mod client;
mod delivery;
mod exchange;
mod git;
pub mod github;
pub mod gitlab;
mod jwt;
mod model;
mod repository;
mod server;
mod traffic;

pub use self::app::{App, Installation};
pub use self::bitbucket_cloud::BitbucketCloud;
pub use self::bitbucket_server::BitbucketServer;
pub use self::delivery::Delivery;
pub use self::git::{ChangeKind, Commit, Entry, FileChange, NO_COMMIT, Objects, Signature};
pub use self::github::GitHub;
pub use self::gitlab::GitLab;
pub use self::jwt::AppKey;
pub use self::model::{Access, Account, AccountKind, Member, Model, Team};
pub use self::repository::{
    CheckRun, CheckSuite, Comment, CommentOn, CommitStatus, Hook, NewPull, Pipeline, PullRequest, PullState,
    Release, Repository, Review, Visibility,
};
pub use self::traffic::{Call, Caller, Fault, Traffic};
