//! Promotion: a Snapshot goes to every Environment without a parent. The others are people's to promote to.

use std::sync::Arc;
use std::time::Duration;

use application_service_api::{Application, Environment, Snapshot, SnapshotEnvironmentBinding};
use fleet::{ObjectKey, Wake, Write};
use fleet_api::keys;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde_json::json;

use super::{binding, controlled_by, is_ephemeral};
use crate::promotion::Age;
use crate::stores::{BY_APPLICATION, BY_NAMESPACE, Stores};

/// How often to look whether a binding that is being deleted has gone, so that another one can take its name.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How long a binding may take to go, until its Environment is passed over.
const PATIENCE: SignedDuration = SignedDuration::from_mins(30);

/// All that the decision looks at.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) now: Timestamp,
    /// Whether Environments are dealt with at all.
    pub(crate) enabled: bool,
    pub(crate) application: Arc<Application>,
    /// One that is to be promoted, with its components.
    pub(crate) snapshot: Arc<Snapshot>,
    /// All of the namespace.
    pub(crate) environments: Vec<Arc<Environment>>,
    /// Of the Application, with the Snapshots that they name as far as these exist.
    pub(crate) bindings: Vec<(Arc<SnapshotEnvironmentBinding>, Option<Arc<Snapshot>>)>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub(crate) struct Root {
    pub(crate) writes: Vec<Write>,
    /// After these writes the Snapshot is deployed, as far as that is ours. Never so where Environments are switched off.
    pub(crate) is_done: bool,
    pub(crate) wake: Wake,
}

pub(crate) fn observe(
    stores: &Stores,
    application: &Arc<Application>,
    snapshot: &Arc<Snapshot>,
    now: Timestamp,
    enabled: bool,
) -> Seen {
    let key = ObjectKey::of(&**application);
    let bindings = stores.bindings.indexed(BY_APPLICATION, &key).into_iter();
    let bindings = bindings.map(|binding| {
        let deployed = stores.snapshots.get(&key.sibling(&binding.spec.snapshot));
        (binding, deployed)
    });
    Seen {
        now,
        enabled,
        application: Arc::clone(application),
        snapshot: Arc::clone(snapshot),
        environments: stores.environments.indexed(BY_NAMESPACE, &key.sibling("")),
        bindings: bindings.collect(),
    }
}

/// Creates or re-points a binding for each root Environment. One that shows a newer Snapshot is left at that: an older one that
/// passes late is no promotion.
pub(crate) fn decide(seen: &Seen) -> Root {
    if !seen.enabled || seen.application.metadata.deletion_timestamp.is_some() {
        return Root::default();
    }
    let mut root = Root { is_done: true, ..Root::default() };
    for environment in seen.environments.iter().filter(|environment| is_root(environment)) {
        if let Some(writes) = of_environment(seen, &environment.name_any()) {
            root.writes.extend(writes);
        } else {
            root.is_done = false;
            root.wake = Wake::After(LOOK_AGAIN);
        }
    }
    root
}

/// `None` while that has to wait.
fn of_environment(seen: &Seen, environment: &str) -> Option<Vec<Write>> {
    let is_of = |binding: &SnapshotEnvironmentBinding| binding.spec.environment == environment;
    let mut bindings: Vec<_> = seen.bindings.iter().filter(|(binding, _)| is_of(binding)).collect();
    // Where there are several, always the same one.
    bindings.sort_by_key(|(binding, _)| (binding.metadata.deletion_timestamp.is_some(), binding.name_any()));
    let Some((binding, deployed)) = bindings.first() else {
        let mut binding = binding::of(&seen.snapshot, environment);
        // Not the Snapshot: its collector would take a live deployment along.
        binding.metadata.owner_references = controlled_by(&*seen.application);
        return Some(vec![Write::create(&binding)]);
    };
    if let Some(since) = &binding.metadata.deletion_timestamp {
        let is_stuck = seen.now.duration_since(since.0) >= PATIENCE;
        return is_stuck.then(Vec::new);
    }
    if deployed.as_ref().is_some_and(|deployed| is_newer(deployed, &seen.snapshot)) {
        return Some(Vec::new());
    }
    let components = binding::components(&seen.snapshot, &binding.spec.components);
    let is_same = binding.spec.snapshot == seen.snapshot.name_any() && binding.spec.components == components;
    let body = json!({"spec": {"snapshot": seen.snapshot.name_any(), "components": components}});
    Some(if is_same { Vec::new() } else { vec![Write::merge(&**binding, body)] })
}

fn is_root(environment: &Environment) -> bool {
    let parent = environment.spec.parent_environment.as_deref().unwrap_or_default();
    parent.is_empty() && !is_ephemeral(environment) && environment.metadata.deletion_timestamp.is_none()
}

/// Whether `one` holds newer images than `other`. Builds of one Component have their order; else the Snapshot that was made later
/// holds what was promoted in between.
fn is_newer(one: &Snapshot, other: &Snapshot) -> bool {
    let component = |snapshot: &Snapshot| keys::COMPONENT.of(&snapshot.metadata.labels).map(str::to_owned);
    let created = |snapshot: &Snapshot| snapshot.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let (age, other_age) = (Age::of(one), Age::of(other));
    if component(one).is_some() && component(one) == component(other) && age != other_age {
        return age > other_age;
    }
    created(one) > created(other)
}

#[cfg(test)]
mod tests;
