//! Receives a forge's webhooks at one address, and sends each to every member cluster.
//!
//! ```text
//! forge ─▶ listener ─▶ secrets: whose signature? ─▶ spray ─┬─▶ forward ─▶ back end a
//!            ▲ intake: bytes in flight                     ├─▶ forward ─▶ back end b
//!            │                                             └─▶ spool ◀─ what is not taken within 8 s
//! answer ◀───┘ 200 proxied, 502 failed to proxy                  └─ retry ─▶ forward ─▶ back end b, later
//! ```
//! It looks into no payload, knows no tenant, and talks to no cluster but to ask who may use `/backends` and `/metrics`.

mod args;
mod backend;
mod backends;
mod client;
mod deliveries;
mod delivery;
mod forward;
mod headers;
mod listener;
pub mod metrics;
mod registration;
mod retry;
mod secrets;
mod service;
mod spray;

use std::process::ExitCode;

pub use args::{Args, Command, DeliveriesArgs};
pub use service::{Error, Service};

/// More threads than this cost memory and win nothing.
const MAX_THREADS: usize = 4;
/// For the spool and for names of hosts.
const MAX_BLOCKING_THREADS: usize = 16;

/// Runs the command. The whole of `main`.
pub fn main(command: Command) -> ExitCode {
    let result = match command {
        Command::Server(args) => serve(*args).map_err(|error| chain(&error)),
        Command::Deliveries(args) => deliveries::print(&args).map_err(|error| chain(&error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also when the log is filtered or not there yet.
            eprintln!("sprayproxy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: Args) -> Result<(), Error> {
    // An error means that it is installed already, which is all we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, MAX_THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(Error::Threads)?;
    let result = runtime.block_on(async {
        let fields = [("service", "sprayproxy"), ("audit", "true")];
        fleet::telemetry::log(args.log_format, &args.log_filter, &fields)?;
        let stop = tokio_util::sync::CancellationToken::new();
        fleet::stop_on_signal(stop.clone())?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "Starting");
        Service::start(args, stop).await?.run().await
    });
    // A look-up of a name that hangs must not keep the process.
    runtime.shutdown_background();
    result
}

/// What went wrong, and why.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}
