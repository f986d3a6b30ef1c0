//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::complete::Shell;
use crate::connect::Address;
use crate::filter::Status;
use crate::selector::Selector;
use crate::target::{Kind, Target};

/// Lists, shows and reads the logs of runs, also of those that the cluster has forgotten.
#[derive(Debug, Parser)]
#[command(name = "kubectl konflux", bin_name = "kubectl konflux", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of all commands.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Global {
    /// Kubeconfig to use. Default: `$KUBECONFIG`, which may name several, else `~/.kube/config`, else the account of the pod.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use instead of the current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Namespace of the runs. Default: the one of the context.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// User to act as. Needs the right to impersonate, in the cluster and in the archive.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to act as; repeatable. Needs --as.
    #[arg(long = "as-group", global = true, requires = "impersonate", value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// File with a token to use instead of what the kubeconfig says. It is read again when it changes.
    #[arg(long, global = true, env = "KONFLUX_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Where the archive is: a URL; a path below the cluster's own address, as /plugins/tekton-results; or
    /// service:NAMESPACE/NAME:PORT, which is reached by `kubectl port-forward`. Default: the extension `konflux-results`
    /// of the kubeconfig's context or cluster, else service:tekton-results/tekton-results-api-service:8080.
    #[arg(long, global = true, env = "KONFLUX_RESULTS_URL", value_name = "ADDRESS")]
    pub results_url: Option<Address>,
    /// Authorities (PEM) that the archive's certificate is checked with. Default for a URL: the machine's own; otherwise
    /// those of the cluster.
    #[arg(long, global = true, env = "KONFLUX_RESULTS_CA", value_name = "FILE")]
    pub results_ca: Option<PathBuf>,
    /// Name that the archive's certificate has to have. Default: the host of its address.
    #[arg(long, global = true, env = "KONFLUX_RESULTS_SERVER_NAME", value_name = "NAME")]
    pub results_server_name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs of the archive.
    #[command(subcommand)]
    Results(Results),
    /// Print the log of a run: of its pods while they exist, else of the archive.
    Logs(Logs),
    /// Print a script that completes commands and flags.
    Completion {
        /// Shell of the script. `kubectl` is what kubectl itself wants to find as `kubectl_complete-konflux` in the path.
        shell: Shell,
    },
    /// Asked by the script `kubectl_complete-konflux`.
    #[command(name = "__complete", hide = true)]
    Complete {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Results {
    /// List runs, the newest first.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one run. Of several with the same name, the newest.
    Get(Get),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Kind of the runs.
    #[arg(long, default_value = "pipelinerun")]
    pub kind: Kind,
    /// Of all namespaces. Needs the right to list records in the whole cluster.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub choice: Choice,
    /// How many at most; 0 is all.
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    pub limit: usize,
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// Leave out the line with the names of the columns.
    #[arg(long)]
    pub no_headers: bool,
}

/// Which runs. All that are given have to hold.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Choice {
    /// Of this Pipeline (label `tekton.dev/pipeline`).
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Of this Component (label `appstudio.openshift.io/component`).
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
    /// Of this Application (label `appstudio.openshift.io/application`).
    #[arg(long, value_name = "NAME")]
    pub application: Option<String>,
    /// How they ended. Several, separated by commas: any of them.
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    pub status: Vec<Status>,
    /// Labels, as kubectl takes them: `a=b,c!=d,e in (f,g),h,!i`.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<Selector>,
    /// Made in the last 24h, 7d, …
    #[arg(long, value_name = "DURATION")]
    pub since: Option<Since>,
    /// An expression in CEL over a record: `data.spec.params[0].value == "x"`.
    #[arg(long, value_name = "CEL")]
    pub filter: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// NAME, KIND/NAME (`taskrun/build-1`), a UID, or a record's name as `list -o name` prints it. A name without a kind
    /// is that of a PipelineRun.
    pub run: Target,
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// Leave out the line with the names of the columns.
    #[arg(long)]
    pub no_headers: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// NAME, KIND/NAME (`taskrun/build-1`), a UID, or a record's name as `results list -o name` prints it. A name without
    /// a kind is that of a PipelineRun.
    pub run: Target,
    /// Go on until the run ends.
    #[arg(short, long, conflicts_with = "archived")]
    pub follow: bool,
    /// Only these tasks of the Pipeline; repeatable, or separated by commas.
    #[arg(short, long = "task", value_delimiter = ',', value_name = "NAME")]
    pub tasks: Vec<String>,
    /// Only these steps; repeatable, or separated by commas.
    #[arg(short, long = "step", value_delimiter = ',', value_name = "NAME")]
    pub steps: Vec<String>,
    /// From the archive, even if the run still exists.
    #[arg(long)]
    pub archived: bool,
}

/// How runs are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A line for each.
    Table,
    /// As table, with more columns.
    Wide,
    /// The objects as they were last in the cluster.
    Json,
    /// The same.
    Yaml,
    /// Names of the records. `get` and `logs` take them.
    Name,
}

/// A length of time before now: `90m`, `24h`, `7d`, `1w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since(pub jiff::SignedDuration);

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = || format!("{text:?} is no length of time: give one as 90m, 24h, 7d or 2w");
        let span: jiff::Span = text.parse().map_err(|_| explain())?;
        // Days and weeks of 24 hours: nobody means the hour that a change of the clock takes.
        let relative = jiff::SpanRelativeTo::days_are_24_hours();
        let duration = span.to_duration(relative).map_err(|_| explain())?;
        if duration.is_negative() { Err(explain()) } else { Ok(Self(duration)) }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use rstest::rstest;

    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[rstest]
    #[case("90m", Some(90 * 60))]
    #[case("7d", Some(7 * 86400))]
    #[case("2w", Some(14 * 86400))]
    #[case("-1h", None)]
    #[case("yesterday", None)]
    #[case("", None)]
    fn reads_lengths_of_time(#[case] text: &str, #[case] seconds: Option<i64>) {
        assert_eq!(text.parse().ok(), seconds.map(|seconds| Since(jiff::SignedDuration::from_secs(seconds))));
    }
}
