//! Pairs of a PipelineRun and its TaskRun, made beforehand and ended when it is time.
use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use parking_lot::Mutex;
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};
use testkit::{Namespace, builders};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::Setup;

/// Writes of the load at once.
const TOGETHER: usize = 32;
/// Components: each has a repository, to which its runs push one after the other.
const REPOSITORIES: usize = 10;
/// Without any further mark for so long, something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);
const TASK: &str = "build";
const MARK: &str = "chains.tekton.dev/signed";

pub(super) struct Load<'a> {
    _namespace: Namespace<'a>,
    pipeline_runs: Api<PipelineRun>,
    task_runs: Api<TaskRun>,
    pairs: Vec<Pair>,
    /// When each of the PipelineRuns was seen to be marked, in that order.
    marked: Arc<Mutex<Vec<Instant>>>,
    changed: watch::Receiver<()>,
    work: JoinHandle<()>,
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.work.abort();
    }
}

struct Pair {
    name: String,
    image: String,
    digest: String,
}

impl<'a> Load<'a> {
    /// Makes pairs that have not ended, each with an image in the registry.
    pub(super) async fn begin(setup: &Setup<'a>, prefix: &str, count: usize) -> anyhow::Result<Self> {
        let namespace = setup.plane.namespace(prefix).await?;
        let client = setup.plane.admin();
        let (pipeline_runs, task_runs) =
            (Api::namespaced(client.clone(), &namespace), Api::namespaced(client.clone(), &namespace));
        let pairs: Vec<_> = (0..count)
            .map(|i| {
                let (name, repository) =
                    (format!("run-{i}"), format!("{}/app-{}", &*namespace, i % REPOSITORIES));
                let digest = setup.registry.push_image(&repository, &name, &[("linux/amd64", &[&name], &[])]);
                Pair { name, image: format!("{}/{repository}", setup.registry.address()), digest }
            })
            .collect();
        stream::iter(&pairs)
            .map(|pair| make(&pipeline_runs, &task_runs, pair))
            .buffer_unordered(TOGETHER)
            .try_collect::<Vec<()>>()
            .await?;
        let marked = Arc::<Mutex<Vec<Instant>>>::default();
        let (tell, mut changed) = watch::channel(());
        let work = tokio::spawn(note_marks(client, namespace.to_string(), Arc::clone(&marked), tell));
        timeout(PATIENCE, changed.changed()).await.context("a watch does not begin")??;
        Ok(Self { _namespace: namespace, pipeline_runs, task_runs, pairs, marked, changed, work })
    }

    /// Ends a pair, and answers when the PipelineRun had ended.
    pub(super) async fn end(&self, index: usize) -> anyhow::Result<Instant> {
        let pair = &self.pairs[index];
        let params = PatchParams::default();
        let results = results(pair);
        let task_run = json!({"status": task_status(&results)});
        self.task_runs.patch_status(&child(pair), &params, &Patch::Merge(&task_run)).await?;
        let pipeline_run = json!({"status": pipeline_status(pair, &results)});
        self.pipeline_runs.patch_status(&pair.name, &params, &Patch::Merge(&pipeline_run)).await?;
        Ok(Instant::now())
    }

    pub(super) async fn end_all(&self) -> anyhow::Result<()> {
        let ended = stream::iter(0..self.pairs.len()).map(|index| self.end(index)).buffer_unordered(TOGETHER);
        ended.try_for_each(|_| async { Ok(()) }).await
    }

    /// Waits until so many PipelineRuns are marked, and answers when the last of them was.
    pub(super) async fn signed(&self, count: usize, progress: impl Fn(&str)) -> anyhow::Result<Instant> {
        let mut changed = self.changed.clone();
        loop {
            {
                let marked = self.marked.lock();
                if let Some(at) = marked.get(count - 1) {
                    return Ok(*at);
                }
                progress(&format!("{} of {count} signed", marked.len()));
            }
            timeout(PATIENCE, changed.changed()).await.context("no run is signed any more")??;
        }
    }
}

/// Notes each mark as it is seen; tells also of the beginning.
async fn note_marks(
    client: Client,
    namespace: String,
    marked: Arc<Mutex<Vec<Instant>>>,
    tell: watch::Sender<()>,
) {
    let runs = Api::<PartialObjectMeta<PipelineRun>>::namespaced(client, &namespace);
    let events = watcher(runs, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut known = std::collections::BTreeSet::new();
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(run)) = &event
            && run.annotations().get(MARK).is_some_and(|mark| mark == "true")
            && known.insert(run.name_any())
        {
            marked.lock().push(Instant::now());
        }
        tell.send_replace(());
    }
}

async fn make(pipeline_runs: &Api<PipelineRun>, task_runs: &Api<TaskRun>, pair: &Pair) -> anyhow::Result<()> {
    let params = PostParams::default();
    let task = json!({"steps": [{"name": TASK, "image": "registry.example/tool", "script": "make"}]});
    let run = json!({"metadata": {"name": pair.name}, "spec": {"pipelineSpec": {"tasks": [{"name": TASK, "taskSpec": task}]}}});
    let parent = pipeline_runs.create(&params, &serde_json::from_value(run)?).await?;
    let owner = builders::controller_reference(&parent);
    let labels = json!({"tekton.dev/pipelineRun": pair.name, "tekton.dev/pipelineTask": TASK});
    let run = json!({
        "metadata": {"name": child(pair), "labels": labels, "ownerReferences": [owner]},
        "spec": {"taskSpec": task},
    });
    task_runs.create(&params, &serde_json::from_value(run)?).await?;
    Ok(())
}

fn child(pair: &Pair) -> String {
    format!("{}-{TASK}", pair.name)
}

fn results(pair: &Pair) -> Value {
    json!([
        {"name": "IMAGE_URL", "type": "string", "value": pair.image},
        {"name": "IMAGE_DIGEST", "type": "string", "value": pair.digest},
        {"name": "CHAINS-GIT_URL", "type": "string", "value": "https://git.example/org/app"},
        {"name": "CHAINS-GIT_COMMIT", "type": "string", "value": "0".repeat(40)},
    ])
}

fn task_status(results: &Value) -> Value {
    let image = format!("registry.example/tool@sha256:{}", "a".repeat(64));
    json!({
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        "startTime": "2024-04-01T10:00:00Z", "completionTime": "2024-04-01T10:05:00Z",
        "steps": [{"name": TASK, "container": "step-build", "imageID": image, "terminated": {"exitCode": 0}}],
        "taskSpec": {"steps": [{"name": TASK, "image": image, "script": "make"}]},
        "results": results,
    })
}

fn pipeline_status(pair: &Pair, results: &Value) -> Value {
    json!({
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        "startTime": "2024-04-01T10:00:00Z", "completionTime": "2024-04-01T10:05:00Z",
        "pipelineSpec": {"tasks": [{"name": TASK, "taskSpec": {"steps": []}}]},
        "childReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": child(pair), "pipelineTaskName": TASK}],
        "results": results,
    })
}
