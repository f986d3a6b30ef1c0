//! `cargo xtask conform`: the manifests of `tests/conformance` on the engine of a cluster, whichever engine that is.
//!
//! ```text
//! tests/conformance/*.yaml ─▶ case ─▶ a namespace of its own ─▶ objects, acts, expectations ─▶ a line
//! ```
//! Only the public API is used: objects, their status, pods and their logs. tests/conformance/README.md tells how a case is
//! written.
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::ensure;
use futures::StreamExt as _;

use crate::{cluster, deploy::Target, images, paths, program::interruptible, ui};

mod case;
mod execution;
mod expectation;
mod explanation;
mod forge;
mod matching;
mod world;

use case::Case;
use execution::Outcome;
use world::World;

/// Folder of the cases, in the checkout.
const CASES: &str = "tests/conformance";

/// What runs in pods where nothing else is named and no registry takes our own.
const PUBLIC_IMAGE: &str = "busybox:1.36";

/// Runs the conformance suite of Tekton pipelines on a cluster, whichever engine it has.
#[derive(Clone, Debug, clap::Args)]
pub struct ConformArgs {
    #[command(flatten)]
    cluster: cluster::Choice,
    /// Use this cluster instead of the embedded one. Any that has Tekton's kinds and somebody who runs them.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    registry: images::RegistryArgs,
    /// Only cases whose name or feature contains one of these, separated by commas.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    only: Vec<String>,
    /// Only cases that are marked as quick: one or two of each feature.
    #[arg(long)]
    quick: bool,
    /// Leave out cases that show what only our engine does.
    #[arg(long)]
    upstream: bool,
    /// Beginning of the names of the namespaces that are made, one for each case.
    #[arg(long, value_name = "NAME", default_value = "conform")]
    namespace: String,
    /// How many cases run at once.
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    parallel: usize,
    /// Image with a POSIX shell and the usual tools, which steps run in. Default: one made of Debian's busybox, pushed to the
    /// embedded cluster's registry or to `--registry`; without these `busybox:1.36`, from where the nodes have it.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Git repository that the engine can read and that holds tests/conformance/remote, as any clone of this one does. Default: one
    /// at the embedded cluster's forge; elsewhere cases of the resolver `git` are skipped.
    #[arg(long, value_name = "URL")]
    git_repository: Option<String>,
    /// Keep the namespaces of cases that fail.
    #[arg(long)]
    keep: bool,
}

pub async fn run(args: ConformArgs) -> anyhow::Result<()> {
    let cases = case::read_all(&paths::repository()?.join(CASES))?;
    let is_chosen = |case: &Case| {
        let is_named = |pattern: &String| {
            case.name.contains(pattern.as_str()) || case.header.feature.to_string().contains(pattern.as_str())
        };
        (!args.quick || case.header.quick)
            && (!args.upstream || case.header.ours.is_none())
            && (args.only.is_empty() || args.only.iter().any(is_named))
    };
    let chosen: Vec<Case> = cases.into_iter().filter(is_chosen).collect();
    ensure!(!chosen.is_empty(), "no case of {CASES} is named like --only {}", args.only.join(","));

    let target = Target::choose(&args.cluster, args.kubeconfig.as_deref()).await?;
    let has_registry = args.registry.registry.is_some() || target.certificate_authority.is_some();
    let image = match &args.image {
        Some(image) => image.clone(),
        None if has_registry => images::shell::push(&args.registry, &args.cluster).await?,
        None => PUBLIC_IMAGE.to_owned(),
    };
    let bundle = if has_registry {
        Some(images::shell::push_bundle(&args.registry, &args.cluster, &case::bundled()?).await?)
    } else {
        None
    };
    let git = match &args.git_repository {
        Some(url) => Some(url.clone()),
        None if args.kubeconfig.is_some() => None,
        None => match cluster::Cluster::load(&args.cluster)?.forge_access()? {
            Some(access) => Some(forge::push(&access).await?),
            None => None,
        },
    };
    let world = World::new(target.client, &args.namespace, image, bundle, git).await?;
    let outcome = interruptible(run_all(&world, chosen, &args)).await;
    world.remove_namespaces(args.keep).await?;
    outcome
}

/// Runs the cases and prints a line of each, then how many did what.
async fn run_all(world: &World, cases: Vec<Case>, args: &ConformArgs) -> anyhow::Result<()> {
    let began = Instant::now();
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    let mut outcomes = futures::stream::iter(cases)
        .map(async |case| {
            let began = Instant::now();
            let outcome = execution::run(world, &case).await;
            (case, outcome, began.elapsed())
        })
        .buffer_unordered(args.parallel.max(1));
    while let Some((case, outcome, took)) = outcomes.next().await {
        let line = |what: &str| format!("{what:<8}{:>6.1} s  {}", took.as_secs_f64(), case.name);
        match outcome {
            Outcome::Passed => {
                passed += 1;
                ui::answer(&line("passed"));
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                ui::answer(&format!("{}: {why}", line("skipped")));
            }
            Outcome::Failed(why) => {
                ui::answer(&format!("{}\n{}", line("FAILED"), indented(&why)));
                failed.push(case.name.clone());
            }
        }
    }
    ui::answer(&summary(passed, skipped, &failed, began.elapsed()));
    ensure!(failed.is_empty(), "{} of the suite's cases failed", failed.len());
    Ok(())
}

fn summary(passed: usize, skipped: usize, failed: &[String], took: Duration) -> String {
    let counts =
        format!("{passed} passed, {skipped} skipped, {} failed in {} s", failed.len(), took.as_secs());
    if failed.is_empty() { counts } else { format!("{counts}: {}", failed.join(", ")) }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// That the page of what is supported speaks of each case.
#[cfg(test)]
mod page;
