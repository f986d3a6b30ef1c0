//! A run over all repositories of the organization.

use std::process::ExitCode;

use fleet::{Clock, outbound};
use futures::StreamExt as _;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::cursor::Cursor;
use super::metrics::Metrics;
use super::patience::patiently;
use super::repository::Pruner;
use crate::registry::{self, CALLS_AT_ONCE, Pace, Quay};

const SERVICE: &str = "image-pruner";

/// Why a run did not come to its end, or left something out.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Telemetry(#[from] fleet::telemetry::Error),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Outbound(#[from] outbound::BuildError),
    #[error(transparent)]
    Cluster(#[from] fleet::client::Error),
    #[error(transparent)]
    Bind(#[from] fleet::health::BindError),
    #[error(transparent)]
    Signal(#[from] fleet::Error),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("stopped before the end; the next run goes on from here")]
    Stopped,
    #[error("{0} repositories were skipped; the log says why")]
    Skipped(u64),
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
    let cursor = match &args.cursor {
        Some(name) => {
            let client = fleet::client::connect(SERVICE, args.kubeconfig.as_deref(), &registry).await?;
            Some(Cursor::new(client, &args.cursor_namespace, name, &args.namespace))
        }
        None => None,
    };
    let outbound = outbound::Client::new(SERVICE, args.outbound(), Clock::system(), &registry)?;
    let quay = Quay {
        api: args.quay_api_url.clone(),
        // No image is named here.
        host: String::new(),
        organization: args.namespace.clone(),
        token: args.quay_token.clone(),
        outbound,
        pace: Pace::new(CALLS_AT_ONCE, args.registry_calls_per_second),
        clock: Clock::system(),
    };
    fleet::health::serve_metrics_to_the_end(args.metrics_addr, registry).await?;
    let pruner = Pruner { quay, dry_run: args.dry_run, metrics: metrics.clone() };
    let ended = walk(&pruner, cursor.as_ref(), usize::from(args.concurrency), &stop).await;
    tracing::info!(
        repositories = metrics.repositories.get(),
        tags = metrics.tags.get(),
        deleted = metrics.deleted.get(),
        errors = metrics.errors.get(),
        dry_run = args.dry_run,
        "Looked at all repositories"
    );
    ended?;
    match metrics.errors.get() {
        0 => Ok(()),
        skipped => Err(Error::Skipped(skipped)),
    }
}

/// Page by page. A page that fails ends the run; a repository that fails does not.
async fn walk(
    pruner: &Pruner,
    cursor: Option<&Cursor>,
    together: usize,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut page = match cursor {
        Some(cursor) => cursor.read().await,
        None => None,
    };
    if let Some(page) = &page {
        tracing::info!(page, "Going on where the last run ended");
    }
    loop {
        let listed = patiently(async || pruner.quay.repositories(page.as_deref()).await).await;
        let listed = match listed {
            // The name of a page that was noted by another run, too long ago perhaps.
            Err(registry::Error::Refused { .. })
                if page.is_some() && pruner.metrics.repositories.get() == 0 =>
            {
                tracing::warn!("The registry does not know that page any more: all begins anew");
                page = None;
                continue;
            }
            listed => listed?,
        };
        let work = futures::stream::iter(listed.names).for_each_concurrent(together, async |name| {
            if let Err(error) = pruner.prune(&name).await {
                tracing::error!(repository = name, error = %error, "Skipped a repository");
                pruner.metrics.errors.inc();
            }
        });
        stop.run_until_cancelled(work).await.ok_or(Error::Stopped)?;
        page = listed.next;
        if let Some(cursor) = cursor {
            cursor.write(page.as_deref()).await;
        }
        if page.is_none() {
            return Ok(());
        }
    }
}
