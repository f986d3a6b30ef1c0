//! Starts pipelines for what happens at Git forges, and reports there how they do.

mod answer;
mod args;
pub mod authorize;
mod auto_configure;
pub mod cancel;
mod cel;
pub mod comment;
pub mod credentials;
pub mod defaults;
pub mod definitions;
pub mod delivery;
pub mod event;
mod events;
#[cfg(test)]
mod fuzz;
pub mod incoming;
mod info;
pub mod intake;
pub mod list;
mod listener;
pub mod matching;
pub mod metrics;
mod outcomes;
pub mod process;
pub mod remote;
pub mod report;
pub mod runs;
mod service;
pub mod settings;
pub mod stores;
pub mod template;
pub mod watch;
pub mod webhook;

pub use args::Args;
pub use service::run;
