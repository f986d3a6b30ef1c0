//! Turns Applications and Components into models that every later service reads, and keeps who nudges whom.
//!
//! ```text
//! Application ─┐                 ┌─▶ application: status.devfile, Created, Updated
//!              ├─ two stores ────┼─▶ component:   owner, status.devfile, Created, Updated
//! Component ───┘                 ├─▶ nudge:       status.build-nudged-by, NudgesAcyclic
//!                                └─▶ webhook:     refuses what would close a cycle of nudges
//! ```
//! This is the registry mode of the specification (section 2.9): no forge is called and no GitOps repository is kept.

pub mod application;
pub mod component;
pub mod metrics;
mod model;
pub mod nudge;
mod stores;
#[cfg(test)]
mod testing;
mod webhook;

use std::sync::Arc;

use fleet::certificate::CaTarget;
use fleet::{Fleet, ServiceArgs};

pub use stores::Stores;

/// Configuration of application-service.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "application-service", version, about = "Models of Applications and Components")]
pub struct Args {
    #[command(flatten)]
    pub fleet: fleet::Args,

    /// Whether GitOps repositories are kept. Of the original's modes this version has `registry`, which keeps none;
    /// `auto` chooses it.
    #[arg(long, env = "HAS_MODE", default_value = "auto", value_name = "MODE")]
    pub has_mode: Mode,

    /// Whether to serve admission webhooks. Without them a cycle of nudges is reported in status instead of refused.
    #[arg(long, env = "ENABLE_WEBHOOKS", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub enable_webhooks: bool,

    /// Taken from manifests of the original and without effect.
    #[arg(long, hide = true)]
    pub api_export_name: Option<String>,
}

/// `HAS_MODE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// What the configuration allows.
    Auto,
    /// No GitOps repositories.
    Registry,
}

impl ServiceArgs for Args {
    const SERVICE: &'static str = "application-service";

    fn fleet(&self) -> &fleet::Args {
        &self.fleet
    }
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet);
    let metrics = metrics::Metrics::new(fleet.registry())?;
    metrics.count_deletions(&stores, fleet.leadership());
    let context = Arc::new(Context {
        stores: stores.clone(),
        client: fleet.client().clone(),
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        metrics,
    });
    let controllers = [
        application::controller(&fleet, &context),
        component::controller(&fleet, &context),
        nudge::controller(&fleet, &context),
    ];
    for controller in controllers {
        fleet.run(controller);
    }
    if args.enable_webhooks {
        let target = CaTarget::ValidatingWebhooks(fleet.webhook_configuration());
        fleet.webhooks(webhook::webhooks(stores.components.clone()), [target]);
    }
    fleet.serve().await
}

/// What the shells of all controllers share.
pub(crate) struct Context {
    stores: Stores,
    client: kube::Client,
    writer: fleet::Writer,
    clock: fleet::Clock,
    metrics: metrics::Metrics,
}
