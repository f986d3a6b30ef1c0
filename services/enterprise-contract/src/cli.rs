//! The command line `ec`.
//!
//! ```text
//! flags ─▶ Cli ─▶ Context (outbound, registry, logins, clock, sources) ─▶ one command ─▶ outputs ─▶ exit code
//! ```
//! Exit code 0 means that what was asked for was done and, where something was judged strictly, that it passed; 1 means anything
//! else, and standard error says what. Only `ec test` knows a 2.

mod context;
mod fetch;
mod init;
mod inspect;
mod logging;
mod sigstore;
mod track;
mod validate;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgAction, Parser, Subcommand};
use fleet::outbound::AllowList;

use self::context::Context;
use self::logging::Traces;
use crate::conftest;

/// Judges container images by policies before they are released.
#[derive(Debug, Parser)]
#[command(name = "ec", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of all commands.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
struct Global {
    /// How long the whole run may take, as 5m or 1h30m. 0 means without end.
    #[arg(long, global = true, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    timeout: Duration,
    /// Log errors only.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    quiet: bool,
    /// Log what is done.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    verbose: bool,
    /// Log details.
    #[arg(long, global = true, env = "EC_DEBUG", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_parser = clap::builder::BoolishValueParser::new(), value_name = "BOOL")]
    debug: bool,
    /// Log everything of some kinds: none, all, log, perf (how long the run took), opa (what rules print). Taken for
    /// compatibility and without effect: cpu, mem.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "all", default_value = "none", value_name = "KINDS")]
    trace: Traces,
    /// File that the log goes to instead of standard error.
    #[arg(long, global = true, value_name = "FILE")]
    logfile: Option<PathBuf>,
    /// Colour text although it does not go to a terminal.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, conflicts_with = "no_color", value_name = "BOOL")]
    color: bool,
    /// Never colour text.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    no_color: bool,
    /// Also show what passed.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = ArgAction::Set, value_name = "BOOL")]
    show_successes: bool,
    /// Configuration of the cluster that policies, Snapshots and keys are read from, if they are named there. Inside a pod:
    /// that pod's cluster.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Certificate authorities (PEM) that are trusted beside the machine's own. A file that is missing or empty adds none.
    #[arg(long, global = true, env = "EC_CA_BUNDLE", value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// What may be called beside the internet. A step runs with its user's own rights in the user's own namespace, so all that
    /// it can reach is permitted unless this says less.
    #[arg(
        long,
        global = true,
        env = "EC_OUTBOUND_ALLOW",
        default_value = "0.0.0.0/0,::/0",
        value_name = "LIST"
    )]
    outbound_allow: AllowList,
    /// Folder with the roots of trust for signatures by certificates and for transparency logs.
    #[arg(long, global = true, env = "TUF_ROOT", value_name = "DIR")]
    tuf_root: Option<PathBuf>,
    #[arg(long, global = true, env, hide = true)]
    docker_config: Option<PathBuf>,
    #[arg(long, global = true, env, hide = true)]
    home: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
enum Command {
    /// Judge images, files or policies.
    #[command(subcommand)]
    Validate(validate::Command),
    /// Show rules and data of policies.
    #[command(subcommand)]
    Inspect(inspect::Command),
    /// Fetch what policies refer to.
    #[command(subcommand)]
    Fetch(fetch::Command),
    /// Begin something new.
    #[command(subcommand)]
    Init(init::Command),
    /// Judge files as conftest does.
    Test(conftest::TestArgs),
    /// Work on rules: run their unit tests, evaluate queries, check them.
    #[command(subcommand)]
    Opa(conftest::OpaCommand),
    /// Keep records of trusted tasks.
    #[command(subcommand)]
    Track(track::Command),
    /// Roots of trust for signatures by certificates.
    #[command(subcommand)]
    Sigstore(sigstore::Command),
    /// Show the version.
    Version(version::Args),
}

/// What a command has after its time, to say what took it.
const GRACE: Duration = Duration::from_millis(500);

/// How a command ended, if it did what it was asked for.
type Outcome = anyhow::Result<ExitCode>;

/// Runs `ec`.
pub fn main(cli: Cli) -> ExitCode {
    let Cli { global, command } = cli;
    let done = run(&global, command);
    done.unwrap_or_else(|error| {
        // Also when the log is filtered, or goes elsewhere.
        eprintln!("Error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(global: &Global, command: Command) -> Outcome {
    logging::start(global)?;
    if let Command::Version(args) = command {
        return version::run(&args);
    }
    // An error means that it is installed already, which is all we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, 4);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime =
        runtime.worker_threads(threads).enable_all().build().context("threads cannot be started")?;
    let context = {
        // Connections belong to the runtime.
        let _entered = runtime.enter();
        Context::new(global)?
    };
    let began = std::time::Instant::now();
    let work = async {
        match command {
            Command::Validate(command) => validate::run(command, &context).await,
            Command::Inspect(command) => inspect::run(command, &context).await,
            Command::Fetch(command) => fetch::run(command, &context).await,
            Command::Init(command) => init::run(&command),
            Command::Test(args) => finished(&conftest::test(&args, &context.conftest()).await?),
            Command::Opa(command) => finished(&conftest::opa(&command, &context.conftest()).await?),
            Command::Track(command) => track::run(command, &context).await,
            Command::Sigstore(command) => sigstore::run(command, &context).await,
            Command::Version(args) => version::run(&args),
        }
    };
    let done = runtime.block_on(async {
        // Judgements see to it themselves a moment before, and say what they were at.
        let Some(limit) = context.timeout.map(|timeout| timeout + GRACE) else { return work.await };
        let late = |_| anyhow::anyhow!("not finished within {:?} (--timeout)", global.timeout);
        tokio::time::timeout(limit, work).await.map_err(late)?
    });
    if global.trace.perf {
        tracing::info!(
            elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "Finished"
        );
    }
    // Evaluations that still run are of no use any more.
    runtime.shutdown_background();
    done
}

fn finished(finished: &conftest::Finished) -> Outcome {
    say(&finished.text)?;
    Ok(ExitCode::from(finished.code))
}

/// `5m`, `1h30m`, `90s`, `0`.
fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let parsed = parsed.ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "it is no duration, as 5m, 1h30m, or 0 for none".to_owned())
}

/// Writes text to standard output. That nobody reads it any more is an error too: who asked for it did not get it.
fn say(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(text.as_bytes()).context("write to standard output")
}

#[cfg(test)]
mod tests;
