//! Bounds the Snapshots of each tenant: a job that runs every few hours and ends.
//!
//! ```text
//! tenant namespaces ─▶ of each: Snapshots (metadata only) ─▶ choose: what is needed, then the newest ─▶ the rest
//!                                  ▲                                                                     │
//!             bound by Releases and bindings, candidate lists             read whole, spared or deleted ◀┘
//! ```

mod args;
mod choose;
mod collect;
mod entry;
mod metrics;
mod run;

pub use args::Args;
pub use metrics::Metrics;
pub use run::main;
