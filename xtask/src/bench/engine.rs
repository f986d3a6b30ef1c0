//! The rows of pipelines-engine: against bare pods doing the same, and under the load of many runs.
use std::path::PathBuf;

use anyhow::Context as _;

use super::{release, table::Table};
use crate::{cluster, deploy::Target, images, ourselves, program::interruptible, ui};

mod load;
mod node;
mod player;
mod pods;
pub(super) mod runs;
mod seen;
mod setup;

use node::{Node, NodeArgs};
use pods::Inside;
use runs::Image;
use setup::{Programs, Setup};

/// Measures pipelines-engine: runs against bare pods in a dev cluster of its own (needs root), and many runs whose pods
/// are played.
#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    /// Few runs of everything: whether the command works, not how fast the engine is.
    #[arg(long)]
    quick: bool,
    /// What to measure, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "pods,load", value_name = "PARTS")]
    parts: Vec<Part>,
    /// Measure this binary instead of a release build of this checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// What that binary brings to pods, instead of a build of this checkout.
    #[arg(long, value_name = "FILE")]
    entrypoint: Option<PathBuf>,
    /// Measure the engine that the cluster of this kubeconfig has, whichever it is: only the rows that can be seen from
    /// outside, by comparison with bare pods.
    #[arg(long, value_name = "FILE", requires = "image", conflicts_with_all = ["parts", "binary", "entrypoint", "NodeArgs"])]
    kubeconfig: Option<PathBuf>,
    /// With `--kubeconfig`: an image with a shell, which its nodes can pull.
    #[arg(long, requires = "kubeconfig", value_name = "IMAGE")]
    image: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
}

/// What can be measured apart from the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Real pods, with and without the engine.
    Pods,
    /// Many runs, whose pods are played.
    Load,
}

/// How much of everything.
struct Sizes {
    /// TaskRuns one after another.
    runs: usize,
    /// Tasks of a sequence.
    sequence: usize,
    /// TaskRuns at once.
    parallel: usize,
    /// How often sequences and what runs at once are repeated.
    rounds: usize,
    /// PipelineRuns while the time to the next pod is taken.
    live: usize,
    /// How often it is taken.
    samples: usize,
    /// PipelineRuns while memory and starts are measured.
    load: usize,
}

const FULL: Sizes =
    Sizes { runs: 20, sequence: 8, parallel: 20, rounds: 3, live: 500, samples: 250, load: 2000 };
const QUICK: Sizes = Sizes { runs: 5, sequence: 3, parallel: 5, rounds: 1, live: 50, samples: 20, load: 100 };

/// Writes a Markdown table for docs/benchmarks.md to standard output.
pub(super) async fn run(args: EngineArgs) -> anyhow::Result<()> {
    let sizes = if args.quick { QUICK } else { FULL };
    let table = interruptible(async {
        let mut table = Table::new(setup::SERVICE);
        if let (Some(kubeconfig), Some(image)) = (&args.kubeconfig, args.image.clone()) {
            let target = Target::choose(&cluster::Choice::named("dev"), Some(kubeconfig)).await?;
            let image = Image { reference: image, has_shell: true };
            Box::pin(pods::measure(&target.client, &image, &sizes, None, &mut table)).await?;
            return Ok(table);
        }
        ourselves::kube_binary().await?;
        let programs = programs(&args).await?;
        // On the heap: each holds a whole control plane.
        if args.parts.contains(&Part::Pods) {
            Box::pin(on_a_node(&args.node, &programs, &sizes, &mut table)).await?;
        }
        if args.parts.contains(&Part::Load) {
            Box::pin(load::measure(&programs, &sizes, &mut table)).await?;
        }
        Ok(table)
    })
    .await?;
    ui::answer(&table.to_string());
    Ok(())
}

async fn programs(args: &EngineArgs) -> anyhow::Result<Programs> {
    let existing = |flag: &str, file: &PathBuf| {
        file.canonicalize().with_context(|| format!("{flag} {}: is there such a file?", file.display()))
    };
    Ok(Programs {
        engine: match &args.binary {
            Some(file) => existing("--binary", file)?,
            None => release(setup::SERVICE).await?,
        },
        entrypoint: match &args.entrypoint {
            Some(file) => existing("--entrypoint", file)?,
            None => images::entrypoint().await?,
        },
    })
}

/// The engine beside a cluster with a kubelet.
async fn on_a_node(
    args: &NodeArgs,
    programs: &Programs,
    sizes: &Sizes,
    table: &mut Table,
) -> anyhow::Result<()> {
    let node = Node::up(args).await?;
    let setup = Setup::install(&node.plane, programs, node.host).await?;
    let service = setup.start().await?;
    setup.await_webhooks().await?;
    let image = Image { reference: cluster::node_image()?, has_shell: false };
    let inside = Inside { service: &service, ledger: node.plane.ledger()?, user: Setup::user() };
    pods::measure(&node.plane.admin(), &image, sizes, Some(&inside), table).await?;
    service.stop().await
}
