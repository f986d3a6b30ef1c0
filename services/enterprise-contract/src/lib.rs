//! Judges container images by policies.

mod args;
pub mod cli;
pub mod conftest;
mod controller;
pub mod effective_time;
#[cfg(test)]
mod fuzz;
pub mod image;
pub mod judge;
pub mod metrics;
pub mod output;
pub mod policy;
pub mod rego;
pub mod report;
pub mod select;
mod service;
pub mod snapshot;
pub mod sources;
mod stores;
mod track;
pub mod yaml;

pub use args::Args;
pub use service::run;
