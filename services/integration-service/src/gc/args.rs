//! Flags of the Snapshot garbage collector.

use std::net::SocketAddr;
use std::path::PathBuf;

use fleet::LogFormat;

/// Deletes the Snapshots of each tenant that are too many, once.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "snapshotgc", version, about)]
pub struct Args {
    /// Snapshots of pushes that each namespace keeps, the newest ones. Those that are needed count, and stay even if they are more.
    #[arg(long, default_value_t = 512, value_name = "COUNT")]
    pub non_pr_snapshots_to_keep: usize,

    /// Snapshots of pull requests that each namespace keeps.
    #[arg(long, default_value_t = 512, value_name = "COUNT")]
    pub pr_snapshots_to_keep: usize,

    /// Snapshots of pushes that are kept of each Component, the newest ones.
    #[arg(long, default_value_t = 5, value_name = "COUNT")]
    pub min_snapshots_to_keep_per_component: usize,

    /// The variable wins over the flag, as in the original. Clap has it the other way round, hence an argument of its own.
    #[arg(
        long = "override-non-pr-snapshots-to-keep",
        env = "NON_PR_SNAPSHOTS_TO_KEEP",
        hide = true,
        value_name = "COUNT"
    )]
    non_pr_override: Option<usize>,

    /// As above.
    #[arg(
        long = "override-pr-snapshots-to-keep",
        env = "PR_SNAPSHOTS_TO_KEEP",
        hide = true,
        value_name = "COUNT"
    )]
    pr_override: Option<usize>,

    /// Whether only to say what would be deleted.
    #[arg(long)]
    pub dry_run: bool,

    /// Tenants that are looked at, separated by commas. Empty means all.
    #[arg(long, env, value_delimiter = ',', value_name = "NAMESPACES")]
    pub watch_namespaces: Vec<String>,

    /// Tenants that are looked at together.
    #[arg(long, env, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "COUNT")]
    pub concurrency: u16,

    /// Configuration of the cluster. Inside a pod: that pod's cluster.
    #[arg(long, env, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// Address of the metrics endpoint, while it runs.
    #[arg(long, env, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub metrics_addr: SocketAddr,

    /// Format of the log on standard error.
    #[arg(long, env, default_value = "json", value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Which log lines to write, as `level` or `target=level,…` (error, warn, info, debug, trace).
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub log_filter: String,
}

/// How many Snapshots a namespace keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) pushes: usize,
    pub(super) pull_requests: usize,
    pub(super) pushes_per_component: usize,
}

impl Args {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            pushes: self.non_pr_override.unwrap_or(self.non_pr_snapshots_to_keep),
            pull_requests: self.pr_override.unwrap_or(self.pr_snapshots_to_keep),
            pushes_per_component: self.min_snapshots_to_keep_per_component,
        }
    }
}
