//! Counts of creations and deletions, under the original's names.

use std::collections::HashMap;
use std::sync::Arc;

use fleet::leader::Leadership;
use fleet::store::Stored;
use fleet::{Classed as _, ObjectKey, Store, Write, WriteError};
use fleet_api::ConditionState as _;
use parking_lot::Mutex;
use prometheus::{IntCounter, Registry};

use application_service_api::conditions::Created;

use crate::Stores;

/// The kinds that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Application,
    Component,
}

/// Six counters for each kind. What is the user's fault (a name given twice, an unsupported variable) counts as a success:
/// only what the platform could not do is a failure, and a failure that repeats itself on one object counts once.
#[derive(Clone, Debug)]
pub struct Metrics {
    application: Counters,
    component: Counters,
    /// The last failure of each object that has one.
    failing: Arc<Mutex<HashMap<(Kind, ObjectKey), &'static str>>>,
}

#[derive(Clone, Debug)]
struct Counters {
    creations: Attempts,
    deletions: Attempts,
}

#[derive(Clone, Debug)]
struct Attempts {
    total: IntCounter,
    failed: IntCounter,
    successful: IntCounter,
}

impl Metrics {
    /// Registers all counters, so that each is there with 0 from the start.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            application: Counters::new("application", registry)?,
            component: Counters::new("component", registry)?,
            failing: Arc::default(),
        })
    }

    /// Counts the outcome of one reconcile.
    pub(crate) fn count(
        &self,
        kind: Kind,
        key: &ObjectKey,
        writes: &[Write],
        outcome: &Result<(), WriteError>,
    ) {
        let creations = &self.of(kind).creations;
        match outcome {
            Ok(()) => {
                self.failing.lock().remove(&(kind, key.clone()));
                if writes.iter().any(sets_created) {
                    creations.succeed();
                }
            }
            Err(WriteError::NotLeading { .. }) => {}
            Err(error) => {
                let label = error.label();
                let before = self.failing.lock().insert((kind, key.clone()), label);
                if before != Some(label) {
                    creations.fail();
                }
            }
        }
    }

    /// Counts the objects that go, on the replica that leads.
    pub(crate) fn count_deletions(&self, stores: &Stores, leadership: &Leadership) {
        self.count_deletions_of(Kind::Application, &stores.applications, leadership);
        self.count_deletions_of(Kind::Component, &stores.components, leadership);
    }

    fn count_deletions_of<K: Stored>(&self, kind: Kind, store: &Store<K>, leadership: &Leadership) {
        let (metrics, leadership) = (self.clone(), leadership.clone());
        store.subscribe(move |change| {
            if change.new.is_none() && leadership.is_held() {
                metrics.failing.lock().remove(&(kind, change.key.clone()));
                metrics.of(kind).deletions.succeed();
            }
        });
    }

    fn of(&self, kind: Kind) -> &Counters {
        match kind {
            Kind::Application => &self.application,
            Kind::Component => &self.component,
        }
    }
}

/// Whether a write brings the condition `Created` into a new state.
fn sets_created(write: &Write) -> bool {
    let Write::Status(apply) = write else { return false };
    apply.transitions.iter().any(|transition| transition.type_ == Created::TYPE)
}

impl Counters {
    fn new(kind: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            creations: Attempts::new(kind, "creation", registry)?,
            deletions: Attempts::new(kind, "deletion", registry)?,
        })
    }
}

impl Attempts {
    fn new(kind: &str, what: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |prefix: &str, help: &str| {
            let name = format!("has_{kind}_{prefix}{what}_total");
            let counter = IntCounter::new(name, format!("{help} ({what} of {kind}s)."))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            total: counter("", "Attempts, good or bad")?,
            failed: counter("failed_", "Attempts that the platform failed")?,
            successful: counter("successful_", "Attempts that worked, or failed by the user's input")?,
        })
    }

    fn succeed(&self) {
        self.total.inc();
        self.successful.inc();
    }

    fn fail(&self) {
        self.total.inc();
        self.failed.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::{FieldManager, StatusPatch};
    use kube::core::Status;

    use crate::testing::{component, now};
    use application_service_api::conditions::Subject;

    fn refused(code: u16) -> Result<(), WriteError> {
        let source = kube::Error::Api(Status::failure("no", "").with_code(code).boxed());
        Err(WriteError::Refused { write: "patch Component n/a".into(), source })
    }

    fn counts(attempts: &Attempts) -> (u64, u64, u64) {
        (attempts.total.get(), attempts.failed.get(), attempts.successful.get())
    }

    #[test]
    fn an_error_of_the_user_is_a_success_and_a_repeated_failure_counts_once() {
        let metrics = Metrics::new(&Registry::new()).unwrap();
        let (kind, key) = (Kind::Component, ObjectKey::new("n", "a"));
        let error = Created::Error { of: Subject::Component, cause: "valueFrom".into() };
        let component = component("a").of("shop").build();
        let write =
            StatusPatch::of(&component, FieldManager::new("test"), now()).condition(&error).into_write();
        metrics.count(kind, &key, &[write.unwrap()], &Ok(()));
        assert_eq!(counts(&metrics.component.creations), (1, 0, 1));
        metrics.count(kind, &key, &[], &Ok(()));
        assert_eq!(counts(&metrics.component.creations), (1, 0, 1), "a reconcile without news");
        for _ in 0..3 {
            metrics.count(kind, &key, &[], &refused(500));
        }
        assert_eq!(counts(&metrics.component.creations), (2, 1, 1));
        metrics.count(kind, &key, &[], &Ok(()));
        metrics.count(kind, &key, &[], &refused(500));
        assert_eq!(counts(&metrics.component.creations), (3, 2, 1), "it had worked in between");
        assert_eq!(counts(&metrics.application.creations), (0, 0, 0));
    }

    #[test]
    fn all_names_are_there_from_the_start() {
        let registry = Registry::new();
        let _metrics = Metrics::new(&registry).unwrap();
        let names: Vec<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
        for kind in ["application", "component"] {
            for what in [
                "creation",
                "failed_creation",
                "successful_creation",
                "deletion",
                "failed_deletion",
                "successful_deletion",
            ] {
                assert!(names.contains(&format!("has_{kind}_{what}_total")), "{kind} {what} in {names:?}");
            }
        }
    }
}
