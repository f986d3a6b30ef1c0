//! Puts the service together.

use std::sync::Arc;

use fleet::{Clock, Fleet, Runner, Writer, outbound};
use kube::Client;

use crate::args::Args;
use crate::metrics::Metrics;
use crate::stores::Stores;
use crate::{admission, expiry, plan, release, sweep, webhook};

/// What the shells of all controllers share.
pub(crate) struct Context {
    pub(crate) args: Args,
    pub(crate) stores: Stores,
    pub(crate) client: Client,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    /// For Git servers.
    pub(crate) outbound: outbound::Client,
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet, &args);
    let (metrics, outbound) = (Metrics::new(fleet.registry())?, fleet.outbound()?);
    let context = Arc::new(Context {
        stores,
        client: fleet.client().clone(),
        writer: fleet.writer().clone().patient(),
        clock: fleet.clock().clone(),
        metrics,
        outbound,
        args,
    });
    context.metrics.follow(&context.stores.releases);
    for controller in controllers(&fleet, &context) {
        fleet.run(controller);
    }
    if context.args.enable_webhooks {
        webhook::serve(&mut fleet, &context.stores);
    }
    fleet.serve().await
}

/// One line for each controller.
fn controllers(fleet: &Fleet, context: &Arc<Context>) -> Vec<Runner> {
    vec![
        release::controller(fleet, context),
        plan::controller(fleet, context),
        admission::controller(fleet, context),
        expiry::controller(fleet, context),
        sweep::controller(fleet, context),
    ]
}
