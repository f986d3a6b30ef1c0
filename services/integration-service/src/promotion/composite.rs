//! What a Snapshot has to be by the candidate list of now, and the Snapshot that is tested in its place if it is not (spec, section
//! 4.6).
//!
//! ```text
//! candidate list: web=1, db=1
//! built: S1 (web=2, db=1) ─▶ passed ─▶ list: web=2, db=1
//!        S2 (web=1, db=2) ─▶ ended: by now it would be (web=2, db=2) ─▶ invalid ─▶ composite (web=2, db=2) is tested
//! ```

use std::sync::Arc;

use application_service_api::snapshot::SnapshotComponent;
use application_service_api::{Application, Snapshot};
use fleet::{TraceContext, Write};
use fleet_api::keys;
use integration_service_api::annotations::{BUILD_START, RESULT_PREFIX, STATUS};
use integration_service_api::conditions::IntegrationStatus;
use integration_service_api::labels::{CONTENT_HASH, PIPELINE_RUN_FINISH_TIME, snapshot_type};
use kube::ResourceExt as _;

use super::Observed;
use super::age::Age;
use super::turn::{component_of, type_of};
use crate::conditions::{Conditions, Says as _};
use crate::content::{NewSnapshot, Prefixes, Purpose, candidates, content_hash, copied};
use crate::record::{initial, scenarios_for};

/// What the Snapshot would hold if it were made now, if that is something else: the candidate list with its own image.
pub(super) fn changed(seen: &Observed, snapshot: &Snapshot) -> Option<Vec<SnapshotComponent>> {
    let mut list = candidates(&seen.components);
    if let Some(own) = own_entry(snapshot) {
        list.with(own.clone());
    }
    // A Component that was deleted since, or its whole list: nothing to test instead.
    let is_something_else = content_hash(&list.entries) != content_hash(&snapshot.spec.components);
    (is_something_else && !list.entries.is_empty()).then_some(list.entries)
}

/// What the Snapshot was made for: the Component that was built, with its image.
pub(super) fn own_entry(snapshot: &Snapshot) -> Option<&SnapshotComponent> {
    let name = component_of(snapshot)?;
    snapshot.spec.components.iter().find(|entry| entry.name == name)
}

/// Has what the candidate list has made of `tested` be tested in its place, and ends `tested`, and what else was to be tested in the
/// place of older builds of its Component.
pub(super) fn supersede(
    seen: &Observed,
    application: &Application,
    tested: &Snapshot,
    components: Vec<SnapshotComponent>,
) -> Vec<Write> {
    let mut writes = Vec::new();
    let cause = match component_of(tested) {
        Some(component) => {
            let hash = content_hash(&components);
            let name = if let Some(same) = equal(seen, tested, &hash) {
                same.name_any()
            } else {
                let composite = composite(seen, application, tested, component, components);
                let name = composite.key().name.clone();
                writes.push(composite);
                name
            };
            writes.extend(outdated(seen, tested, &name));
            format!(
                "Superseded: other Components were promoted since it was made. Snapshot {name}, which has their images, too, is \
                 tested in its place"
            )
        }
        // Of a Component that went: the Snapshots of those that were promoted since are without it, too.
        None => "Superseded: other Components were promoted since it was made, by Snapshots that hold all it would show".to_owned(),
    };
    // Last: it is the record that the other one exists.
    writes.extend(invalid(seen, tested, cause));
    writes
}

fn invalid(seen: &Observed, snapshot: &Snapshot, cause: String) -> Option<Write> {
    let invalid = IntegrationStatus::Invalid { cause };
    Conditions { integration_status: Some(invalid), ..Conditions::default() }.write(snapshot, seen.now)
}

/// Ends the composites of older builds of the same Component, which nobody waits for any more: there is one at most for each
/// Component that is tested.
fn outdated(seen: &Observed, tested: &Snapshot, newest: &str) -> Vec<Write> {
    let is_outdated = |other: &&Arc<Snapshot>| {
        type_of(other) == Some(snapshot_type::COMPOSITE)
            && other.uid() != tested.uid()
            && other.name_any() != newest
            && component_of(other) == component_of(tested)
            && other.passed().is_none()
            && Age::of(other) <= Age::of(tested)
    };
    let outdated = seen.snapshots.iter().filter(is_outdated);
    let cause = format!("Superseded: Snapshot {newest} is of a newer build of the same Component");
    outdated.filter_map(|other| invalid(seen, other, cause.clone())).collect()
}

/// A Snapshot with the same content that may still be promoted.
fn equal<'a>(seen: &'a Observed, tested: &Snapshot, hash: &str) -> Option<&'a Snapshot> {
    seen.snapshots.iter().map(|other| &**other).find(|other| {
        other.uid() != tested.uid()
            && CONTENT_HASH.of(&other.metadata.labels) == Some(hash)
            && component_of(other) == component_of(tested)
    })
}

/// The create of the Snapshot that is tested in place of `tested`: what is known of the build goes along.
fn composite(
    seen: &Observed,
    application: &Application,
    tested: &Snapshot,
    component: &str,
    components: Vec<SnapshotComponent>,
) -> Write {
    let (mut labels, mut annotations) = copied(&tested.metadata, Prefixes::OfSnapshot);
    if let Some(finished) = PIPELINE_RUN_FINISH_TIME.of(&tested.metadata.labels) {
        labels.insert(PIPELINE_RUN_FINISH_TIME.into(), finished.to_owned());
    }
    let is_of_build = |key: &str| key == BUILD_START.as_str() || key.starts_with(RESULT_PREFIX);
    let of_build = tested.annotations().iter().filter(|(key, _)| is_of_build(key));
    annotations.extend(of_build.map(|(key, value)| (key.clone(), value.clone())));
    // One of the same content that was made for another build, and has ended, is none that this one can wait for.
    annotations.insert(keys::CAUSE.into(), tested.uid().unwrap_or_default());
    let mut new = NewSnapshot {
        application,
        purpose: Purpose::Composite { component },
        components,
        labels,
        annotations,
        trace: TraceContext::of(tested),
    };
    let scenarios = scenarios_for(&new.build(), &seen.scenarios);
    new.annotations.insert(STATUS.into(), initial(&scenarios, seen.now));
    new.write()
}
