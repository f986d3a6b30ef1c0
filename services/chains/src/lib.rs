//! Signs what finished runs have built, and attests how.
//!
//! ```text
//! TaskRun ─────┐                       ┌─▶ payload: SLSA provenance, simple signing       ┌─▶ oci: beside the image
//!              ├─ stores ─▶ decide ─▶ sign ─▶ signers: key files, Fulcio, Vault ─▶ log ─┼─▶ tekton: annotations
//! PipelineRun ─┘              │          └───────────────────────────────────────────────┴─▶ record: `signed`, one patch
//! chains-config ──────────────┘
//! ```
//! Nothing is ever marked `signed: "true"` that is not signed and stored: see [`mod@sign`].

mod args;
mod attempts;
mod children;
mod config;
mod configuration;
mod decide;
mod keychain;
mod keys;
mod metrics;
mod payload;
mod pipeline_run;
mod progress;
mod reconcile;
mod record;
mod retry;
mod run;
mod service;
mod sign;
mod signers;
mod storage;
mod stores;
mod task_run;
mod transparency;
mod webhook;

pub use args::Args;
pub use metrics::Metrics;
pub use service::run;
