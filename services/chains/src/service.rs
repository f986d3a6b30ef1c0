//! Puts the service together.

use std::sync::Arc;

use attest::cosign::Store as Attached;
use fleet::certificate::CaTarget;
use fleet::{Clock, Fleet, Writer, outbound};
use kube::Client;

use crate::args::Args;
use crate::attempts::Attempts;
use crate::children::TaskRuns;
use crate::config::Config;
use crate::configuration::{self, Configuration};
use crate::keychain::Keychains;
use crate::metrics::Metrics;
use crate::signers::Signers;
use crate::stores::Stores;
use crate::transparency::Log;
use crate::{pipeline_run, task_run, webhook};

/// What the shells of all controllers share.
pub(crate) struct Context {
    pub(crate) args: Args,
    pub(crate) stores: Stores,
    pub(crate) client: Client,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) configuration: Configuration,
    pub(crate) outbound: outbound::Client,
    pub(crate) signers: Signers,
    pub(crate) keychains: Keychains,
    /// Signatures and attestations beside images.
    pub(crate) attached: Attached,
    pub(crate) task_runs: TaskRuns,
    pub(crate) task_run_attempts: Attempts,
    pub(crate) pipeline_run_attempts: Attempts,
}

impl Context {
    /// The settings in force.
    pub(crate) fn config(&self) -> Option<Arc<Config>> {
        self.configuration.current(&self.stores.configuration)
    }

    /// The transparency log of these settings.
    pub(crate) fn log(&self, config: &Config) -> Log {
        Log::new(self.outbound.clone(), config.log.clone())
    }
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet, &args.config);
    let metrics = Metrics::new(fleet.registry())?;
    let outbound = fleet.outbound()?;
    let has_webhooks = args.enable_webhooks;
    let context = Arc::new(Context {
        configuration: Configuration::follow(&stores.configuration, &args.config, metrics.clone()),
        stores,
        client: fleet.client().clone(),
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        metrics,
        signers: Signers::new(args.signing_secrets.clone(), outbound.clone()),
        keychains: Keychains::new(fleet.client().clone()),
        attached: Attached::new(registry::Client::new(outbound.clone())),
        task_runs: TaskRuns::new(fleet.client().clone()),
        task_run_attempts: Attempts::default(),
        pipeline_run_attempts: Attempts::default(),
        outbound,
        args,
    });
    let controllers = [
        configuration::controller(&fleet, &context),
        task_run::controller(&fleet, &context),
        pipeline_run::controller(&fleet, &context),
    ];
    for controller in controllers {
        fleet.run(controller);
    }
    if has_webhooks {
        let target = CaTarget::MutatingWebhooks(fleet.webhook_configuration());
        fleet.webhooks(webhook::webhooks(), [target]);
    }
    fleet.serve().await
}
