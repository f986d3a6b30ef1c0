//! Reads from forges: GitHub, GitLab and Gitea (Forgejo too).
//!
//! ```text
//! Provider + server + token ─▶ connect ─▶ dyn Contents ─┬─ commit: what a branch or tag is at
//!                                                       └─ file: one file of a commit
//! ```
//! Each provider is a few calls of its REST API, by [`fleet::outbound`].

mod contents;
mod error;
mod gitea;
mod github;
mod gitlab;
mod http_api;
pub mod signature;

pub use contents::{Commit, Contents, InvalidRepository, Provider, Repository, connect};
pub use error::Error;
