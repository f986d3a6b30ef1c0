//! Puts the service together.

use std::sync::Arc;

use application_service_api::Snapshot;
use fleet::{Clock, Fleet, Runner, Writer};
use kube::{Api, Client, ResourceExt as _};

use crate::args::Args;
use crate::metrics::Metrics;
use crate::report::Sender;
use crate::settled;
use crate::stores::Stores;
use crate::{
    build, component, deliver, early, group, promotion, report, scenario, service_account, supersede, tests,
    webhook,
};

/// What the shells of all controllers share.
pub(crate) struct Context {
    pub(crate) args: Args,
    pub(crate) stores: Stores,
    pub(crate) client: Client,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) sender: Sender,
}

impl Context {
    /// All of a Snapshot, of which the store keeps less once it has [settled](crate::settled).
    pub(crate) async fn whole(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<Snapshot>, kube::Error> {
        if !settled::is_trimmed(snapshot) {
            return Ok(Arc::clone(snapshot));
        }
        let namespace = snapshot.namespace().unwrap_or_default();
        let snapshots: Api<Snapshot> = Api::namespaced(self.client.clone(), &namespace);
        snapshots.get(&snapshot.name_any()).await.map(Arc::new)
    }
}

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet);
    let (metrics, outbound) = (Metrics::new(fleet.registry())?, fleet.outbound()?);
    let sender = Sender::new(&fleet, &outbound, &stores.repositories, &args.report, &metrics);
    let context = Arc::new(Context {
        stores,
        sender,
        client: fleet.client().clone(),
        writer: fleet.writer().clone(),
        clock: fleet.clock().clone(),
        metrics,
        args,
    });
    context.metrics.follow(&context.stores.snapshots);
    for controller in controllers(&fleet, &context) {
        fleet.run(controller);
    }
    if context.args.integration_runner {
        let accounts = service_account::Accounts::new(&mut fleet);
        fleet.run(service_account::controller(&fleet, &context, accounts));
    }
    if context.args.enable_webhooks {
        webhook::serve(&mut fleet);
    }
    fleet.serve().await
}

/// One line for each controller.
fn controllers(fleet: &Fleet, context: &Arc<Context>) -> Vec<Runner> {
    vec![
        build::controller(fleet, context),
        component::controller(fleet, context),
        scenario::controller(fleet, context),
        tests::controller(fleet, context),
        promotion::controller(fleet, context),
        deliver::controller(fleet, context),
        early::controller(fleet, context),
        report::controller(fleet, context),
        supersede::controller(fleet, context),
        group::controller(fleet, context),
    ]
}
