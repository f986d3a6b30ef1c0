//! What is said to the forge when a repository begins or ceases to be built (specification, sections 4.4 step 5, 4.6 and 4.7).
//!
//! ```text
//! configure   ─▶ Webhooks::ensure ─▶ propose:  branch, commit, request ─▶ its URL
//! unconfigure ─▶ Webhooks::remove ─▶ withdraw: branch gone, or a request that deletes the files ─▶ its URL
//! simple build ─▶ look: public? at which commit?
//! ```
//! All of it can be repeated: branches have names of their Components, and what is there is looked at first. Nothing is pushed by
//! force.

mod look;
mod propose;
#[cfg(test)]
mod tests;
mod webhook;
mod withdraw;
mod words;

pub(crate) use look::{Looked, file_exists, look};
pub(crate) use propose::{Proposal, propose};
pub(crate) use webhook::Webhooks;
pub(crate) use withdraw::withdraw;
