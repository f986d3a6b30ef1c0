//! When Snapshots and test runs came, as watches tell of it.
use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use application_service_api::Snapshot;
use fleet_api::keys;
use futures::StreamExt as _;
use integration_service_api::labels;
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
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Without any change for so long, something is wrong.
const PATIENCE: Duration = Duration::from_mins(2);

/// Namespace and name.
pub(super) type Key = (String, String);

/// What came of a build.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) snapshot: Instant,
    pub(super) test: Instant,
}

/// Watches Snapshots and test runs until it is dropped.
pub(super) struct Seen {
    record: Arc<Mutex<Record>>,
    changed: watch::Receiver<()>,
    work: [JoinHandle<()>; 2],
}

#[derive(Debug, Default)]
struct Record {
    /// By build: the Snapshot, and when it was seen first.
    snapshots: HashMap<Key, (Key, Instant)>,
    /// By Snapshot: when its first test run was seen first, and all of its test runs.
    tests: HashMap<Key, (Instant, Vec<String>)>,
}

impl Seen {
    /// Returns when the watches stand.
    pub(super) async fn begin(client: &Client) -> anyhow::Result<Self> {
        let record = Arc::<Mutex<Record>>::default();
        let (tell, changed) = watch::channel(());
        let tell = Arc::new(tell);
        let snapshots = Api::<PartialObjectMeta<Snapshot>>::all(client.clone());
        let tests = Api::<PartialObjectMeta<PipelineRun>>::all(client.clone());
        let of_tests = format!("{}={}", keys::PIPELINE_TYPE.as_str(), labels::PIPELINE_TYPE_TEST);
        let only_tests = watcher::Config::default().labels(&of_tests);
        let work = [
            tokio::spawn(follow(snapshots, watcher::Config::default(), Arc::clone(&tell), {
                let record = Arc::clone(&record);
                move |snapshot| record.lock().note_snapshot(snapshot)
            })),
            tokio::spawn(follow(tests, only_tests, tell, {
                let record = Arc::clone(&record);
                move |run| record.lock().note_test(run)
            })),
        ];
        let mut begun = changed.clone();
        for _ in &work {
            timeout(PATIENCE, begun.changed()).await.context("a watch does not begin")??;
        }
        Ok(Self { record, changed, work })
    }

    /// Waits until each of these builds has a Snapshot with a test run, and returns them in that order.
    pub(super) async fn tested(
        &self,
        builds: &[Key],
        progress: impl Fn(&str),
    ) -> anyhow::Result<Vec<Sighting>> {
        self.until("test runs of all builds", |record| {
            let found: Vec<_> = builds.iter().filter_map(|build| record.sighting(build)).collect();
            progress(&format!("{} of {} are tested", found.len(), builds.len()));
            (found.len() == builds.len()).then_some(found)
        })
        .await
    }

    /// Waits until a build has a Snapshot.
    pub(super) async fn has_snapshot(&self, build: &Key) -> anyhow::Result<()> {
        self.until("a Snapshot", |record| record.snapshots.contains_key(build).then_some(())).await
    }

    /// How many test runs the Snapshots of these builds have.
    pub(super) fn tests_of(&self, builds: &[Key]) -> usize {
        let record = self.record.lock();
        let snapshots = builds.iter().filter_map(|build| record.snapshots.get(build));
        snapshots.filter_map(|(snapshot, _)| record.tests.get(snapshot)).map(|(_, runs)| runs.len()).sum()
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
        self.work.iter().for_each(JoinHandle::abort);
    }
}

/// Notes each object; tells also of the beginning.
async fn follow<K>(
    api: Api<PartialObjectMeta<K>>,
    config: watcher::Config,
    tell: Arc<watch::Sender<()>>,
    note: impl Fn(&PartialObjectMeta<K>),
) where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let events = watcher(api, config).default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => note(&object),
            Ok(Event::InitDone) => {}
            // A watch that breaks is begun again by itself.
            Ok(Event::Init | Event::Delete(_)) | Err(_) => continue,
        }
        tell.send_replace(());
    }
}

impl Record {
    fn note_snapshot(&mut self, snapshot: &PartialObjectMeta<Snapshot>) {
        let namespace = snapshot.namespace().unwrap_or_default();
        if let Some(build) = snapshot.labels().get(labels::BUILD_PIPELINE_RUN.as_str()) {
            let build = (namespace.clone(), build.clone());
            self.snapshots.entry(build).or_insert_with(|| ((namespace, snapshot.name_any()), Instant::now()));
        }
    }

    fn note_test(&mut self, run: &PartialObjectMeta<PipelineRun>) {
        if let Some(snapshot) = run.labels().get(labels::SNAPSHOT.as_str()) {
            let key = (run.namespace().unwrap_or_default(), snapshot.clone());
            let (_, runs) = self.tests.entry(key).or_insert_with(|| (Instant::now(), Vec::new()));
            let name = run.name_any();
            if !runs.contains(&name) {
                runs.push(name);
            }
        }
    }

    fn sighting(&self, build: &Key) -> Option<Sighting> {
        let (snapshot, at) = self.snapshots.get(build)?;
        let (test, _) = self.tests.get(snapshot)?;
        Some(Sighting { snapshot: *at, test: *test })
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

    fn named<K: DeserializeOwned>(name: &str, label: &str, value: &str) -> K {
        let metadata = json!({"name": name, "namespace": "n", "labels": {label: value}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn a_build_is_tested_when_both_were_seen_in_whatever_order() {
        let key = |name: &str| ("n".to_owned(), name.to_owned());
        let mut record = Record::default();
        let test = |name: &str| named(name, labels::SNAPSHOT.as_str(), "snapshot");
        record.note_test(&test("test"));
        assert!(record.sighting(&key("build")).is_none());
        record.note_snapshot(&named("snapshot", labels::BUILD_PIPELINE_RUN.as_str(), "build"));
        let first = record.sighting(&key("build")).unwrap();
        record.note_test(&test("test"));
        record.note_test(&test("again"));
        assert_eq!(record.sighting(&key("build")).unwrap().test, first.test);
        assert_eq!(record.tests[&key("snapshot")].1, ["test", "again"]);
    }
}
