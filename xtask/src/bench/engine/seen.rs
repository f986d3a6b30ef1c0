//! When objects got where, as a watch tells of it: the same for pods with and without an engine.
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use parking_lot::Mutex;
use pipelines_engine_api::{PipelineRun, RunCondition, TaskRun, status::succeeded};
use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(5);

/// A place on the way of a pod or a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Milestone {
    Exists,
    /// The pod has a node.
    Scheduled,
    /// Volumes are mounted, and the pod has its network: only containers are missing.
    Prepared,
    Ended,
}

/// What an object says of itself.
#[derive(Debug, Default)]
pub(super) struct Progress {
    milestones: Vec<Milestone>,
    /// What it said when it succeeded, or why it failed.
    end: Option<Result<String, String>>,
}

/// What was seen of one object.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    at: BTreeMap<Milestone, Instant>,
    end: Option<Result<String, String>>,
}

impl Record {
    /// When it was first seen there, or further on: some places are passed between two looks.
    pub(super) fn at(&self, milestone: Milestone) -> anyhow::Result<Instant> {
        let reached = self.at.range(milestone..).map(|(_, at)| *at).min();
        reached.with_context(|| format!("it was never seen as {milestone:?}"))
    }
}

/// Watches all objects of one kind in one namespace until it is dropped.
pub(super) struct Seen {
    records: Arc<Mutex<HashMap<String, Record>>>,
    changed: watch::Receiver<()>,
    work: JoinHandle<()>,
}

impl Seen {
    /// Returns when the watch stands.
    pub(super) async fn begin<K>(api: Api<K>, progress: fn(&K) -> Progress) -> anyhow::Result<Self>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let records = Arc::<Mutex<HashMap<String, Record>>>::default();
        let (tell, mut changed) = watch::channel(());
        let work = tokio::spawn({
            let records = Arc::clone(&records);
            async move {
                let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
                while let Some(event) = events.next().await {
                    match event {
                        Ok(Event::Apply(object) | Event::InitApply(object)) => {
                            note(&mut records.lock(), &object.name_any(), progress(&object));
                            tell.send_replace(());
                        }
                        Ok(Event::InitDone) => {
                            tell.send_replace(());
                        }
                        // A watch that breaks is begun again by itself.
                        Ok(Event::Init | Event::Delete(_)) | Err(_) => {}
                    }
                }
            }
        });
        timeout(PATIENCE, changed.changed()).await.context("a watch does not begin")??;
        Ok(Self { records, changed, work })
    }

    /// All about an object once it has succeeded, and what it said.
    pub(super) async fn success(&self, name: &str) -> anyhow::Result<(Record, String)> {
        let mut changed = self.changed.clone();
        let ended = async {
            loop {
                changed.mark_unchanged();
                let record = self.records.lock().get(name).cloned();
                if let Some(Record { end: Some(end), .. }) = &record {
                    match end {
                        Ok(said) => return Ok((record.clone().unwrap_or_default(), said.clone())),
                        Err(why) => bail!("{name} failed: {why}"),
                    }
                }
                changed.changed().await.context("the watch has ended")?;
            }
        };
        timeout(PATIENCE, ended).await.with_context(|| format!("{name} has not ended after {PATIENCE:?}"))?
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.work.abort();
    }
}

fn note(records: &mut HashMap<String, Record>, name: &str, progress: Progress) {
    let now = Instant::now();
    let record = records.entry(name.to_owned()).or_default();
    for milestone in progress.milestones {
        record.at.entry(milestone).or_insert(now);
    }
    record.end = record.end.take().or(progress.end);
}

pub(super) fn of_pod(pod: &Pod) -> Progress {
    let status = pod.status.clone().unwrap_or_default();
    let mut milestones = vec![Milestone::Exists];
    let is_true = |kind: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    };
    if is_true("PodScheduled") {
        milestones.push(Milestone::Scheduled);
    }
    if is_true("PodReadyToStartContainers") {
        milestones.push(Milestone::Prepared);
    }
    let terminated = status
        .container_statuses
        .iter()
        .flatten()
        .find_map(|container| container.state.as_ref()?.terminated.as_ref());
    let end = match status.phase.as_deref() {
        Some("Succeeded") => Some(Ok(terminated.and_then(|end| end.message.clone()).unwrap_or_default())),
        Some("Failed") => Some(Err(format!("{:?} {terminated:?}", status.message))),
        _ => None,
    };
    milestones.extend(end.as_ref().map(|_| Milestone::Ended));
    Progress { milestones, end }
}

pub(super) fn of_task_run(run: &TaskRun) -> Progress {
    let said = |run: &TaskRun| {
        let result = run.status.iter().flat_map(|status| &status.results).next();
        result.and_then(|result| result.value.as_str()).unwrap_or_default().to_owned()
    };
    of_run(run.status.as_ref().map(|status| status.conditions.as_slice()), || said(run))
}

pub(super) fn of_pipeline_run(run: &PipelineRun) -> Progress {
    of_run(run.status.as_ref().map(|status| status.conditions.as_slice()), String::new)
}

fn of_run(conditions: Option<&[RunCondition]>, said: impl Fn() -> String) -> Progress {
    let condition = conditions.and_then(succeeded);
    let end = condition.and_then(|condition| match condition.status.as_str() {
        "True" => Some(Ok(said())),
        "False" => Some(Err(format!("{}: {}", condition.reason, condition.message))),
        _ => None,
    });
    let mut milestones = vec![Milestone::Exists];
    milestones.extend(end.as_ref().map(|_| Milestone::Ended));
    Progress { milestones, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: &serde_json::Value) -> Progress {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
        of_pod(&pod)
    }

    #[test]
    fn a_pod_says_how_far_it_is() {
        let early =
            pod(&json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}));
        assert_eq!(early.milestones, [Milestone::Exists, Milestone::Scheduled]);
        assert_eq!(early.end, None);
        let late = pod(&json!({
            "phase": "Succeeded",
            "containerStatuses": [{
                "name": "say", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "message": "xx"}},
            }],
        }));
        assert_eq!(late.end, Some(Ok("xx".to_owned())));
        assert_eq!(late.milestones, [Milestone::Exists, Milestone::Ended]);
        assert!(pod(&json!({"phase": "Failed"})).end.unwrap().is_err());
    }

    #[test]
    fn a_place_that_was_passed_unseen_counts_from_the_next() {
        let mut records = HashMap::new();
        note(&mut records, "p", pod(&json!({"phase": "Pending"})));
        note(&mut records, "p", pod(&json!({"phase": "Succeeded"})));
        let record = &records["p"];
        assert_eq!(record.at(Milestone::Scheduled).unwrap(), record.at(Milestone::Ended).unwrap());
        assert!(record.at(Milestone::Exists).unwrap() < record.at(Milestone::Ended).unwrap());
    }

    #[test]
    fn a_run_ends_with_its_condition() {
        let of = |status: &str| {
            let run: TaskRun = serde_json::from_value(json!({
                "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "r"}, "spec": {},
                "status": {
                    "conditions": [{"type": "Succeeded", "status": status, "reason": "R", "message": "m"}],
                    "results": [{"name": "said", "type": "string", "value": "x"}],
                },
            }))
            .unwrap();
            of_task_run(&run).end
        };
        assert_eq!(of("Unknown"), None);
        assert_eq!(of("True"), Some(Ok("x".to_owned())));
        assert_eq!(of("False"), Some(Err("R: m".to_owned())));
    }
}
