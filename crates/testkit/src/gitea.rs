//! A real forge: Gitea, of which `tools/gitea` is built, and a client of its API for whoever sets a scene in it.
//!
//! ```text
//! Gitea::start ── a process of its own on 127.0.0.1, over TLS, gone with its owner
//!   └─ Access ──▶ Client: accounts, repositories, pull requests, webhooks ─▶ push: a folder becomes a branch
//! ```
//! The dev cluster runs the same program with the same [`Settings`]; its `forge.json` is an [`Access`].

mod access;
mod accounts;
mod administrator;
mod client;
mod hooks;
mod process;
mod push;
mod repositories;
mod settings;

pub use self::access::Access;
pub use self::accounts::{KnownToken, NewUser, NoRole, Role};
pub use self::administrator::ensure_administrator;
pub use self::client::{Client, Credential};
pub use self::hooks::{EVENTS, Hook};
pub use self::process::Gitea;
pub use self::push::{Push, Pushed};
pub use self::repositories::{CommitStatus, NewPull, OpenPull};
pub use self::settings::Settings;
