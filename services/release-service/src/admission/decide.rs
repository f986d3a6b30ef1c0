//! What an admission says of its plans. Pure.

use std::sync::Arc;

use fleet::{Decision, FieldManager, ObjectKey, StatusPatch, is_inert};
use fleet_api::{Condition, ConditionState as _};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use release_service_api::conditions::Matched;
use release_service_api::release_plan_admission::{MatchedReleasePlan, RetryInfo};
use release_service_api::{ReleasePlan, ReleasePlanAdmission, ReleasePlanAdmissionStatus};

use crate::conditions::find;
use crate::matching::is_automatic;

const MANAGER: FieldManager = FieldManager::new("release-service/admission");

/// All that the decision looks at.
pub(super) struct Seen {
    pub(super) now: Timestamp,
    pub(super) admission: Arc<ReleasePlanAdmission>,
    /// Those that it takes, by name.
    pub(super) plans: Vec<Arc<ReleasePlan>>,
    pub(super) retry_info: RetryInfo,
}

/// Why nothing happens.
#[derive(Debug, PartialEq)]
pub(super) enum Hold {
    /// It goes: what it says does not matter any more.
    BeingDeleted,
    /// It came out of a backup.
    Restored,
    /// The status is as it should be.
    UpToDate,
}

impl fleet::Hold for Hold {}

pub(super) fn decide(seen: &Seen) -> Decision<Hold> {
    let admission = &*seen.admission;
    if admission.metadata.deletion_timestamp.is_some() {
        return Hold::BeingDeleted.into();
    }
    if is_inert(&admission.metadata) {
        return Hold::Restored.into();
    }
    let plans: Vec<MatchedReleasePlan> = seen
        .plans
        .iter()
        .map(|plan| MatchedReleasePlan {
            name: ObjectKey::of(&**plan).to_string(),
            active: is_automatic(plan),
        })
        .collect();
    let condition = matched(seen, &plans);
    let write = StatusPatch::of(admission, MANAGER, seen.now)
        .field("releasePlans", &plans)
        .field("retryInfo", (seen.retry_info != RetryInfo::default()).then_some(&seen.retry_info))
        .field("conditions", [condition])
        .into_write();
    match write {
        None => Hold::UpToDate.into(),
        Some(write) => Decision { writes: vec![write], ..Decision::default() },
    }
}

/// `Matched`. Its time is that of the last change of the list or of any `active` in it, as clients of the original expect, not only
/// of its status.
fn matched(seen: &Seen, plans: &[MatchedReleasePlan]) -> Condition {
    let admission = &*seen.admission;
    let no_status = ReleasePlanAdmissionStatus::default();
    let said = admission.status.as_ref().unwrap_or(&no_status);
    let state =
        if plans.is_empty() { Matched::Unmatched { cause: unmatched(admission) } } else { Matched::Matched };
    let is_same =
        |before: &&Condition| said.release_plans == plans && before.status == state.truth().as_str();
    let before = find::<Matched>(&said.conditions).filter(is_same);
    Condition {
        type_: Matched::TYPE.to_owned(),
        status: state.truth().as_str().to_owned(),
        reason: state.reason().to_owned(),
        message: state.message().into_owned(),
        observed_generation: admission.metadata.generation,
        last_transition_time: before.map_or(Time(seen.now), |before| before.last_transition_time.clone()),
    }
}

/// Why there is no plan.
fn unmatched(admission: &ReleasePlanAdmission) -> String {
    let spec = &admission.spec;
    if spec.origin.is_empty() {
        return "spec.origin is empty; name the namespace whose plans are taken".to_owned();
    }
    let target = admission.metadata.namespace.as_deref().unwrap_or_default();
    format!(
        "no ReleasePlan in namespace {} has target {target} and one of the Applications {}",
        spec.origin,
        listed(&spec.applications)
    )
}

/// The first of many names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests;
