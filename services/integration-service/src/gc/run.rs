//! A run over all tenants.

use std::collections::BTreeSet;
use std::process::ExitCode;

use fleet::Clock;
use fleet::controller::chain;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt as _};
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::collect::{Collector, pages};
use super::metrics::Metrics;

const SERVICE: &str = "snapshotgc";
/// Labels of tenants' namespaces, by who made them.
const TENANTS: [&str; 3] =
    ["toolchain.dev.openshift.com/type=tenant", "konflux-ci.dev/type=tenant", "konflux.ci/type=user"];

/// Why a run did not come to its end. A tenant that is skipped is none: the next run looks at it again.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Telemetry(#[from] fleet::telemetry::Error),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Cluster(#[from] fleet::client::Error),
    #[error(transparent)]
    Bind(#[from] fleet::health::BindError),
    #[error(transparent)]
    Signal(#[from] fleet::Error),
    #[error("the namespaces of tenants cannot be listed")]
    Namespaces(#[source] kube::Error),
    #[error("stopped before the end; the next run begins anew")]
    Stopped,
}

/// Runs once. The whole of `main`.
pub fn main(args: &Args) -> ExitCode {
    fleet::main_once(SERVICE, run(args))
}

async fn run(args: &Args) -> Result<(), Error> {
    fleet::telemetry::log(args.log_format, &args.log_filter, &[("service", SERVICE)])?;
    let registry = Registry::new();
    let metrics = Metrics::new(&registry)?;
    let stop = CancellationToken::new();
    fleet::stop_on_signal(stop.clone())?;
    let client = fleet::client::connect(SERVICE, args.kubeconfig.as_deref(), &registry).await?;
    fleet::health::serve_metrics_to_the_end(args.metrics_addr, registry).await?;
    let collector = Collector {
        client: client.clone(),
        limits: args.limits(),
        dry_run: args.dry_run,
        metrics: metrics.clone(),
        clock: Clock::system(),
    };
    let mut namespaces = tenants(&client).await.map_err(Error::Namespaces)?;
    if !args.watch_namespaces.is_empty() {
        namespaces.retain(|namespace| args.watch_namespaces.contains(namespace));
    }
    let together = usize::from(args.concurrency);
    let work = futures::stream::iter(namespaces).for_each_concurrent(together, async |namespace| {
        if let Err(error) = collector.collect(&namespace).await {
            tracing::error!(namespace, error = chain(&error), "Skipped a tenant");
            collector.metrics.errors.inc();
        }
    });
    stop.run_until_cancelled(work).await.ok_or(Error::Stopped)?;
    tracing::info!(
        namespaces = metrics.namespaces.get(),
        snapshots = metrics.snapshots.get(),
        deleted = metrics.deleted.get(),
        spared = metrics.spared.get(),
        errors = metrics.errors.get(),
        dry_run = args.dry_run,
        "Looked at all tenants"
    );
    Ok(())
}

/// The namespaces of tenants that are not going.
async fn tenants(client: &Client) -> Result<BTreeSet<String>, kube::Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut names = BTreeSet::new();
    for selector in TENANTS {
        let add = |namespace: kube::core::PartialObjectMeta<Namespace>| {
            if namespace.metadata.deletion_timestamp.is_none() {
                names.insert(namespace.name_any());
            }
        };
        pages(async |page| namespaces.list_metadata(&page.labels(selector)).await, add).await?;
    }
    Ok(names)
}
