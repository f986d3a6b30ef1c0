//! What has a Release looked at (spec, section 4.0).

use std::sync::Arc;
use std::time::Duration;

use fleet::store::Change;
use fleet::{Controller, ObjectKey, is_inert};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use pipelines_engine_api::status::succeeded;
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission};

use super::observe::{goes_first, is_serial};
use crate::conditions::is_finished;
use crate::matching::admission_of;
use crate::stores::{BY_PLAN, BY_TARGET, Stores, pair, release_of};
use crate::trim::{has_ended, is_held};
use release_service_api::conditions::Released;

/// How much later than the first of them single tasks of a run are told of, all together.
const PROGRESS: Duration = super::advance::PROGRESS;

pub(super) fn wakes(controller: Controller, stores: &Stores) -> Controller {
    let [of_siblings, of_plan, of_admission, of_config, of_runs] = [(); 5].map(|()| stores.clone());
    controller
        .reads_changes(&stores.releases, move |change| {
            let itself = matters(change).then(|| change.key.clone());
            itself.into_iter().chain(freed(&of_siblings, change)).collect()
        })
        .reads_changes(
            &stores.runs,
            |change| {
                if run_matters(change) { releases_of(change) } else { Vec::new() }
            },
        )
        .reads_changes_after(&stores.runs, PROGRESS, |change| {
            if progressed(change) { releases_of(change) } else { Vec::new() }
        })
        .reads_changes(&stores.plans, move |change| {
            if plan_matters(change) { open_of(&of_plan, &change.key) } else { Vec::new() }
        })
        .reads_changes(&stores.admissions, move |change| {
            if admission_matters(change) { open_of_admission(&of_admission, change) } else { Vec::new() }
        })
        .reads_changes(&stores.configs, move |_| all_open(&of_config))
        .reads_presence(&stores.runs, move || all_open(&of_runs))
}

/// Our own writes to it are no news.
fn matters(change: &Change<Release>) -> bool {
    let Some(new) = &change.new else { return false };
    let Some(old) = &change.old else { return true };
    let what = |release: &Release| {
        let automated = release.status.as_ref().and_then(|status| status.automated);
        (
            release.uid(),
            release.metadata.generation,
            release.metadata.deletion_timestamp.is_some(),
            automated == Some(true),
            is_inert(&release.metadata),
        )
    };
    // That it was trimmed is no news either: it lost its mark of automation with the rest.
    what(old) != what(new) && !crate::trim::is_trimmed(new)
}

/// Releases of the same plan that may have waited for this one.
fn freed(stores: &Stores, change: &Change<Release>) -> Vec<ObjectKey> {
    let was_first = change.old.as_deref().is_some_and(goes_first);
    if !was_first || change.new.as_deref().is_some_and(goes_first) {
        return Vec::new();
    }
    let Some(old) = &change.old else { return Vec::new() };
    let plan = change.key.sibling(&old.spec.release_plan);
    let admission = stores.plans.get(&plan).and_then(|plan| admission_of(stores, &plan).ok());
    if admission.is_some_and(|admission| is_serial(&admission)) { open_of(stores, &plan) } else { Vec::new() }
}

fn run_matters(change: &Change<PipelineRun>) -> bool {
    let what = |run: &PipelineRun| {
        (has_ended(run), run.metadata.deletion_timestamp.is_some(), is_held(run), run.uid())
    };
    change.old.as_deref().map(what) != change.new.as_deref().map(what)
}

/// Single tasks of it have ended.
fn progressed(change: &Change<PipelineRun>) -> bool {
    let message = |run: &PipelineRun| {
        let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        succeeded(conditions).map(|condition| condition.message.clone())
    };
    let Some(new) = change.new.as_deref() else { return false };
    !has_ended(new) && change.old.as_deref().map(message) != Some(message(new))
}

fn releases_of(change: &Change<PipelineRun>) -> Vec<ObjectKey> {
    change.old.iter().chain(&change.new).filter_map(|run| release_of(run)).collect()
}

/// Their statuses say nothing new.
fn plan_matters(change: &Change<ReleasePlan>) -> bool {
    let what = |plan: &ReleasePlan| (plan.spec.clone(), plan.metadata.labels.clone());
    change.old.as_deref().map(what) != change.new.as_deref().map(what)
}

fn admission_matters(change: &Change<ReleasePlanAdmission>) -> bool {
    let what = |admission: &ReleasePlanAdmission| {
        let metadata = &admission.metadata;
        (admission.spec.clone(), metadata.labels.clone(), metadata.annotations.clone())
    };
    change.old.as_deref().map(what) != change.new.as_deref().map(what)
}

fn open_of_admission(stores: &Stores, change: &Change<ReleasePlanAdmission>) -> Vec<ObjectKey> {
    let plans = change.old.iter().chain(&change.new).flat_map(|admission| {
        stores.plans.indexed(BY_TARGET, &pair(&admission.spec.origin, &change.key.namespace))
    });
    plans.flat_map(|plan| open_of(stores, &ObjectKey::of(&*plan))).collect()
}

/// Releases of a plan that are not finished.
fn open_of(stores: &Stores, plan: &ObjectKey) -> Vec<ObjectKey> {
    let releases = stores.releases.indexed(BY_PLAN, plan);
    releases.iter().filter(|release| is_open(release)).map(|release| ObjectKey::of(&**release)).collect()
}

fn all_open(stores: &Stores) -> Vec<ObjectKey> {
    let is_open = |key: &ObjectKey| stores.releases.get(key).is_some_and(|release| is_open(&release));
    stores.releases.keys().into_iter().filter(is_open).collect()
}

fn is_open(release: &Arc<Release>) -> bool {
    let conditions = release.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    !crate::conditions::find::<Released>(conditions).is_some_and(is_finished)
}
