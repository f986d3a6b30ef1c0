//! Plays pods of runs on a control plane without nodes: each runs as soon as it exists, and ends when it is told to.
//!
//! Leaner than [`testkit::PlayedKubelet`], which goes through every state of a pod, one write at a time: two thousand pods
//! are to be held, and the API server's time belongs to the engine that is measured.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use parking_lot::Mutex;
use pipelines_engine_api::labels;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Pods that are written at once.
const CONCURRENCY: usize = 16;
/// Without any change for so long, something is wrong.
const PATIENCE: Duration = Duration::from_mins(2);
/// A time that a kubelet would write; nobody compares it.
const SOME_TIME: &str = "2024-01-01T00:00:00Z";

/// A run: its namespace and name.
pub(super) type Run = (String, String);

/// Plays all pods of PipelineRuns until it is dropped.
pub(super) struct Player {
    client: Client,
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<()>,
    work: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Pods that were told to run.
    known: BTreeSet<Run>,
    /// The pod of each run that runs now.
    running: BTreeMap<Run, Pod>,
    /// When the last pod of these runs ended; the next one is awaited.
    awaited: BTreeMap<Run, Instant>,
    /// From the end of a pod to the next one.
    gaps: Vec<Duration>,
    /// What went wrong first.
    failure: Option<String>,
}

impl Player {
    pub(super) fn begin(client: &Client) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let (tell, changed) = watch::channel(());
        let work = tokio::spawn(play(client.clone(), Arc::clone(&state), tell));
        Self { client: client.clone(), state, changed, work }
    }

    /// Waits until so many pods run; `progress` is told how many do.
    pub(super) async fn running(&self, number: usize, progress: impl Fn(usize)) -> anyhow::Result<()> {
        self.until(|state| {
            progress(state.running.len());
            state.running.len() >= number
        })
        .await
        .with_context(|| format!("wait until {number} pods run"))
    }

    /// Ends the pod that a run has now.
    pub(super) async fn succeed(&self, run: &Run) -> anyhow::Result<()> {
        let pod = {
            let mut state = self.state.lock();
            let pod = state.running.remove(run).with_context(|| format!("{run:?} has no pod that runs"))?;
            // Until the answer is here, in case the next pod is sooner.
            state.awaited.insert(run.clone(), Instant::now());
            pod
        };
        write_status(&self.client, &pod, &succeeded(&pod)).await?;
        if let Some(ended) = self.state.lock().awaited.get_mut(run) {
            *ended = Instant::now();
        }
        Ok(())
    }

    /// What passed between the ends of pods and the pods that followed, once `number` have.
    pub(super) async fn gaps(&self, number: usize) -> anyhow::Result<Vec<Duration>> {
        self.until(|state| state.gaps.len() >= number)
            .await
            .with_context(|| format!("wait for {number} pods that follow others"))?;
        Ok(self.state.lock().gaps.clone())
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) -> anyhow::Result<()> {
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            {
                let state = self.state.lock();
                ensure!(state.failure.is_none(), "{}", state.failure.as_deref().unwrap_or_default());
                if reached(&state) {
                    return Ok(());
                }
            }
            timeout(PATIENCE, changed.changed()).await.context("nothing happens any more")??;
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn play(client: Client, state: Arc<Mutex<State>>, tell: watch::Sender<()>) {
    let config = watcher::Config::default().labels(labels::PIPELINE_RUN.as_str());
    let events = watcher(Api::<Pod>::all(client.clone()), config).default_backoff();
    events
        .for_each_concurrent(CONCURRENCY, async |event| {
            // A watch that breaks is begun again by itself.
            let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event else { return };
            let Some(run) = run_of(&pod) else { return };
            if !begins(&mut state.lock(), &run, &pod) {
                return;
            }
            let written = write_status(&client, &pod, &running(&pod)).await;
            let mut state = state.lock();
            match written {
                Ok(()) => drop(state.running.insert(run, pod)),
                Err(error) => drop(state.failure.get_or_insert(format!("{error:#}"))),
            }
            drop(state);
            tell.send_replace(());
        })
        .await;
}

/// Takes note of a pod; whether it is new.
fn begins(state: &mut State, run: &Run, pod: &Pod) -> bool {
    let is_new = state.known.insert((run.0.clone(), pod.name_any()));
    if is_new && let Some(ended) = state.awaited.remove(run) {
        state.gaps.push(ended.elapsed());
    }
    is_new
}

fn run_of(pod: &Pod) -> Option<Run> {
    Some((pod.namespace()?, labels::PIPELINE_RUN.of(&pod.metadata.labels)?.to_owned()))
}

async fn write_status(client: &Client, pod: &Pod, status: &Value) -> anyhow::Result<()> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let patch = Patch::Merge(json!({"status": status}));
    let written = pods.patch_status(&name, &PatchParams::default(), &patch).await;
    written.map(drop).with_context(|| format!("play pod {namespace}/{name}"))
}

fn running(pod: &Pod) -> Value {
    of_containers(pod, "Running", &json!({"running": {"startedAt": SOME_TIME}}))
}

fn succeeded(pod: &Pod) -> Value {
    let said = r#"[{"key":"said","value":"x","type":1}]"#;
    let ended = json!({"terminated": {
        "exitCode": 0, "reason": "Completed", "message": said, "startedAt": SOME_TIME, "finishedAt": SOME_TIME,
    }});
    of_containers(pod, "Succeeded", &ended)
}

fn of_containers(pod: &Pod, phase: &str, state: &Value) -> Value {
    let containers: Vec<_> = pod
        .spec
        .iter()
        .flat_map(|spec| &spec.containers)
        .map(|container| {
            json!({
                "name": container.name, "image": container.image, "imageID": "images.example/tool@sha256:0",
                "ready": phase == "Running", "restartCount": 0, "state": state,
            })
        })
        .collect();
    json!({"phase": phase, "startTime": SOME_TIME, "containerStatuses": containers})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_follows_another_is_timed_once() {
        let pod = |name: &str| -> Pod {
            serde_json::from_value(json!({"metadata": {
                "name": name, "namespace": "n", "labels": {"tekton.dev/pipelineRun": "r"},
            }}))
            .unwrap()
        };
        let mut state = State::default();
        let run = run_of(&pod("a")).unwrap();
        assert!(begins(&mut state, &run, &pod("a")));
        assert!(!begins(&mut state, &run, &pod("a")));
        state.awaited.insert(run.clone(), Instant::now());
        assert!(!begins(&mut state, &run, &pod("a")), "an event of the old pod is no new one");
        assert!(state.gaps.is_empty());
        assert!(begins(&mut state, &run, &pod("b")));
        assert_eq!((state.gaps.len(), state.awaited.len()), (1, 0));
    }
}
