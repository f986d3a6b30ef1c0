//! `cargo xtask demo`: from nothing to what the fleet does today, shown as it happens.
//!
//! A step is a module in `demo/steps`; it asserts what it shows and hands back facts for the summary. Later services
//! add theirs to [`steps::ALL`].
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::future::LocalBoxFuture;

use crate::{
    cluster,
    deploy::{Object, Target},
    forge::scene::Scene,
    images,
    program::interruptible,
    ui,
};

mod follow;
mod steps;
mod summary;

/// Sets everything up and shows what it does: cluster, images, services, a tenant with an Application.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    #[command(flatten)]
    cluster: cluster::Choice,
    /// Use this cluster instead of the embedded one. Needs `--registry`: one that its nodes can pull from.
    #[arg(long, value_name = "FILE", requires = "registry")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    registry: images::RegistryArgs,
    /// Go on with the example tenant of an earlier run. Without it, its objects are deleted first and made anew.
    #[arg(long)]
    keep: bool,
}

/// One step of the demo.
pub struct Step {
    /// Printed as a heading.
    pub title: &'static str,
    pub run: for<'a> fn(&'a mut Show) -> LocalBoxFuture<'a, anyhow::Result<Vec<Fact>>>,
}

/// A line of the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub object: String,
    pub state: String,
    /// Since what the fact is about was asked for.
    pub after: Duration,
}

/// What the steps hand on to each other.
pub struct Show {
    pub args: DemoArgs,
    /// Set by the first step.
    target: Option<Target>,
    /// Where the images are; set by the step that pushes them.
    registry: String,
    /// Set by the step that builds one.
    built: Option<Built>,
    /// The repository that it was built from, and who pushes to it; set with it.
    scene: Option<Scene>,
    /// Set by the step that merges.
    merged: Option<Merged>,
    /// A Release of what nobody has built; set by the step that asks for it.
    handmade: Option<Handmade>,
}

/// What was merged, tested and promoted.
#[derive(Clone, Debug)]
pub struct Merged {
    /// Name of the Snapshot, in the example tenant.
    pub snapshot: String,
    /// Its one image, by digest.
    pub image: String,
    pub commit: String,
    /// The Release that was made of it without anybody asking.
    pub release: String,
    pub at: Instant,
}

/// A Release that has to fail.
#[derive(Clone, Debug)]
pub struct Handmade {
    pub release: Object,
    /// The image that somebody has pushed, by digest.
    pub image: String,
    pub asked: Instant,
}

/// An image that the demo has built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Name of its repository in the registry, with the registry's.
    pub repository: String,
    pub digest: String,
    /// The PipelineRun, in the example tenant.
    pub run: String,
    /// Repository of the sources, and the commit.
    pub url: String,
    pub commit: String,
}

impl Show {
    pub fn target(&self) -> anyhow::Result<&Target> {
        self.target.as_ref().context("no step of the demo has chosen a cluster")
    }
}

pub async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut show = Show {
        args,
        target: None,
        registry: String::new(),
        built: None,
        scene: None,
        merged: None,
        handmade: None,
    };
    let mut facts = Vec::new();
    for (number, step) in steps::ALL.iter().enumerate() {
        ui::note(&format!("── {} of {}: {}", number + 1, steps::ALL.len(), step.title));
        let found = interruptible((step.run)(&mut show)).await;
        facts.extend(
            found.with_context(|| format!("step {} of the demo failed: {}", number + 1, step.title))?,
        );
    }
    let target = show.target()?;
    let places = summary::Places {
        kubeconfig: target.kubeconfig.clone(),
        kubectl: target.kubectl.clone(),
        registry: show.registry.clone(),
        flags: show.args.cluster.flags(),
    };
    ui::answer(&summary::summary(&facts, began.elapsed(), &places));
    Ok(())
}
