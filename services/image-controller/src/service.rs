//! Puts the service together.

use std::sync::Arc;

use fleet::{Clock, Fleet, Writer};
use kube::Client;
use tokio::sync::OnceCell;

use crate::args::Args;
use crate::delivery::Deliverer;
use crate::image_repository::LookUps;
use crate::metrics::Metrics;
use crate::registry::Connector;
use crate::stores::Stores;
use crate::{health, image_repository, legacy, links, pull_secrets};

/// What the shells of all controllers share.
pub(crate) struct Context {
    pub(crate) args: Args,
    pub(crate) stores: Stores,
    pub(crate) client: Client,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) registry: Connector,
    pub(crate) look_ups: LookUps,
    /// Uid of this cluster, once it has been asked for.
    pub(crate) cluster: OnceCell<String>,
}

impl Context {
    pub(crate) fn deliverer(&self) -> Deliverer<'_> {
        Deliverer { client: &self.client, writer: &self.writer }
    }
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet, &args);
    let metrics = Metrics::new(fleet.registry())?;
    let outbound = fleet.outbound()?;
    let registry = Connector::new(
        args.registry.clone(),
        outbound,
        fleet.client().clone(),
        fleet.namespace(),
        fleet.clock().clone(),
    );
    let context = Arc::new(Context {
        stores,
        client: fleet.client().clone(),
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        metrics: metrics.clone(),
        registry: registry.clone(),
        look_ups: LookUps::every(args.registry_check_interval),
        cluster: OnceCell::new(),
        args,
    });
    let controllers = [
        Some(image_repository::controller(&fleet, &context)),
        Some(links::controller(&fleet, &context)),
        Some(legacy::controller(&fleet, &context)),
        pull_secrets::application::controller(&fleet, &context),
    ];
    for controller in controllers.into_iter().flatten() {
        fleet.run(controller);
    }
    tokio::select! {
        outcome = fleet.serve() => outcome,
        () = health::watch(registry, metrics) => Ok(()),
    }
}
