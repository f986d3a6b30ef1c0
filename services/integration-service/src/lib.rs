//! Makes a Snapshot of every build, has it tested, tells the forge, and passes on what is good.
//!
//! ```text
//! build run ─▶ build ─▶ Snapshot ─▶ tests ─▶ status ─┬─▶ report ─▶ forge
//!                                     │              └─▶ promotion (one Application at a time) ─▶ candidate list
//!                                     ▼                       └─▶ deliver ─▶ Releases, root environments
//!                                  test runs
//! ```
//! Each controller decides from objects alone, so that each may be away for an hour and then goes on as if it never had been. What
//! several controllers write to a Snapshot is written only to the version that was read: see [`mod@conditions`].

mod args;
mod build;
mod component;
mod conditions;
mod content;
mod deliver;
mod early;
mod environments;
pub mod gc;
mod group;
mod known;
pub mod metrics;
mod origin;
mod promotion;
mod pull_request;
mod record;
mod release;
mod report;
mod scenario;
mod service;
mod service_account;
mod settled;
mod stores;
mod supersede;
mod tests;
mod trim;
mod webhook;

pub use args::Args;
pub use service::run;
