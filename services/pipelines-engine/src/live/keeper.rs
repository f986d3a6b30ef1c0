//! Takes the ConfigMaps of the entrypoint away again where nothing has run for an hour (runtime specification, section 2.1).
//!
//! ```text
//! ConfigMap appears ──────────────────────▶ namespace ─▶ runs live? ──yes──▶ nothing: the end of the last one comes here again
//! last run of a namespace ends ─ 1 h later ─▶                └─no──▶ unused for an hour? ─yes─▶ delete
//!                                                                          └─no──▶ again when it is
//! ```
//! All is read from the watches that are there anyway, and a namespace is looked at about once an hour. Taking one away by mistake
//! costs one write: the next run brings it again ([`Delivery::ensure`]). What would cost more is a pod that is made in the same
//! moment and waits for a ConfigMap that is gone; a gate keeps the two apart, and a run that this process knows keeps it, too.

use std::sync::Arc;
use std::time::Duration;

use fleet::{Clock, Fleet, ObjectKey, Runner, Store, Wake, Write, WriteError, Writer};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use pipelines_engine_api::TaskRun;

use super::delivery::Delivery;
use crate::condition;
use crate::stores::{BY_LIFE, owner_key};

/// How long one is kept that nothing uses.
const UNUSED: Duration = Duration::from_hours(1);

/// What is known of a namespace.
struct Observed {
    now: Timestamp,
    /// Whether a TaskRun of it has not ended.
    has_live_runs: bool,
    /// When the last of its TaskRuns ended that are still there.
    last_end: Option<Timestamp>,
    config_maps: Vec<Arc<ConfigMap>>,
}

/// What is to be taken away, and when to look again.
#[derive(Debug, Default, PartialEq)]
struct Decided {
    remove: Vec<Arc<ConfigMap>>,
    wake: Option<Timestamp>,
}

fn decide(seen: &Observed) -> Decided {
    let mut decided = Decided::default();
    if seen.has_live_runs {
        return decided;
    }
    for config_map in &seen.config_maps {
        let created = config_map.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let last_use = created.max(seen.last_end).unwrap_or(seen.now);
        let until = SignedDuration::try_from(UNUSED).ok().and_then(|time| last_use.checked_add(time).ok());
        match until {
            Some(until) if until <= seen.now => decided.remove.push(Arc::clone(config_map)),
            until => decided.wake = [decided.wake, until].into_iter().flatten().min(),
        }
    }
    decided
}

/// Looks after the ConfigMaps of all namespaces. `clock` is the one that tells how long they are unused.
pub fn controller(
    fleet: &Fleet,
    task_runs: &Store<TaskRun>,
    delivery: &Delivery,
    writer: &Writer,
    clock: Clock,
) -> Runner {
    let keeper =
        Keeper { task_runs: task_runs.clone(), delivery: delivery.clone(), writer: writer.clone(), clock };
    fleet
        .controller("entrypoint")
        .reads(delivery.config_maps(), |config_map| vec![of_namespace(config_map)])
        .reads_changes_after(task_runs, UNUSED, |change| {
            let has_ended =
                change.old.as_deref().is_some_and(is_live) && !change.new.as_deref().is_some_and(is_live);
            if has_ended { vec![ObjectKey::new(&change.key.namespace, "")] } else { Vec::new() }
        })
        .reconcile(move |key| {
            let keeper = keeper.clone();
            async move { keeper.look_at(&key.namespace).await }
        })
}

#[derive(Clone)]
struct Keeper {
    task_runs: Store<TaskRun>,
    delivery: Delivery,
    writer: Writer,
    clock: Clock,
}

impl Keeper {
    async fn look_at(&self, namespace: &str) -> Result<Wake, WriteError> {
        let decided = decide(&self.observe(namespace));
        if decided.remove.is_empty() {
            return Ok(decided.wake.map_or(Wake::OnChange, Wake::At));
        }
        let _closed = self.delivery.close().await;
        // A run may have come while the gate was being closed.
        let decided = decide(&self.observe(namespace));
        for config_map in &decided.remove {
            self.writer.apply(&[Write::delete(&**config_map)]).await?;
            // The watch says so a moment later; who comes through the gate next must know.
            self.delivery.config_maps().delete(config_map);
        }
        Ok(decided.wake.map_or(Wake::OnChange, Wake::At))
    }

    fn observe(&self, namespace: &str) -> Observed {
        let has_live_runs = !self.task_runs.indexed(BY_LIFE, &owner_key(namespace, LIVE_RUNS)).is_empty();
        let ended = || self.task_runs.indexed(BY_LIFE, &owner_key(namespace, ENDED_RUNS));
        let last_end = |run: &Arc<TaskRun>| Some(run.status.as_ref()?.completion_time.as_ref()?.0);
        Observed {
            now: self.clock.now(),
            has_live_runs,
            last_end: if has_live_runs { None } else { ended().iter().filter_map(last_end).max() },
            config_maps: self.delivery.of_namespace(namespace),
        }
    }
}

/// Under these names a namespace's TaskRuns are filed.
const LIVE_RUNS: &str = "live";
const ENDED_RUNS: &str = "ended";

/// The keys of the index [`BY_LIFE`].
pub fn filed_under(run: &TaskRun) -> Vec<ObjectKey> {
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    vec![owner_key(namespace, if is_live(run) { LIVE_RUNS } else { ENDED_RUNS })]
}

fn is_live(run: &TaskRun) -> bool {
    !run.status.as_ref().is_some_and(|status| condition::is_final(&status.conditions))
}

fn of_namespace(config_map: &ConfigMap) -> ObjectKey {
    ObjectKey::new(config_map.metadata.namespace.as_deref().unwrap_or_default(), "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn at(time: &str) -> Timestamp {
        format!("2024-03-01T{time}Z").parse().unwrap()
    }

    fn seen(now: &str, has_live_runs: bool, last_end: Option<&str>) -> Observed {
        let config_map = json!({"metadata": {
            "name": "tekton-entrypoint-1", "namespace": "n", "uid": "u", "creationTimestamp": "2024-03-01T10:00:00Z",
        }});
        Observed {
            now: at(now),
            has_live_runs,
            last_end: last_end.map(at),
            config_maps: vec![Arc::new(serde_json::from_value(config_map).unwrap())],
        }
    }

    #[rstest]
    #[case::new("10:59:59", false, None, 0, Some("11:00:00"))]
    #[case::never_used("11:00:00", false, None, 1, None)]
    #[case::in_use("15:00:00", true, Some("10:30:00"), 0, None)]
    #[case::used_of_late("12:29:59", false, Some("11:30:00"), 0, Some("12:30:00"))]
    #[case::unused("12:30:00", false, Some("11:30:00"), 1, None)]
    #[case::older_than_it_is("11:00:00", false, Some("09:00:00"), 1, None)]
    #[case::clock_that_was_set_back("08:00:00", false, Some("11:30:00"), 0, Some("12:30:00"))]
    fn goes_after_an_hour_without_runs(
        #[case] now: &str,
        #[case] has_live_runs: bool,
        #[case] last_end: Option<&str>,
        #[case] removed: usize,
        #[case] wake: Option<&str>,
    ) {
        let decided = decide(&seen(now, has_live_runs, last_end));
        assert_eq!((decided.remove.len(), decided.wake), (removed, wake.map(at)));
    }

    #[test]
    fn runs_are_filed_by_whether_they_live() {
        let run = |status: &str| -> TaskRun {
            serde_json::from_value(json!({
                "metadata": {"name": "r", "namespace": "n"}, "spec": {},
                "status": {"conditions": [{"type": "Succeeded", "status": status}]},
            }))
            .unwrap()
        };
        assert_eq!(filed_under(&run("Unknown")), [ObjectKey::new("n", LIVE_RUNS)]);
        assert_eq!(filed_under(&run("False")), [ObjectKey::new("n", ENDED_RUNS)]);
    }
}
