//! Deletes tags of attachments whose image is gone: signatures, attestations, SBOMs and sources, nightly.
//!
//! ```text
//! repositories, by pages ─▶ of each: tags, by pages ─▶ attachment ─▶ orphans ─▶ is the image gone? ─▶ delete
//!        └─▶ cursor: how far it got, for who goes on after a crash
//! ```
//! Of a repository nothing is kept in memory but digests, 32 bytes each.

mod args;
mod attachment;
mod cursor;
mod metrics;
mod patience;
mod repository;
mod run;

pub use args::Args;
pub use metrics::Metrics;
pub use run::main;
