//! From `main` to a running service.

use std::error::Error as StdError;
use std::process::ExitCode;

use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::args::Args;
use crate::controller::chain;
use crate::runtime::{Error, Fleet};
use crate::{client, telemetry};

/// More threads than this cost memory and win nothing: controllers wait for the API server.
const MAX_THREADS: usize = 4;

/// The arguments of a service: its own, and the kit's among them.
pub trait ServiceArgs {
    /// Name of the deployable: in logs, Events, the Lease, the certificate Secret.
    const SERVICE: &'static str;

    fn fleet(&self) -> &Args;
}

/// Runs a service until SIGTERM or SIGINT. The whole of a service's `main`:
///
/// ```ignore
/// fn main() -> std::process::ExitCode {
///     fleet::main(application_service::Args::parse(), application_service::run)
/// }
/// ```
pub fn main<A, F, E>(args: A, run: impl FnOnce(A, Fleet) -> F) -> ExitCode
where
    A: ServiceArgs,
    F: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    block_on(A::SERVICE, threads(), start(args, run))
}

/// Runs a program that ends when its work is done, as a `CronJob` starts it. The whole of its `main`. It has one thread: such a program
/// waits for others.
pub fn main_once<E: StdError + 'static>(
    program: &str,
    work: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    block_on(program, 1, work)
}

/// Runs a program that serves until it is told to stop and is no controller: without store, queue or Lease. The whole of its `main`;
/// the log, the signals ([`stop_on_signal`]) and the servers are its own to set up.
pub fn main_serving<E: StdError + 'static>(
    program: &str,
    work: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    block_on(program, threads(), work)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).clamp(1, MAX_THREADS)
}

fn block_on<E: StdError + 'static>(
    program: &str,
    threads: usize,
    work: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    // An error means that it is installed already, which is all we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("{program}: threads cannot be started: {error}");
                return ExitCode::FAILURE;
            }
        };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also when the log is filtered or not there yet.
            eprintln!("{program}: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn start<A, F, E>(args: A, run: impl FnOnce(A, Fleet) -> F) -> Result<(), Error>
where
    A: ServiceArgs,
    F: Future<Output = Result<(), E>>,
    E: Into<Error>,
{
    let _telemetry = telemetry::start(A::SERVICE, args.fleet())?;
    let registry = Registry::new();
    let client = client::connect(A::SERVICE, args.fleet().kubeconfig.as_deref(), &registry).await?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    tracing::info!(service = A::SERVICE, version = env!("CARGO_PKG_VERSION"), "Starting");
    let fleet = Fleet::new(A::SERVICE, args.fleet().clone(), client, registry, stop)?;
    run(args, fleet).await.map_err(Into::into)
}

/// Cancels `stop` on SIGTERM or SIGINT. The second one ends the process at once, with 1: somebody is in a hurry.
pub fn stop_on_signal(stop: CancellationToken) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        stop.cancel();
        next().await;
        tracing::warn!("Stopped by a second signal, with work in hand");
        std::process::exit(1);
    });
    Ok(())
}
