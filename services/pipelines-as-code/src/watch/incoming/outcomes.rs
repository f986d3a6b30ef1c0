//! What this process knows of requests until it stands on the Repository.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fleet::ObjectKey;
use fleet::controller::Waker;
use parking_lot::Mutex;
use pipelines_as_code_api::IncomingOutcome;
use tokio::time::Instant;

/// After so long without an outcome a request is handed over again: what kept it may have lost it.
pub(in crate::watch) const PATIENCE: Duration = Duration::from_mins(15);

/// By Repository. Cheap to clone.
#[derive(Clone, Default)]
pub struct Outcomes(Arc<Inner>);

#[derive(Default)]
struct Inner {
    repositories: Mutex<HashMap<ObjectKey, Known>>,
    waker: OnceLock<Waker>,
}

#[derive(Default)]
struct Known {
    outcomes: BTreeMap<String, IncomingOutcome>,
    handed_over: BTreeMap<String, Instant>,
}

impl Outcomes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of what became of a request, to be written to its Repository.
    pub fn know(&self, repository: ObjectKey, outcome: IncomingOutcome) {
        let mut repositories = self.0.repositories.lock();
        repositories.entry(repository.clone()).or_default().outcomes.insert(outcome.id.clone(), outcome);
        drop(repositories);
        if let Some(waker) = self.0.waker.get() {
            waker.wake(repository);
        }
    }

    /// Wakes the Repositories of a controller from now on. The first one counts.
    pub(crate) fn wake_by(&self, waker: Waker) {
        let _ = self.0.waker.set(waker);
    }

    /// What is known, and which requests were handed over a short while ago.
    pub(crate) fn of(&self, repository: &ObjectKey) -> (BTreeMap<String, IncomingOutcome>, BTreeSet<String>) {
        let repositories = self.0.repositories.lock();
        let Some(known) = repositories.get(repository) else { return Default::default() };
        let fresh = known.handed_over.iter().filter(|(_, at)| at.elapsed() < PATIENCE);
        (known.outcomes.clone(), fresh.map(|(id, _)| id.clone()).collect())
    }

    pub(crate) fn handed_over(&self, repository: &ObjectKey, id: &str) {
        let mut repositories = self.0.repositories.lock();
        let known = repositories.entry(repository.clone()).or_default();
        known.handed_over.insert(id.to_owned(), Instant::now());
    }

    /// Forgets all requests but those that are still open.
    pub(crate) fn keep(&self, repository: &ObjectKey, open: &BTreeSet<String>) {
        let mut repositories = self.0.repositories.lock();
        if open.is_empty() {
            repositories.remove(repository);
        } else if let Some(known) = repositories.get_mut(repository) {
            known.outcomes.retain(|id, _| open.contains(id));
            known.handed_over.retain(|id, _| open.contains(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_outcome_is_handed_over_again() {
        let (outcomes, key) = (Outcomes::new(), ObjectKey::new("team", "app"));
        outcomes.handed_over(&key, "1");
        assert_eq!(outcomes.of(&key).1, ["1".to_owned()].into());
        tokio::time::advance(PATIENCE).await;
        assert_eq!(outcomes.of(&key).1, BTreeSet::new());
    }

    #[test]
    fn forgets_what_is_over() {
        let (outcomes, key) = (Outcomes::new(), ObjectKey::new("team", "app"));
        for id in ["1", "2"] {
            outcomes.know(key.clone(), IncomingOutcome { id: id.to_owned(), ..IncomingOutcome::default() });
        }
        outcomes.keep(&key, &["2".to_owned()].into());
        assert_eq!(outcomes.of(&key).0.keys().collect::<Vec<_>>(), ["2"]);
        outcomes.keep(&key, &BTreeSet::new());
        assert_eq!(outcomes.of(&key).0.len(), 0);
    }
}
