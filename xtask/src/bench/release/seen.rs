//! When managed runs came, as a watch tells of it.
use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use fleet_api::keys;
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
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, labels};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Without any change for so long, something is wrong.
const PATIENCE: Duration = Duration::from_mins(2);

/// Namespace and name.
pub(super) type Key = (String, String);

/// By Release: its managed runs, and when the first of them was seen.
type Record = HashMap<Key, (Instant, Vec<Key>)>;

/// Watches managed runs until it is dropped.
pub(super) struct Seen {
    record: Arc<Mutex<Record>>,
    changed: watch::Receiver<()>,
    work: JoinHandle<()>,
}

impl Seen {
    /// Returns when the watch stands.
    pub(super) async fn begin(client: &Client) -> anyhow::Result<Self> {
        let record = Arc::<Mutex<Record>>::default();
        let (tell, mut changed) = watch::channel(());
        let api = Api::<PartialObjectMeta<PipelineRun>>::all(client.clone());
        let managed = format!("{}={}", keys::PIPELINE_TYPE.as_str(), Phase::Managed.as_str());
        let work = tokio::spawn({
            let record = Arc::clone(&record);
            async move {
                let config = watcher::Config::default().labels(&managed);
                let mut events = std::pin::pin!(watcher(api, config).default_backoff());
                while let Some(event) = events.next().await {
                    match event {
                        Ok(Event::Apply(run) | Event::InitApply(run)) => note(&mut record.lock(), &run),
                        Ok(Event::InitDone) => {}
                        // A watch that breaks is begun again by itself.
                        Ok(Event::Init | Event::Delete(_)) | Err(_) => continue,
                    }
                    tell.send_replace(());
                }
            }
        });
        timeout(PATIENCE, changed.changed()).await.context("the watch does not begin")??;
        Ok(Self { record, changed, work })
    }

    /// Waits until each of these Releases has a managed run. When each was seen, in that order, and which it is.
    pub(super) async fn run(
        &self,
        releases: &[Key],
        progress: impl Fn(&str),
    ) -> anyhow::Result<Vec<(Instant, Key)>> {
        let mut changed = self.changed.clone();
        loop {
            changed.mark_unchanged();
            let found: Vec<_> = {
                let record = self.record.lock();
                let runs = releases.iter().filter_map(|release| record.get(release));
                runs.filter_map(|(at, runs)| Some((*at, runs.first()?.clone()))).collect()
            };
            if found.len() == releases.len() {
                return Ok(found);
            }
            progress(&format!("{} of {} run", found.len(), releases.len()));
            let next = timeout(PATIENCE, changed.changed()).await;
            next.context("nothing happens any more: runs of all Releases awaited")??;
        }
    }

    /// How many managed runs these Releases have.
    pub(super) fn runs_of(&self, releases: &[Key]) -> usize {
        let record = self.record.lock();
        releases.iter().filter_map(|release| record.get(release)).map(|(_, runs)| runs.len()).sum()
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.work.abort();
    }
}

fn note(record: &mut Record, run: &PartialObjectMeta<PipelineRun>) {
    let label = |label: fleet_api::LabelKey| run.labels().get(label.as_str()).cloned();
    let (Some(namespace), Some(name)) = (label(labels::NAMESPACE), label(labels::NAME)) else { return };
    let (_, runs) = record.entry((namespace, name)).or_insert_with(|| (Instant::now(), Vec::new()));
    let key = (run.namespace().unwrap_or_default(), run.name_any());
    if !runs.contains(&key) {
        runs.push(key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_sight_of_a_release_counts_and_all_of_its_runs() {
        let run = |name: &str| {
            let labels = json!({labels::NAMESPACE.as_str(): "dev", labels::NAME.as_str(): "r"});
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "m", "labels": labels}}))
        };
        let mut record = Record::default();
        note(&mut record, &run("a").unwrap());
        let key = ("dev".to_owned(), "r".to_owned());
        let first = record[&key].0;
        note(&mut record, &run("a").unwrap());
        note(&mut record, &run("b").unwrap());
        assert_eq!(record[&key].0, first);
        let names: Vec<_> = record[&key].1.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
