//! Sets up the builds of Components.
//!
//! ```text
//! Component ─┬─▶ accounts: the image repository's Secret on the runs' ServiceAccount
//!            ├─▶ request:  what the annotation asks for, under a claim ─▶ forge, Repository, PipelineRun ─▶ status annotation
//!            └─▶ clean_up: the runs of a Component that is gone
//! ```

mod accounts;
mod args;
mod claim;
mod clean_up;
mod definition;
mod devfile;
pub mod failure;
mod git;
mod image;
mod locks;
pub mod metrics;
pub mod mintmaker;
mod nudge;
mod onboarding;
mod owner;
mod pac;
mod path;
mod pipeline;
mod renovate;
mod request;
mod service;
mod status;
pub mod stores;

pub use args::Args;
pub use service::run;
pub use stores::Stores;

/// What the shells of all controllers share.
pub(crate) struct Context {
    pub(crate) args: Args,
    /// Of this service.
    pub(crate) namespace: String,
    pub(crate) stores: Stores,
    pub(crate) client: kube::Client,
    pub(crate) outbound: fleet::outbound::Client,
    pub(crate) writer: fleet::Writer,
    pub(crate) clock: fleet::Clock,
    pub(crate) gits: git::Gits,
    pub(crate) webhooks: onboarding::Webhooks,
    pub(crate) bundles: pipeline::bundle::Bundles,
    /// Of repositories, so that two Components do not make the same thing.
    pub(crate) locks: locks::Locks,
    pub(crate) metrics: metrics::Metrics,
}

impl Context {
    /// Carries out writes in order; the first failure stops the rest.
    pub(crate) async fn write(&self, writes: &[fleet::Write]) -> Result<(), fleet::WriteError> {
        self.writer.apply(writes).await
    }
}
