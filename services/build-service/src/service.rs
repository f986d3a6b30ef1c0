//! Puts the parts together and runs them.

use std::sync::Arc;
use std::time::Duration;

use fleet::leader::Leadership;
use fleet::{Fleet, ObjectKey, Runner};

use crate::args::Args;
use crate::git::{Gits, Parts};
use crate::locks::Locks;
use crate::metrics::Metrics;
use crate::onboarding::Webhooks;
use crate::pipeline::bundle::Bundles;
use crate::stores::Stores;
use crate::{Context, accounts, clean_up, nudge, renovate, request};
use build_service_api::names::PAC_SECRET;

/// How often it is looked whether the GitHub App can be used.
const PROBE: Duration = Duration::from_mins(1);

/// Runs the service until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet);
    let outbound = fleet.outbound()?;
    let client = fleet.client().clone();
    let gits = Gits::new(Parts {
        client: client.clone(),
        outbound: outbound.clone(),
        secret: ObjectKey::new(fleet.namespace(), PAC_SECRET),
        app_server: args.github_app_server.clone(),
        clock: fleet.clock().clone(),
    });
    let context = Arc::new(Context {
        namespace: fleet.namespace().to_owned(),
        stores,
        gits,
        webhooks: Webhooks::new(&args, client.clone()),
        bundles: Bundles::new(registry::Client::new(outbound.clone())),
        client,
        outbound,
        writer: fleet.writer().clone().patient(),
        clock: fleet.clock().clone(),
        locks: Locks::default(),
        metrics: Metrics::new(fleet.registry())?,
        args,
    });
    for controller in accounts::controllers(&fleet, &context) {
        fleet.run(controller);
    }
    fleet.run(request::controller(&fleet, &context));
    fleet.run(clean_up::controller(&fleet, &context));
    for controller in updates(&mut fleet, &context) {
        fleet.run(controller);
    }
    let probe =
        tokio::spawn(probe_app(context.gits.clone(), context.metrics.clone(), fleet.leadership().clone()));
    let served = fleet.serve().await;
    probe.abort();
    served
}

/// What keeps sources at the newest images.
fn updates(fleet: &mut Fleet, context: &Context) -> [Runner; 2] {
    let (components, gits) = (context.stores.components.clone(), context.gits.clone());
    let options = context.args.updates.clone();
    let nudging = nudge::Parts {
        components: components.clone(),
        gits: gits.clone(),
        options: options.clone(),
        accounts: context.args.service_account,
    };
    let selectors = context.stores.global_selectors.clone();
    let references = renovate::tekton::Parts { components, selectors, gits, options };
    [nudge::controller(fleet, nudging), renovate::tekton::controller(fleet, references)]
}

/// Tells each minute whether the platform's GitHub App can be used, while this replica leads.
async fn probe_app(gits: Gits, metrics: Metrics, leadership: Leadership) {
    leadership.held().await;
    let mut ticks = tokio::time::interval(PROBE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let found = gits.probe().await;
        if let Err(none) = &found {
            tracing::debug!(failure = %none.failure, "The GitHub App cannot be used");
        }
        metrics.app_is_available(found.is_ok());
    }
}
