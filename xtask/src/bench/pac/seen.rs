//! When runs came, and how far they are, as a watch tells of it.
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use parking_lot::Mutex;
use pipelines_as_code_api::{labels, pipeline_run::State};
use pipelines_engine_api::PipelineRun;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Without any change for so long, something is wrong.
const PATIENCE: Duration = Duration::from_mins(2);

/// A run when it was seen first.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    /// Namespace and name.
    pub(super) run: (String, String),
    pub(super) at: Instant,
}

/// Watches all PipelineRuns until it is dropped.
pub(super) struct Seen {
    record: Arc<Mutex<Record>>,
    changed: watch::Receiver<()>,
    work: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Record {
    /// By commit, or by name if there is none.
    runs: HashMap<String, Vec<Sighting>>,
    /// Names of runs whose end is reported, and of all.
    over: BTreeSet<(String, String)>,
    known: BTreeSet<(String, String)>,
}

impl Seen {
    /// Returns when the watch stands.
    pub(super) async fn begin(client: &Client) -> anyhow::Result<Self> {
        let record = Arc::<Mutex<Record>>::default();
        let (tell, mut changed) = watch::channel(());
        let runs = Api::<PartialObjectMeta<PipelineRun>>::all(client.clone());
        let work = tokio::spawn({
            let record = Arc::clone(&record);
            async move {
                let events = watcher(runs, watcher::Config::default()).default_backoff();
                let mut events = std::pin::pin!(events);
                while let Some(event) = events.next().await {
                    match event {
                        Ok(Event::Apply(run) | Event::InitApply(run)) => record.lock().note(&run),
                        Ok(Event::InitDone) => {}
                        // A watch that breaks is begun again by itself.
                        Ok(Event::Init | Event::Delete(_)) | Err(_) => continue,
                    }
                    tell.send_replace(());
                }
            }
        });
        timeout(PATIENCE, changed.changed()).await.context("a watch does not begin")??;
        Ok(Self { record, changed, work })
    }

    /// Waits until there is a run of each of these commits, and returns the first of each, in that order.
    pub(super) async fn runs_of(
        &self,
        commits: &[&str],
        progress: impl Fn(&str),
    ) -> anyhow::Result<Vec<Sighting>> {
        self.until("runs of all commits", |record| {
            let found: Option<Vec<_>> =
                commits.iter().map(|commit| record.runs.get(*commit)?.first().cloned()).collect();
            if found.is_none() {
                progress(&format!("{} runs", record.known.len()));
            }
            found
        })
        .await
    }

    /// How many runs there are of these commits.
    pub(super) fn count(&self, commits: &[&str]) -> usize {
        let record = self.record.lock();
        commits.iter().filter_map(|commit| record.runs.get(*commit)).map(Vec::len).sum()
    }

    /// How many runs are over, and how many there are.
    pub(super) fn over(&self) -> (usize, usize) {
        let record = self.record.lock();
        (record.over.len(), record.known.len())
    }

    /// Waits until the end of every run is reported.
    pub(super) async fn all_over(&self, progress: impl Fn(&str)) -> anyhow::Result<()> {
        self.until("the end of all runs", |record| {
            let (over, known) = (record.over.len(), record.known.len());
            progress(&format!("{over} of {known} runs"));
            (over == known).then_some(())
        })
        .await
    }

    async fn until<T>(&self, what: &str, reached: impl Fn(&Record) -> Option<T>) -> anyhow::Result<T> {
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            if let Some(result) = reached(&self.record.lock()) {
                return Ok(result);
            }
            let next = timeout(PATIENCE, changed.changed()).await;
            next.with_context(|| format!("nothing happens any more: {what} awaited"))??;
        }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Record {
    fn note(&mut self, object: &PartialObjectMeta<PipelineRun>) {
        let at = Instant::now();
        let run = (object.namespace().unwrap_or_default(), object.name_any());
        let labels = &object.metadata.labels;
        let state = labels::STATE.of(labels).and_then(|state| state.parse::<State>().ok());
        if matches!(state, Some(State::Completed | State::Failed)) {
            self.over.insert(run.clone());
        }
        if self.known.insert(run.clone()) {
            let commit = labels::SHA.of(labels).map_or_else(|| run.1.clone(), str::to_owned);
            self.runs.entry(commit).or_default().push(Sighting { run, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_comes_once_and_is_over_once() {
        let run = |name: &str, state: &str| -> PartialObjectMeta<PipelineRun> {
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "labels": {
                "pipelinesascode.tekton.dev/sha": "c", "pipelinesascode.tekton.dev/state": state,
            }}}))
            .unwrap()
        };
        let mut record = Record::default();
        record.note(&run("a", "started"));
        let first = record.runs["c"][0].at;
        record.note(&run("a", "started"));
        assert_eq!((record.runs["c"].len(), record.over.len(), record.runs["c"][0].at), (1, 0, first));
        record.note(&run("a", "completed"));
        record.note(&run("b", "failed"));
        assert_eq!((record.runs["c"].len(), record.over.len(), record.known.len()), (2, 2, 2));
    }
}
