//! What the stores do not keep, because nobody here reads it.
//!
//! Nearly all Releases and runs are over: of those next to nothing is left. Who needs all of such a Release reads it live.

use fleet_api::keys::{PIPELINE_TYPE, RECORDED_UID, VELERO_BACKUP, VELERO_RESTORE};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use pipelines_engine_api::pipeline_run::ChildStatusReference;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, PipelineRunSpec, PipelineRunStatus};
use release_service_api::release::PhaseProcessing;
use release_service_api::{Phase, Release, ReleasePlan, ReleaseSpec, ReleaseStatus, finalizers, labels};
use serde_json::Value;
use strum::IntoEnumIterator as _;

use crate::conditions::{find, is_finished, of_phase};
use release_service_api::conditions::Released;

/// Marks what was trimmed, in the store alone.
const TRIMMED: &str = "fleet.konflux-ci.dev/trimmed";

/// What a client of the API remembers of the object that it applied: as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What the collectors of the plan found, in `status.collectors`.
pub(crate) const OF_TENANT: &str = "tenant";

/// Labels of a Release that is over, which stay.
const KEPT_OF_RELEASE: [&str; 2] = [VELERO_RESTORE.as_str(), VELERO_BACKUP.as_str()];

/// Labels of a run that is over, which stay.
const KEPT_OF_RUN: [&str; 4] =
    [PIPELINE_TYPE.as_str(), labels::NAME.as_str(), labels::NAMESPACE.as_str(), labels::ATTEMPT.as_str()];

/// Without the data for pipelines, which read it themselves. Of one that is over: what expiry, statistics and the search for the one
/// before read.
pub(crate) fn release(release: &mut Release) {
    release.spec.data = None;
    forget_last_applied(&mut release.metadata);
    if let Some(status) = &mut release.status {
        status.artifacts = None;
        // The part that is ours.
        if let Some(Value::Object(collectors)) = &mut status.collectors {
            collectors.retain(|key, _| key == OF_TENANT);
        }
        status.collectors = status.collectors.take().filter(|collectors| !collectors[OF_TENANT].is_null());
    }
    if !is_over(release) {
        return;
    }
    let spec = std::mem::take(&mut release.spec);
    release.spec =
        ReleaseSpec { snapshot: spec.snapshot, release_plan: spec.release_plan, ..ReleaseSpec::default() };
    let status = release.status.take().unwrap_or_default();
    let mut released = find::<Released>(&status.conditions).cloned();
    if let Some(condition) = &mut released {
        condition.message.clear();
    }
    release.status = Some(ReleaseStatus {
        conditions: released.into_iter().collect(),
        expiration_time: status.expiration_time,
        ..ReleaseStatus::default()
    });
    keep_labels(&mut release.metadata, &KEPT_OF_RELEASE);
    let annotations = release.annotations_mut();
    annotations.retain(|key, _| key == RECORDED_UID.as_str());
    annotations.insert(TRIMMED.to_owned(), String::new());
    release.metadata.owner_references = None;
    // What was read from JSON has lists with room for more. A copy has none.
    *release = release.clone();
}

/// Whether this is not all of the Release, which is over.
pub(crate) fn is_trimmed(release: &Release) -> bool {
    release.annotations().contains_key(TRIMMED)
}

/// Nothing is left to do but to take back what its runs were given, which shows in the runs.
fn is_over(release: &Release) -> bool {
    let Some(status) = &release.status else { return false };
    let conditions = &status.conditions;
    let is_finished_at_all = find::<Released>(conditions).is_some_and(is_finished);
    let is_over = |phase: Phase| of_phase(conditions, phase).is_some_and(is_finished);
    let is_known = |phase: Phase| of_phase(conditions, phase).is_some();
    // One with other phases than the managed one names them all.
    let has_others = Phase::iter().any(|phase| phase != Phase::Managed && is_known(phase));
    let none_runs = Phase::iter().all(|phase| !is_known(phase) || is_over(phase));
    release.metadata.deletion_timestamp.is_none()
        && is_finished_at_all
        && none_runs
        && (!has_others || is_over(Phase::Final))
}

/// Times, run and bindings of a phase.
pub(crate) fn status_of(status: &ReleaseStatus, phase: Phase) -> Option<&PhaseProcessing> {
    let collectors = status.collectors_processing.as_ref();
    match phase {
        Phase::TenantCollectors => collectors?.tenant_collectors_processing.as_ref(),
        Phase::ManagedCollectors => collectors?.managed_collectors_processing.as_ref(),
        Phase::Tenant => status.tenant_processing.as_ref(),
        Phase::Managed => status.managed_processing.as_ref(),
        Phase::Final => status.final_processing.as_ref(),
    }
}

/// Without the data for pipelines, but for the mapping, whose tags say whether a run is repeated.
pub(crate) fn plan(plan: &mut ReleasePlan) {
    forget_last_applied(&mut plan.metadata);
    if let Some(Value::Object(data)) = &mut plan.spec.data {
        data.retain(|key, _| key == "mapping");
    }
}

/// How a run does: its conditions, times, tasks, metadata. Of one that is over and that nothing of ours holds: that it is there.
pub(crate) fn run(run: &mut PipelineRun) {
    forget_last_applied(&mut run.metadata);
    run.spec = PipelineRunSpec::default();
    let is_over = has_ended(run) && !is_held(run);
    run.status = run.status.take().map(|status| PipelineRunStatus {
        conditions: status.conditions,
        start_time: status.start_time,
        completion_time: status.completion_time,
        child_references: if is_over {
            Vec::new()
        } else {
            status.child_references.into_iter().map(child).collect()
        },
        ..PipelineRunStatus::default()
    });
    if is_over {
        for condition in run.status.iter_mut().flat_map(|status| &mut status.conditions) {
            condition.message.clear();
        }
        keep_labels(&mut run.metadata, &KEPT_OF_RUN);
        run.metadata.annotations = None;
        run.metadata.owner_references = None;
        *run = run.clone();
    }
}

/// It succeeded, or failed.
pub(crate) fn has_ended(run: &PipelineRun) -> bool {
    let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    succeeded(conditions).is_some_and(|condition| ["True", "False"].contains(&condition.status.as_str()))
}

/// Our finalizer is on it.
pub(crate) fn is_held(run: &PipelineRun) -> bool {
    finalizers::RELEASE.is_in(run.metadata.finalizers.as_ref())
}

fn child(child: ChildStatusReference) -> ChildStatusReference {
    ChildStatusReference { when_expressions: Vec::new(), display_name: String::new(), ..child }
}

fn keep_labels(metadata: &mut ObjectMeta, kept: &[&str]) {
    if let Some(labels) = &mut metadata.labels {
        labels.retain(|key, _| kept.contains(&key.as_str()));
    }
}

fn forget_last_applied(metadata: &mut ObjectMeta) {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests;
