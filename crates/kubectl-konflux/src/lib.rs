//! A plugin of kubectl for runs that the cluster has forgotten: lists them, shows them, and prints their logs.
//!
//! ```text
//! flags ─▶ Cli ─┬─ results list|get ─▶ filter (CEL) ─▶ Archive (REST) ─▶ Run ─▶ output
//!               ├─ logs ─┬─ live: pods, while they exist
//!               │        └─ archived: the stored log
//!               └─ completion, __complete
//! kubeconfig ─▶ Session ─▶ client of the API server; client of the archive, made when it is first asked
//! ```
//! It writes nothing anywhere. Exit code 0 means that what was asked for was printed, 1 anything else, with a sentence
//! on standard error; 2 is a command line that cannot be read.

mod archive;
mod cli;
mod complete;
mod connect;
mod filter;
mod forward;
mod logs;
mod output;
mod results;
mod run;
mod selector;
mod session;
mod target;

use std::io;
use std::process::ExitCode;

pub use cli::Cli;

use crate::cli::Command;
use crate::session::Session;

/// Does what the command line says. The whole of `main`.
pub fn main(cli: Cli) -> ExitCode {
    // An error means that it is installed already, which is all we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        // As of `kubectl konflux results list | head`.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Results(command) => results::run(command, &Session::open(cli.global).await?).await,
        Command::Logs(command) => logs::run(command, &Session::open(cli.global).await?).await,
        Command::Completion { shell } => complete::script(shell, &mut io::stdout().lock()),
        Command::Complete { words } => complete::candidates(&words, &mut io::stdout().lock()),
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}
