//! Runs that come and go, and all that one knows of them who made them.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, try_join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::world::{PRUNED, World};
use crate::kubelet::Printed;
use crate::runs::{pipeline_status, running, task_status};
use crate::service::annotation;

/// How many things happen at once.
const LANES: usize = 16;
/// How long a run may take to be stored or gone while everybody dies, or after: back-offs add up.
const PATIENCE: Duration = Duration::from_mins(3);
const TASKS: [&str; 3] = ["lint", "build", "test"];
const STEPS: [&str; 2] = ["make", "push"];
/// Lines of a large log, some 2.5 MB.
const MANY: u64 = 40_000;

/// A run that was made.
pub(super) struct Made {
    pub(super) uid: String,
    pub(super) name: String,
    /// The last part of the name of its Result.
    pub(super) result: String,
    pub(super) is_top_level: bool,
    /// As we left it.
    pub(super) last: Value,
    /// What has to be stored of what its pods printed. None of one that never ended.
    pub(super) log: Option<String>,
    pub(super) fate: Fate,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is there.
    Stays,
    /// The watcher deleted the run of this uid, which is its own or its PipelineRun's.
    GoesWith(String),
    /// A user deleted it.
    Deleted,
}

/// Until the time is up and all that was begun is stored.
pub(super) async fn run(world: &World, mut chance: Chance, until: Instant) -> anyhow::Result<Vec<Made>> {
    let lanes = (0..LANES).map(|lane| {
        let mut lane = Lane { world, chance: chance.fork(), name: format!("lane-{lane}") };
        async move { lane.run(until).await }
    });
    Ok(try_join_all(lanes).await?.into_iter().flatten().collect())
}

/// Makes one thing after the other.
struct Lane<'a> {
    world: &'a World,
    chance: Chance,
    name: String,
}

impl Lane<'_> {
    async fn run(&mut self, until: Instant) -> anyhow::Result<Vec<Made>> {
        let mut made = Vec::new();
        let mut count = 0;
        while Instant::now() < until {
            count += 1;
            let name = format!("{}-{count}", self.name);
            let runs = match self.chance.below(10) {
                0 => self.cut_short(&name).boxed_local().await,
                1 | 2 => self.alone(&name).boxed_local().await,
                3 => self.of_one_event(&name).boxed_local().await,
                _ => self.pipeline(&name, None).boxed_local().await,
            };
            made.extend(runs.with_context(|| name.clone())?);
        }
        Ok(made)
    }

    /// A TaskRun of nobody that a user deletes while it runs.
    async fn cut_short(&mut self, name: &str) -> anyhow::Result<Vec<Made>> {
        let whole = self.world.whole::<TaskRun>();
        let task_runs = self.world.api::<TaskRun>();
        let uid =
            create::<TaskRun>(self.world, json!({"metadata": {"name": name}, "spec": {"taskSpec": task()}}))
                .await?;
        // From then on nothing of it may be lost.
        wait_for(&task_runs, name, "its finalizer", |run| !run.finalizers().is_empty()).await?;
        let last = set(&whole, name, &running()).await?;
        self.pause().await;
        task_runs.delete(name, &DeleteParams::default()).await?;
        gone(&task_runs, name).await?;
        let result = uid.clone();
        Ok(vec![Made {
            uid,
            name: name.into(),
            result,
            is_top_level: true,
            last,
            log: None,
            fate: Fate::Deleted,
        }])
    }

    /// A TaskRun of nobody.
    async fn alone(&mut self, name: &str) -> anyhow::Result<Vec<Made>> {
        let (labels, is_pruned) = self.labels(None);
        let run = json!({"metadata": {"name": name, "labels": labels}, "spec": {"taskSpec": task()}});
        let uid = create::<TaskRun>(self.world, run).await?;
        let (last, log) = self.task_goes_on(name).await?;
        let fate = if is_pruned { Fate::GoesWith(uid.clone()) } else { Fate::Stays };
        let task_runs = self.world.api::<TaskRun>();
        if is_pruned {
            gone(&task_runs, name).await?;
            self.delete_pod(name).await?;
        } else {
            stored_task(&task_runs, name).await?;
        }
        let result = uid.clone();
        Ok(vec![Made { uid, name: name.into(), result, is_top_level: true, last, log: Some(log), fate }])
    }

    /// Two PipelineRuns at once whose Result is one.
    async fn of_one_event(&mut self, name: &str) -> anyhow::Result<Vec<Made>> {
        let mut other = Lane { world: self.world, chance: self.chance.fork(), name: String::new() };
        let event = format!("event-of-{name}");
        let (first, second) = (format!("{name}-a"), format!("{name}-b"));
        let (mut runs, others) = futures::try_join!(
            self.pipeline(&first, Some(&event)).boxed_local(),
            other.pipeline(&second, Some(&event)).boxed_local()
        )?;
        runs.extend(others);
        Ok(runs)
    }

    async fn pipeline(&mut self, name: &str, event: Option<&str>) -> anyhow::Result<Vec<Made>> {
        let whole = self.world.whole::<PipelineRun>();
        let (labels, is_pruned) = self.labels(event);
        let tasks = &TASKS[..=usize::try_from(self.chance.below(3))?];
        let specs: Vec<_> = tasks.iter().map(|name| json!({"name": name, "taskSpec": task()})).collect();
        let run = json!({
            "metadata": {"name": name, "labels": labels}, "spec": {"pipelineSpec": {"tasks": specs}},
        });
        let uid = create::<PipelineRun>(self.world, run).await?;
        set(&whole, name, &running()).await?;
        let fate = if is_pruned { Fate::GoesWith(uid.clone()) } else { Fate::Stays };
        let result = event.unwrap_or(&uid).to_owned();
        let mut made = Vec::new();
        let mut printed = String::new();
        for task_name in tasks {
            let child = format!("{name}-{task_name}");
            let owner = json!({
                "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": name, "uid": uid,
                "controller": true, "blockOwnerDeletion": true,
            });
            // A TaskRun has its PipelineRun's labels.
            let mut labels = labels.clone();
            labels["tekton.dev/pipelineRun"] = json!(name);
            labels["tekton.dev/pipelineTask"] = json!(task_name);
            let metadata = json!({"name": child, "labels": labels, "ownerReferences": [owner]});
            let run = json!({"metadata": metadata, "spec": {"taskSpec": task()}});
            let uid = create::<TaskRun>(self.world, run).await?;
            let (last, log) = self.task_goes_on(&child).await?;
            for line in log.split_inclusive('\n') {
                let line = line.strip_prefix('[').context("lines begin with their step")?;
                write!(printed, "[{task_name} : {line}")?;
            }
            let (result, fate) = (result.clone(), fate.clone());
            made.push(Made { uid, name: child, result, is_top_level: false, last, log: Some(log), fate });
        }
        let last = set(&whole, name, &pipeline_status(self.chance.below(4) > 0, name, tasks)).await?;
        let children: Vec<String> = made.iter().map(|run| run.name.clone()).collect();
        let name = name.to_owned();
        made.push(Made { uid, name, result, is_top_level: true, last, log: Some(printed), fate });
        let parent = &made[made.len() - 1];
        self.settle(&parent.name, &children, is_pruned).await?;
        Ok(made)
    }

    /// Waits until a PipelineRun is stored, or gone; then its TaskRuns and pods go, too.
    async fn settle(&mut self, name: &str, children: &[String], is_pruned: bool) -> anyhow::Result<()> {
        let (pipeline_runs, task_runs) = (self.world.api::<PipelineRun>(), self.world.api::<TaskRun>());
        if !is_pruned {
            wait_for(&pipeline_runs, name, "its mark", |run| annotation(run, "stored") == Some("true"))
                .await?;
            for child in children {
                stored_task(&task_runs, child).await?;
            }
            return Ok(());
        }
        gone(&pipeline_runs, name).await?;
        // There is nobody else here who collects them.
        for child in children {
            task_runs.delete(child, &DeleteParams::default()).await?;
        }
        for child in children {
            gone(&task_runs, child).await?;
            self.delete_pod(child).await?;
        }
        Ok(())
    }

    /// A TaskRun runs, prints and ends. Answers it, and its log as it has to be stored.
    async fn task_goes_on(&mut self, name: &str) -> anyhow::Result<(Value, String)> {
        let task_runs = self.world.whole::<TaskRun>();
        self.pause().await;
        set(&task_runs, name, &running()).await?;
        let steps = STEPS.map(|step| (step, self.printed(name, step)));
        let printed = steps.each_ref().map(|(step, text)| (*step, Printed::Text(text.clone())));
        let pod = pod(name);
        self.world.node.pod(&self.world.api::<Pod>(), &pod, &printed).await?;
        self.pause().await;
        let last = set(&task_runs, name, &task_status(self.chance.below(4) > 0, &pod, &STEPS)).await?;
        let mut log = String::new();
        for (step, text) in &steps {
            for line in text.split_inclusive('\n') {
                writeln!(log, "[{step}] {}", line.trim_end_matches('\n'))?;
            }
        }
        Ok((last, log))
    }

    async fn delete_pod(&self, run: &str) -> anyhow::Result<()> {
        self.world.api::<Pod>().delete(&pod(run), &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    /// Nothing, a little, or much; no two lines are the same.
    fn printed(&mut self, run: &str, step: &str) -> String {
        let count = match self.chance.below(20) {
            0 => 0,
            1 => MANY,
            _ => self.chance.below(200),
        };
        let mut text = String::new();
        for line in 0..count {
            let _ = writeln!(text, "{run} {step} line {line} {:016x}", self.chance.next());
        }
        // Not every program ends its last line.
        if self.chance.below(2) == 0 {
            text.pop();
        }
        text
    }

    /// Of a run that belongs to nobody, and whether it is deleted when it is stored.
    fn labels(&mut self, event: Option<&str>) -> (Value, bool) {
        let is_pruned = self.chance.below(2) == 0;
        let mut labels = json!({"team": "a"});
        if is_pruned {
            labels[PRUNED.0] = json!(PRUNED.1);
        }
        if let Some(event) = event {
            labels["triggers.tekton.dev/triggers-eventid"] = json!(event);
        }
        (labels, is_pruned)
    }

    /// What a step of a run takes, so that some of its states are archived before its end.
    async fn pause(&mut self) {
        sleep(self.chance.millis(0, 300)).await;
    }
}

fn pod(run: &str) -> String {
    format!("{run}-pod")
}

fn task() -> Value {
    let steps = STEPS
        .map(|step| json!({"name": step, "image": "registry.example/tool", "script": format!("run {step}")}));
    json!({ "steps": steps })
}

async fn create<K>(world: &World, mut run: Value) -> anyhow::Result<String>
where
    K: Resource<DynamicType = ()>,
{
    run["apiVersion"] = json!(K::api_version(&()));
    run["kind"] = json!(K::kind(&()));
    let made = world.whole::<K>().create(&PostParams::default(), &serde_json::from_value(run)?).await?;
    made.uid().context("it has a uid")
}

/// Gives a run this status, and answers the whole.
async fn set(api: &Api<DynamicObject>, name: &str, status: &Value) -> anyhow::Result<Value> {
    let patch = json!({ "status": status });
    let run = api.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(serde_json::to_value(run)?)
}

/// A TaskRun that stays is marked for its PipelineRun, too; one of nobody only stored.
fn stored_task<'a>(api: &'a Api<TaskRun>, name: &'a str) -> LocalBoxFuture<'a, anyhow::Result<()>> {
    wait_for(api, name, "its mark", |run| annotation(run, "stored") == Some("true"))
}

/// On the heap, as all that waits: what is read into is large, and tests are not optimised.
fn wait_for<'a, K>(
    api: &'a Api<K>,
    name: &'a str,
    what: &'a str,
    is_so: impl Fn(&K) -> bool + 'a,
) -> LocalBoxFuture<'a, anyhow::Result<()>>
where
    K: fleet::Stored + serde::Serialize,
{
    testkit::wait_for(api, name, what, PATIENCE, is_so).map(|found| found.map(drop)).boxed_local()
}

fn gone<'a, K>(api: &'a Api<K>, name: &'a str) -> LocalBoxFuture<'a, anyhow::Result<()>>
where
    K: fleet::Stored + serde::Serialize,
{
    testkit::wait_gone(api, name, PATIENCE).boxed_local()
}
