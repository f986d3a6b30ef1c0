//! `collectors`: data about a release from other places, for the pipelines after it.
//!
//! ```text
//! plan's or admission's collectors ─▶ collect ─▶ collectors.json ─▶ run, four at once ─▶ results/<side>-<name>.json
//! Release, Snapshot, those before  ─┘                                    managed: ▶ update-cr-status
//!                                                                         tenant: ▶ result `collectors` ─▶ release-service
//! ```
//! What a collector is, its `type` says; each is a module here:
//!
//! | type | output |
//! |---|---|
//! | `snapshot-changes` | which components came, went and changed since the last release, from which commit to which |
//! | `http-json` | what a web service answers, such as an issue tracker or a change calendar |

mod changes;
mod collect;
mod http_json;
mod template;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use application_service_api::SnapshotSpec;
use futures::StreamExt as _;
use release_service_api::collectors::Collector;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoEnumIterator as _;

use crate::context::{Context, Results, say};
use crate::workspace::Workspace;

/// How many collectors run at once.
const AT_ONCE: usize = 4;
/// Bytes of one collector's output. All together become part of the Release.
const OUTPUT_LIMIT: usize = 64 << 10;
/// The file that [`collect`] writes for [`run`].
const FILE: &str = "collectors.json";
/// The result with the outputs of a tenant's collectors, by name.
const RESULT: &str = "collectors";
/// The folder for outputs, in that of the run.
const RESULTS: &str = "results";

/// Collects data about a release.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Collect(collect::Args),
    Run(Args),
}

/// Runs the collectors that were collected.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long, value_name = "DIR")]
    workspace: PathBuf,
    /// Folder of the run in the workspace.
    #[arg(long)]
    subdirectory: String,
    /// Seconds for a collector that says nothing of its own.
    #[arg(long, default_value = "900", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    #[command(flatten)]
    results: Results,
}

/// Whose collectors they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
enum Side {
    Tenant,
    Managed,
}

/// What collectors are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Input {
    side: Side,
    /// Where their Secrets are.
    namespace: String,
    collectors: Vec<Collector>,
    /// The Secrets that they may read.
    secrets: Vec<String>,
    release: About,
    /// Absent in the first release of a plan.
    previous: Option<About>,
}

/// A release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct About {
    namespace: String,
    name: String,
    /// The user that it is attributed to, or nobody.
    author: String,
    snapshot: String,
    spec: SnapshotSpec,
}

/// What a collector collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
enum Type {
    SnapshotChanges,
    HttpJson,
}

pub async fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Collect(args) => collect::run(args, context).await,
        Command::Run(args) => run_all(args, context).await,
    }
}

async fn run_all(args: Args, context: &Context) -> anyhow::Result<()> {
    let workspace = Workspace::open(&args.workspace)?;
    let input: Input = workspace.read_json(&format!("{}/{FILE}", args.subdirectory))?;
    check(&input.collectors)?;
    let results = format!("{}/{RESULTS}", args.subdirectory);
    workspace.folder(&results)?;
    let default = Duration::from_secs(args.timeout);
    let runs = input.collectors.iter().map(async |collector| {
        let ended = limited(run_one(collector, &input, context), timeout(collector, default)).await;
        (collector, ended)
    });
    let mut runs = futures::stream::iter(runs).buffer_unordered(AT_ONCE);
    let mut failures = Vec::new();
    let mut outputs = serde_json::Map::new();
    let side: &str = input.side.into();
    while let Some((collector, ended)) = runs.next().await {
        let name = &collector.name;
        match ended.and_then(sized) {
            Ok(output) => {
                workspace.write_json(&format!("{results}/{side}-{name}.json"), &output)?;
                outputs.insert(name.clone(), output);
                say(&format!("Collector {name} ({}) is done", collector.type_));
            }
            Err(error) => {
                say(&format!("Collector {name} ({}) failed: {error:#}", collector.type_));
                failures.push(format!("{name}: {error:#}"));
            }
        }
    }
    failures.sort();
    ensure!(
        failures.is_empty(),
        "{} of {} collectors failed: {}",
        failures.len(),
        input.collectors.len(),
        failures.join("; ")
    );
    // No account of a tenant may write the status of a Release: release-service takes it from the run.
    let told = if input.side == Side::Tenant { outputs } else { serde_json::Map::new() };
    args.results.write(RESULT, &Value::Object(told).to_string())
}

/// Before any of them runs, so that a mistake is told at once and of all.
fn check(collectors: &[Collector]) -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    let known = Type::iter().map(<&str>::from).collect::<Vec<_>>().join(", ");
    let mut faults = Vec::new();
    for collector in collectors {
        if !names.insert(&collector.name) {
            faults.push(format!("two collectors have the name {}", collector.name));
        }
        if Type::from_str(&collector.type_).is_err() {
            faults.push(format!(
                "collector {}: there is no type {:?}: expected one of {known}",
                collector.name, collector.type_
            ));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(())
}

fn timeout(collector: &Collector, default: Duration) -> Duration {
    let own =
        collector.timeout.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    own.map_or(default, Duration::from_secs)
}

async fn limited<T>(work: impl Future<Output = anyhow::Result<T>>, timeout: Duration) -> anyhow::Result<T> {
    let ended = tokio::time::timeout(timeout, work).await;
    ended.unwrap_or_else(|_| bail!("it was not done in {} s: give it a longer timeout", timeout.as_secs()))
}

fn sized(output: Value) -> anyhow::Result<Value> {
    let size = output.to_string().len();
    ensure!(
        size <= OUTPUT_LIMIT,
        "its output has {size} bytes, and a Release takes {OUTPUT_LIMIT} of each collector"
    );
    Ok(output)
}

async fn run_one(collector: &Collector, input: &Input, context: &Context) -> anyhow::Result<Value> {
    match Type::from_str(&collector.type_) {
        Ok(Type::SnapshotChanges) => {
            params(collector, &[])?;
            let before = input.previous.as_ref().map(|previous| (previous.snapshot.as_str(), &previous.spec));
            Ok(changes::changes(before, (&input.release.snapshot, &input.release.spec)))
        }
        Ok(Type::HttpJson) => {
            let params = params(collector, &http_json::PARAMS)?;
            http_json::collect(&params, input, context).await
        }
        Err(_) => bail!("there is no type {:?}", collector.type_),
    }
}

/// The parameters of a collector by name, none of which is given twice or unknown.
fn params<'c>(collector: &'c Collector, known: &[&str]) -> anyhow::Result<Params<'c>> {
    let mut params = Params::new();
    for param in &collector.params {
        ensure!(
            known.contains(&param.name.as_str()),
            "type {} has no parameter {:?}: expected {}",
            collector.type_,
            param.name,
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        );
        let before = params.insert(&param.name, &param.value);
        ensure!(before.is_none(), "parameter {} is given twice", param.name);
    }
    Ok(params)
}

type Params<'c> = std::collections::BTreeMap<&'c str, &'c str>;

/// The value of a parameter that has to be given.
fn required<'c>(params: &Params<'c>, name: &str) -> anyhow::Result<&'c str> {
    let value = params.get(name).copied().filter(|value| !value.is_empty());
    value.with_context(|| format!("parameter {name} is missing"))
}

#[cfg(test)]
mod tests {
    use release_service_api::pipeline::Param;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::testing::World;

    fn collector(name: &str, type_: &str) -> Collector {
        Collector { name: name.to_owned(), type_: type_.to_owned(), ..Collector::default() }
    }

    fn input(collectors: Vec<Collector>) -> Input {
        Input {
            side: Side::Managed,
            namespace: "managed".to_owned(),
            collectors,
            secrets: Vec::new(),
            release: About { name: "r".to_owned(), snapshot: "s".to_owned(), ..About::default() },
            previous: None,
        }
    }

    async fn ran(collectors: Vec<Collector>) -> (World, anyhow::Result<()>) {
        let world = World::new();
        world.write("work/run/collectors.json", serde_json::to_vec(&input(collectors)).unwrap());
        let ended = world.run(&["collectors", "run", "--workspace=@work", "--subdirectory=run"]).await;
        (world, ended)
    }

    #[tokio::test]
    async fn each_writes_its_own_file() {
        let (world, ended) =
            ran(vec![collector("a", "snapshot-changes"), collector("b", "snapshot-changes")]).await;
        ended.unwrap();
        for name in ["managed-a.json", "managed-b.json"] {
            let output = std::fs::read(world.path("work/run/results").join(name)).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&output).unwrap()["to"], "s");
        }
    }

    #[tokio::test]
    async fn without_collectors_nothing_is_to_do() {
        let (world, ended) = ran(Vec::new()).await;
        ended.unwrap();
        assert_eq!(world.path("work/run/results").read_dir().unwrap().count(), 0);
    }

    #[tokio::test]
    async fn one_that_fails_is_named_and_the_others_are_done() {
        let bad = Collector {
            params: vec![Param { name: "url".to_owned(), value: "x".to_owned() }],
            ..collector("bad", "snapshot-changes")
        };
        let (world, ended) = ran(vec![bad, collector("good", "snapshot-changes")]).await;
        let error = ended.unwrap_err().to_string();
        assert!(
            error.contains("1 of 2") && error.contains("bad: type snapshot-changes has no parameter \"url\""),
            "{error}"
        );
        assert!(world.path("work/run/results/managed-good.json").exists());
        assert!(!world.path("work/run/results/managed-bad.json").exists());
    }

    #[rstest]
    #[case::unknown(&[("a", "jira")], Some("collector a: there is no type \"jira\": expected one of snapshot-changes, http-json"))]
    #[case::twice(&[("a", "http-json"), ("a", "snapshot-changes")], Some("two collectors have the name a"))]
    #[case::known(&[("a", "http-json"), ("b", "snapshot-changes")], None)]
    fn mistakes_are_told_before_any_runs(
        #[case] collectors: &[(&str, &str)],
        #[case] expected: Option<&str>,
    ) {
        let collectors: Vec<Collector> =
            collectors.iter().map(|(name, type_)| collector(name, type_)).collect();
        assert_eq!(check(&collectors).err().map(|error| error.to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case::own(Some(5), 5)]
    #[case::none(None, 900)]
    #[case::zero(Some(0), 900)]
    #[case::negative(Some(-1), 900)]
    fn timeouts(#[case] own: Option<i64>, #[case] expected: u64) {
        let collector = Collector { timeout: own, ..collector("a", "http-json") };
        assert_eq!(timeout(&collector, Duration::from_mins(15)), Duration::from_secs(expected));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_ended() {
        let endless = limited(std::future::pending::<anyhow::Result<()>>(), Duration::from_secs(7)).await;
        assert!(endless.unwrap_err().to_string().contains("not done in 7 s"));
        limited(async { Ok(()) }, Duration::from_secs(7)).await.unwrap();
    }

    #[test]
    fn outputs_have_a_limit() {
        sized(json!("x".repeat(OUTPUT_LIMIT - 2))).unwrap();
        sized(json!("x".repeat(OUTPUT_LIMIT - 1))).unwrap_err();
    }
}
