//! A stand-in for chains: says of runs that they are signed, and signs nothing.

use kube::Client;
use kube::api::{Api, Patch, PatchParams, ResourceExt as _};
use kube::core::DynamicObject;
use serde_json::json;

use super::view::{self, Heard, View};
use super::{Runs, crds, object};
use crate::played::{Part, Scripts, Stage};

/// On a run and its TaskRuns: whether they were signed.
const SIGNED: &str = "chains.tekton.dev/signed";

/// What becomes of the signature of a run and its TaskRuns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// `chains.tekton.dev/signed: "true"`.
    #[default]
    Succeeds,
    /// `chains.tekton.dev/signed: "failed"`.
    Fails,
    /// The annotation never comes.
    Never,
}

/// Marks finished runs of one namespace, TaskRuns before their PipelineRun, until it is dropped. It sets no finalizer.
#[derive(Debug)]
pub struct PlayedChains {
    scripts: Scripts<DynamicObject, Signing>,
    stage: Stage,
}

impl PlayedChains {
    /// Starts on the runs that exist and those that come. What is not [played](Self::play) otherwise ends as `signing`.
    pub async fn start(client: Client, namespace: &str, signing: Signing) -> anyhow::Result<Self> {
        crds::install(&client).await?;
        let pipeline_runs = Api::namespaced_with(client.clone(), namespace, &object::pipeline_runs());
        let task_runs = Api::namespaced_with(client, namespace, &object::task_runs());
        let events = view::events(&pipeline_runs, &task_runs);
        let scripts = Scripts::new(signing);
        let part = Chains { pipeline_runs, task_runs, scripts: scripts.clone(), view: View::default() };
        let who = format!("played chains of {namespace}");
        let stage = Stage::open(who, part, events, scripts.changed()).await?;
        Ok(Self { scripts, stage })
    }

    /// What becomes of these runs' signatures from now on; also of those that end without one so far.
    pub fn play(&self, runs: Runs, signing: Signing) {
        self.scripts.add(runs, signing);
    }

    /// Stops after the write in hand. Another one that is started goes on from there.
    pub async fn stop(self) {
        self.stage.close().await;
    }
}

struct Chains {
    pipeline_runs: Api<DynamicObject>,
    task_runs: Api<DynamicObject>,
    scripts: Scripts<DynamicObject, Signing>,
    view: View,
}

impl Part for Chains {
    type Event = Heard;

    fn note(&mut self, event: Heard) -> Option<String> {
        self.view.note(event)
    }

    fn is_ready(&self) -> bool {
        self.view.is_complete()
    }

    fn names(&self) -> Vec<String> {
        self.view.names()
    }

    async fn act(&mut self, name: &str) -> kube::Result<()> {
        let Some(run) = self.view.run(name) else { return Ok(()) };
        let value = match self.scripts.of(run) {
            Signing::Succeeds => "true",
            Signing::Fails => "failed",
            Signing::Never => return Ok(()),
        };
        let Some((is_task, name)) = next(run, &self.view.task_runs_of(run)) else { return Ok(()) };
        let api = if is_task { &self.task_runs } else { &self.pipeline_runs };
        let patch = Patch::Merge(json!({"metadata": {"annotations": {SIGNED: value}}}));
        api.patch(&name, &PatchParams::default(), &patch).await.map(drop)
    }
}

/// The object to mark next, and whether it is a TaskRun.
fn next(run: &DynamicObject, task_runs: &[&DynamicObject]) -> Option<(bool, String)> {
    let is_marked = |object: &DynamicObject| object.annotations().contains_key(SIGNED);
    let due = |object: &&&DynamicObject| object::is_done(object) && !is_marked(object);
    if let Some(task_run) = task_runs.iter().find(due) {
        return Some((true, task_run.name_any()));
    }
    let waits = task_runs.iter().any(|task_run| !is_marked(task_run));
    (object::is_done(run) && !is_marked(run) && !waits).then(|| (false, run.name_any()))
}
