//! Puts the controller together.

use std::sync::Arc;

use fleet::{Clock, Fleet, Writer};
use tokio::sync::Semaphore;

use crate::args::Args;
use crate::controller::{self, Found, Resolver};
use crate::metrics::Metrics;
use crate::stores::Stores;

/// What the controller works with.
pub(crate) struct Context {
    pub(crate) args: Args,
    pub(crate) stores: Stores,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) resolver: Resolver,
    /// What was found of each policy the last time.
    pub(crate) found: Found,
    /// Policies that are fetched and compiled at once.
    pub(crate) turns: Semaphore,
}

/// Runs the controller until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet);
    let metrics = Metrics::new(fleet.registry())?;
    metrics.show(&stores.policies);
    let outbound = fleet.outbound()?;
    let context = Arc::new(Context {
        stores,
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        metrics,
        resolver: Resolver::new(outbound, fleet.client().clone()),
        found: Found::default(),
        turns: Semaphore::new(args.resolve_workers.get()),
        args,
    });
    let controller = controller::controller(&fleet, &context);
    fleet.run(controller);
    fleet.serve().await
}
