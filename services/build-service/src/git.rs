//! Repositories of Components, and with what rights they are reached (specification, section 4.4, steps 1 to 4).
//!
//! ```text
//! Component ─▶ Source: forge, server, repository ──┬─▶ Secret of the namespace that fits best ──▶ Mode::Token
//!                                                  └─▶ else, at GitHub: the GitHub App ─────────▶ Mode::App
//!                                                        installation, token, each kept for a while │
//!                                                                                Access ◀───────────┘
//! ```
//! A token goes to the host that its Secret is for, and what the App's key signs to the App's server: annotations of a
//! Component, which more people may write than may read Secrets, lead neither elsewhere. Of one forge, a bounded number of
//! callers is served at once.

mod access;
mod app;
mod credential;
mod refused;
mod secret;
mod source;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod turns;

pub(crate) use access::{Access, Gits, Mode, NoAccess, Notice, Parts, TokenSecret};
pub(crate) use source::{Source, is_commit, plain_url};
