//! What became of deliveries: kept for people, counted, and remembered so that a repeated one starts nothing again.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use fleet::{Clock, ObjectKey};
use jiff::Timestamp;
use parking_lot::Mutex;
use spool::{Outcomes, Query};

use super::{Delivery, stored};
use crate::metrics::Metrics;
use crate::process::{Outcome, Verdict};

/// Deliveries of which runs came, that are remembered. Forges repeat what is some days old at most.
const REMEMBERED: usize = 10_000;

/// Label of outcomes: names of the runs, with commas between them.
const RUNS: &str = "runs";

/// Whose outcome it is.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Key of the delivery in the spool.
    key: String,
    labels: BTreeMap<String, String>,
}

impl About {
    pub(crate) fn delivery(delivery: &Delivery) -> Self {
        Self { key: delivery.key(), labels: stored::labels(delivery) }
    }

    /// Names what it is found by, where that is known.
    pub(crate) fn with(mut self, label: &str, value: Option<impl Into<String>>) -> Self {
        self.labels.extend(value.map(|value| (label.to_owned(), value.into())));
        self
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Record {
    outcomes: Outcomes,
    metrics: Metrics,
    clock: Clock,
    started: Arc<Mutex<Recent>>,
    /// Runs that were made of deliveries with something left to do, by key.
    begun: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

/// The latest keys, by their hashes.
#[derive(Default)]
struct Recent {
    known: HashSet<String>,
    order: VecDeque<String>,
}

impl Recent {
    fn add(&mut self, key: &str) {
        let hash = fleet::names::hash(16, &[key]);
        if self.known.insert(hash.clone()) {
            self.order.push_back(hash);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn has(&self, key: &str) -> bool {
        self.known.contains(&fleet::names::hash(16, &[key]))
    }
}

impl Record {
    /// Remembers what `outcomes` tell of earlier runs of this program.
    pub async fn open(outcomes: Outcomes, metrics: Metrics, clock: Clock) -> Self {
        let all = outcomes.clone();
        let search = move || all.search(&Query { limit: REMEMBERED, ..Query::default() });
        let (mut recent, mut begun) = (Recent::default(), HashMap::new());
        match tokio::task::spawn_blocking(search).await.map_err(std::io::Error::other).flatten() {
            Ok(found) => {
                // The newest came first.
                for outcome in found.iter().rev() {
                    if outcome.result == <&str>::from(Verdict::Started) {
                        begun.remove(&outcome.delivery);
                        recent.add(&outcome.delivery);
                    } else if outcome.result == <&str>::from(Verdict::Begun) {
                        let runs =
                            outcome.labels.get(RUNS).map(|runs| runs.split(',').map(str::to_owned).collect());
                        begun.insert(outcome.delivery.clone(), runs.unwrap_or_default());
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "Earlier outcomes of deliveries cannot be read"),
        }
        let (started, begun) = (Arc::new(Mutex::new(recent)), Arc::new(Mutex::new(begun)));
        Self { outcomes, metrics, clock, started, begun }
    }

    /// Runs that earlier tries of the delivery with this key have made.
    pub(crate) fn begun(&self, key: &str) -> Vec<String> {
        self.begun.lock().get(key).cloned().unwrap_or_default()
    }

    /// Keeps that runs were made of a delivery, and why it is not done with that.
    pub(crate) async fn begin(&self, about: &About, runs: &[String], why: &str) {
        let known = {
            let mut begun = self.begun.lock();
            // Those that were given up are never taken out.
            if begun.len() >= REMEMBERED {
                begun.clear();
            }
            begun.insert(about.key.clone(), runs.to_vec())
        };
        if known.as_deref() != Some(runs) {
            let text = format!("Started {}; what is left is tried again: {why}", runs.join(", "));
            self.write(about, &[Outcome { result: Verdict::Begun, text, runs: runs.to_vec() }]).await;
        }
    }

    /// Whether runs came of the delivery with this key. Another replica may know better: this spares work, and the names of runs
    /// see to it that there is no second one.
    pub(crate) fn has_started(&self, key: &str) -> bool {
        self.started.lock().has(key)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Keeps and counts what became of a delivery.
    pub(crate) async fn keep(&self, about: &About, outcomes: &[Outcome]) {
        self.write(about, outcomes).await;
        self.begun.lock().remove(&about.key);
        if outcomes.iter().any(|outcome| outcome.result == Verdict::Started) {
            self.started.lock().add(&about.key);
        }
    }

    async fn write(&self, about: &About, outcomes: &[Outcome]) {
        let at = self.clock.now();
        let mut kept = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            let result = <&'static str>::from(outcome.result);
            self.metrics.handled(result);
            tracing::info!(delivery = about.key, result, text = outcome.text, "Delivery is done");
            let runs = (!outcome.runs.is_empty()).then(|| outcome.runs.join(","));
            let labels = about.clone().with(RUNS, runs).labels;
            kept.push(spool::Outcome {
                at,
                delivery: about.key.clone(),
                consumer: labels.get("repository").cloned().unwrap_or_default(),
                result: result.to_owned(),
                text: outcome.text.clone(),
                labels,
            });
        }
        let to = self.outcomes.clone();
        let write = move || kept.iter().try_for_each(|outcome| to.record(outcome));
        if let Err(error) = tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other).flatten()
        {
            tracing::error!(delivery = about.key, %error, "The outcome of a delivery cannot be kept");
        }
    }

    /// What became of deliveries to this Repository, the newest first.
    pub(crate) async fn search(
        &self,
        repository: &ObjectKey,
        mut labels: BTreeMap<String, String>,
        limit: usize,
    ) -> std::io::Result<Vec<spool::Outcome>> {
        labels.insert("repository".to_owned(), repository.to_string());
        let (outcomes, query) = (self.outcomes.clone(), Query { labels, limit, delivery: None });
        let search = move || outcomes.search(&query);
        tokio::task::spawn_blocking(search).await.map_err(std::io::Error::other).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_latest() {
        let mut recent = Recent::default();
        for number in 0..=REMEMBERED {
            recent.add(&number.to_string());
            recent.add(&number.to_string());
        }
        assert!(!recent.has("0"));
        assert!(recent.has("1") && recent.has(&REMEMBERED.to_string()));
        assert_eq!((recent.known.len(), recent.order.len()), (REMEMBERED, REMEMBERED));
    }

    #[tokio::test]
    async fn runs_that_were_made_are_known_after_a_restart_until_the_delivery_is_done() {
        let folder = tempfile::TempDir::new().unwrap();
        let open = async || {
            let limits = spool::Limits::default();
            let opened =
                spool::Spool::open(folder.path(), limits, spool::Retention::default(), Clock::system());
            let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
            Record::open(opened.await.unwrap().outcomes().clone(), metrics, Clock::system()).await
        };
        let about = About { key: "team/app/1".to_owned(), labels: BTreeMap::new() };
        let record = open().await;
        record.begin(&about, &["a-x".to_owned(), "b-y".to_owned()], "no Secret").await;
        assert_eq!(record.begun("team/app/1"), ["a-x", "b-y"]);
        drop(record);
        let record = open().await;
        assert_eq!(record.begun("team/app/1"), ["a-x", "b-y"]);
        assert!(!record.has_started("team/app/1"), "something is left to do");
        let done = Outcome { result: Verdict::Started, text: String::new(), runs: vec!["a-x".to_owned()] };
        record.keep(&about, &[done]).await;
        drop(record);
        let record = open().await;
        assert!(record.begun("team/app/1").is_empty() && record.has_started("team/app/1"));
    }
}
