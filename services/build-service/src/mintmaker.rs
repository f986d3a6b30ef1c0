//! `MintMaker`: looks through the dependencies of Components when a `DependencyUpdateCheck` asks for it (specification,
//! section 6). A program of its own, in a namespace of its own.
//!
//! ```text
//! DependencyUpdateCheck ─▶ select: branches ─▶ fair: whose turn it is ─▶ start ─▶ PipelineRun, ConfigMap, Secret
//!        ▲                                                                 │
//!        └── status ◀── progress (a ConfigMap of the check: what became of each branch)
//! PipelineRun that is over ─▶ watch: its token goes; its commit is noted as clean
//! Event FailedMount ─▶ token: the token of a GitHub App comes when the pod starts
//! ```
//! The queue is made of objects: what a check names, less what its progress has, less what may not run yet. So a restart goes
//! on where it was.

mod args;
mod branch;
mod clean;
mod credentials;
mod fair;
pub mod metrics;
mod progress;
mod queue;
mod run;
mod start;
mod stores;
mod token;
mod watch;

use std::sync::Arc;

use fleet::{Clock, Fleet, ObjectKey, Writer};
use kube::Client;

pub use self::args::Args;
use self::args::TokenLife;
use self::metrics::Metrics;
use self::stores::Stores;
use crate::git::{Gits, Parts};

/// What the shells of all controllers share.
struct Context {
    args: Args,
    life: TokenLife,
    namespace: String,
    stores: Stores,
    gits: Gits,
    client: Client,
    writer: Writer,
    clock: Clock,
    metrics: Metrics,
}

/// Runs the program until it is told to stop.
pub async fn run(args: Args, mut fleet: Fleet) -> Result<(), fleet::Error> {
    let stores = Stores::new(&mut fleet);
    let metrics = Metrics::new(fleet.registry(), fleet.clock().clone())?;
    metrics.follow(&stores.checks);
    let namespace = fleet.namespace().to_owned();
    let gits = Gits::new(Parts {
        client: fleet.client().clone(),
        outbound: fleet.outbound()?,
        secret: ObjectKey::new(namespace.as_str(), build_service_api::names::PAC_SECRET),
        app_server: args.github_app_server.clone(),
        clock: fleet.clock().clone(),
    });
    let context = Arc::new(Context {
        life: TokenLife::read(&args.mintmaker_config_path),
        namespace,
        stores,
        gits,
        client: fleet.client().clone(),
        writer: fleet.writer().clone().patient(),
        clock: fleet.clock().clone(),
        metrics,
        args,
    });
    let controllers = [
        queue::controller(&fleet, &context),
        watch::controller(&fleet, &context),
        token::controller(&fleet, &context),
    ];
    for controller in controllers {
        fleet.run(controller);
    }
    fleet.serve().await
}
