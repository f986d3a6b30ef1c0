//! Gives Components and others image repositories with credentials of their own.
//!
//! ```text
//!                        ┌─▶ image_repository: claim, repository and robots at the registry, Secrets, status; clean-up
//! ImageRepository ───────┼─▶ links:            Secrets in the lists of ServiceAccounts
//! Component, Application ┼─▶ legacy:           requests by annotation of a Component become ImageRepositories
//!                        └─▶ pull_secrets:     one Secret for all of an Application, one for all of a namespace
//! ```
//! The registry is behind one trait, [`registry::Backend`].

mod args;
mod credentials;
mod delivery;
mod health;
mod image_repository;
mod legacy;
mod links;
pub mod metrics;
mod names;
pub mod pruner;
mod pull_secrets;
pub mod registry;
mod remote_secret;
mod service;
mod stores;
pub mod tokens;

pub use args::{Args, BuildAccounts, CredentialsMode};
use service::Context;
pub use service::run;
