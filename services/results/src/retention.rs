//! Deletes what has been kept for long enough (results.md, section 4.5).
//!
//! ```text
//! folder of the ConfigMap ─▶ Settings ─┬─ run_at    when
//!                                      └─ policies  what ─▶ sweep: logs, then Result with its Records
//! ```
//! A setting that is wrong deletes nothing.

mod cron;
mod policy;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet::Clock;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::args::{DatabaseArgs, LogArgs};
use crate::logs::{self, LogStore};
use crate::store::{self, Store};

pub use self::cron::{Cron, InvalidCron};
pub use self::policy::{Error as PolicyError, Policy, Selector, Settings};
pub use self::sweep::{Swept, sweep};

/// How often the settings are read again while waiting.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Deletes archived runs that have been kept for long enough.
#[derive(Debug, clap::Parser)]
#[command(name = "results-retention", version, about)]
pub struct Args {
    #[command(flatten)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    pub logs: LogArgs,

    /// Folder with the files runAt, defaultRetention and policies: the mounted ConfigMap
    /// tekton-results-config-results-retention-policy. Read again when it changes.
    #[arg(long, env, default_value = "/etc/tekton/results/retention", value_name = "FOLDER")]
    pub retention_policy: PathBuf,

    /// Makes one pass now and ends, whatever runAt says: for a CronJob.
    #[arg(long, env)]
    pub once: bool,

    /// Format of the log on standard error.
    #[arg(long, env, default_value = "json", value_name = "FORMAT")]
    pub log_format: fleet::LogFormat,

    /// Which log lines to write, as `level` or `target=level,…` (error, warn, info, debug, trace).
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub log_level: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("open the database")]
    Database(#[from] store::Error),
    #[error("open the stored logs")]
    Logs(#[from] logs::StartError),
    #[error("{0} expired Results could not be deleted")]
    Incomplete(u64),
    #[error(transparent)]
    Log(#[from] fleet::telemetry::Error),
    #[error("signals cannot be received")]
    Signal(#[source] std::io::Error),
}

/// Runs until the process is told to stop, or once. Fails if what it is started with is wrong.
///
/// A pass can be stopped at any time: what it works on just then is rolled back.
pub async fn run(args: Args, clock: Clock) -> Result<(), Error> {
    fleet::telemetry::log(args.log_format, &args.log_level, &[("service", "results-retention")])?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    tokio::select! {
        done = work(&args, &clock) => done,
        _ = terminate.recv() => Ok(()),
    }
}

async fn work(args: &Args, clock: &Clock) -> Result<(), Error> {
    // Before anything else: a mistake should be seen at once, not on Sunday at seven.
    let settings = Settings::read(&args.retention_policy)?;
    let store = Store::connect(&args.database.options()).await?;
    let logs =
        if args.logs.logs_api { Some(LogStore::open(&args.logs.options(), clock).await?) } else { None };
    if args.once {
        let swept = pass(&store, logs.as_ref(), &settings, clock).await?;
        return if swept.failed == 0 { Ok(()) } else { Err(Error::Incomplete(swept.failed)) };
    }
    keep_to_schedule(&store, logs.as_ref(), &args.retention_policy, clock).await;
    Ok(())
}

async fn keep_to_schedule(store: &Store, logs: Option<&LogStore>, folder: &Path, clock: &Clock) {
    let mut last = clock.now();
    loop {
        let now = clock.now();
        match Settings::read(folder) {
            Ok(settings) if is_due(&settings, last, now) => {
                last = now;
                // The next try is the next pass: it begins where this one ended, in effect.
                if let Err(error) = pass(store, logs, &settings, clock).await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "Expired Results could not be deleted"
                    );
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "Nothing is deleted until the retention policy is corrected"
                );
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Whether a minute that is meant has come since the last pass.
fn is_due(settings: &Settings, last: Timestamp, now: Timestamp) -> bool {
    settings.run_at.next_after(last).is_some_and(|next| next <= now)
}

async fn pass(
    store: &Store,
    logs: Option<&LogStore>,
    settings: &Settings,
    clock: &Clock,
) -> Result<Swept, store::Error> {
    let swept = sweep(store, logs, settings, clock).await?;
    tracing::info!(
        seen = swept.seen,
        deleted = swept.deleted,
        failed = swept.failed,
        "Deleted what was kept for long enough"
    );
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_due_once_a_minute_has_come() {
        let settings = Settings {
            run_at: "5 5 * * 0".parse().unwrap(),
            default: jiff::SignedDuration::from_hours(24),
            policies: Vec::new(),
        };
        let at = |text: &str| text.parse().unwrap();
        let start = at("2024-05-01T00:00:00Z");
        assert!(!is_due(&settings, start, at("2024-05-05T05:04:00Z")));
        assert!(is_due(&settings, start, at("2024-05-05T05:05:10Z")));
        assert!(!is_due(&settings, at("2024-05-05T05:05:10Z"), at("2024-05-05T05:06:10Z")));
    }
}
