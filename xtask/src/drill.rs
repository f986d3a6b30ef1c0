//! `cargo xtask drill`: long tests of what goes wrong in practice.
use anyhow::{Context as _, ensure};

use crate::{
    cluster::{self, Choice},
    ourselves, paths,
    program::{Program, interruptible},
};

/// Of the control plane tests of results-watcher, which runs it for some seconds.
const OF_RESULTS: &str = "drill::killed_at_random_under_load_it_loses_and_doubles_nothing";

/// Kills parts of a cluster of its own, and looks whether it recovers and leaves nothing behind.
#[derive(Debug, clap::Args)]
pub struct DrillArgs {
    /// Name of the drill's cluster. One of that name is dropped with all that it holds.
    #[arg(long, default_value = "drill", conflicts_with = "results")]
    pub name: String,

    /// Instead: kills PostgreSQL, the API server and the watcher of results at random while runs come and go, and looks whether a
    /// record or a line of a log is lost or there twice. Needs no cluster.
    #[arg(long)]
    pub results: bool,

    /// How long to kill, in seconds.
    #[arg(long, default_value_t = 300, requires = "results", value_name = "SECONDS")]
    pub seconds: u64,

    /// What an earlier drill printed as DRILL_SEED: makes the same runs and kills.
    #[arg(long, requires = "results", value_name = "NUMBER")]
    pub seed: Option<u64>,
}

pub async fn run(args: DrillArgs) -> anyhow::Result<()> {
    if args.results {
        return interruptible(results(args.seconds, args.seed)).await;
    }
    cluster::lifecycle::run(&Choice::named(&args.name)).await
}

async fn results(seconds: u64, seed: Option<u64>) -> anyhow::Result<()> {
    ourselves::kube_binary().await?;
    cluster::packages::install_postgres().await?;
    // Both crates, for the programs of both; the test is in one of them.
    let program = Program::cargo(&paths::repository()?)
        .args(["test", "--package", "results", "--package", "results-watcher", "--test", "control_plane"])
        .args(["--", "--exact", OF_RESULTS, "--nocapture"])
        .env("DRILL_SECONDS", seconds.to_string());
    let program = match seed {
        Some(seed) => program.env("DRILL_SEED", seed.to_string()),
        None => program,
    };
    let status = program.show().await.context("run the drill")?;
    ensure!(status.success(), "the drill failed: see above");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use rstest::rstest;

    use super::*;

    fn args(line: &str) -> Result<DrillArgs, clap::Error> {
        let command = DrillArgs::augment_args(clap::Command::new("drill"));
        let matches =
            command.try_get_matches_from(std::iter::once("drill").chain(line.split_whitespace()))?;
        DrillArgs::from_arg_matches(&matches)
    }

    #[test]
    fn is_of_a_cluster_unless_it_is_of_results() {
        let of_cluster = args("").unwrap();
        assert_eq!((of_cluster.results, of_cluster.name.as_str()), (false, "drill"));
        let of_results = args("--results --seed 7").unwrap();
        assert_eq!((of_results.results, of_results.seconds, of_results.seed), (true, 300, Some(7)));
    }

    #[rstest]
    #[case::time_of_a_cluster("--seconds 5")]
    #[case::seed_of_a_cluster("--seed 5")]
    #[case::two_drills("--results --name x")]
    fn refuses_what_does_not_go_together(#[case] line: &str) {
        args(line).unwrap_err();
    }
}
