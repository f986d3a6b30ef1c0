//! The archive of PipelineRuns, TaskRuns and their logs: `results-api`, which stores and shows it, and `results-retention`, which
//! deletes what is old.
//!
//! ```text
//! watcher, users ─ gRPC ─▶ grpc ─┬─▶ auth      who, and may they
//! users, console ─ REST ─▶ rest ─┘   store     PostgreSQL: Results, Records
//!                                    logs_service ─▶ logs    files or S3: logs
//! ConfigMap ─▶ retention ─▶ store, logs
//! ```
//! Every call is decided by the API server of the cluster, for the namespace that it is about.

pub mod args;
mod auth;
pub mod config;
mod grpc;
mod health;
pub mod logs;
pub mod logs_service;
pub mod metrics;
mod rest;
pub mod retention;
mod server;
pub mod store;

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

pub use args::Args;
pub use server::{Error, SERVICE, Service};

/// Runs the API server until SIGTERM or SIGINT. The whole of its `main`.
pub fn main(args: Args) -> ExitCode {
    fleet::main_serving(SERVICE, serve(args))
}

async fn serve(args: Args) -> Result<(), Error> {
    fleet::telemetry::log(args.log_format, args.log_filter(), &[("service", SERVICE)])?;
    let stop = CancellationToken::new();
    fleet::stop_on_signal(stop.clone())?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "Starting");
    tokio::select! {
        started = Service::start(args, stop.clone()) => started?.run().await,
        // The database may take minutes to answer; nobody has to wait for that.
        () = stop.cancelled() => Ok(()),
    }
}
