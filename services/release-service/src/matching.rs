//! Which admission takes the Releases of a plan, and which plans an admission takes (spec, section 4.3). Pure.
//!
//! ```text
//! plan: namespace O, target T, application A    ◀──▶   admission: namespace T, origin O, A among its applications
//! label releasePlanAdmission: this one in T alone, if it is for O and A
//! ```
//! Both sides agree on origin and Application, whoever names whom: without that a tenant could use any admission whose name it
//! knows.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use fleet::ObjectKey;
use kube::ResourceExt as _;
use release_service_api::{ReleasePlan, ReleasePlanAdmission, labels};

use crate::stores::{BY_ORIGIN, BY_TARGET, Stores, pair};

/// Why a plan has no admission. As text, for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    /// No target: nothing but pipelines of the plan itself.
    #[error("the ReleasePlan has no target")]
    NoTarget,
    #[error(
        "no ReleasePlanAdmission in namespace {target} admits Application {application} from namespace {origin}"
    )]
    None { target: String, origin: String, application: String },
    #[error(
        "multiple ReleasePlanAdmissions in namespace {target} admit Application {application} from namespace {origin}: {}; \
         name one by the label {}",
        names.join(", "), labels::RELEASE_PLAN_ADMISSION.as_str()
    )]
    Several { target: String, origin: String, application: String, names: Vec<String> },
    /// The one that the label names is not there, or is not for this tenant or Application.
    #[error("{cause}")]
    Named { cause: String },
}

/// The one admission for a plan, of those in the stores.
pub(crate) fn admission_of(
    stores: &Stores,
    plan: &ReleasePlan,
) -> Result<Arc<ReleasePlanAdmission>, Mismatch> {
    let Some(target) = target_of(plan) else { return Err(Mismatch::NoTarget) };
    let origin = plan.namespace().unwrap_or_default();
    if let Some(name) = named_by(plan) {
        let key = ObjectKey::new(target.to_owned(), name.to_owned());
        return named(stores.admissions.get(&key), &key, &origin, &plan.spec.application);
    }
    one_of(
        stores.admissions.indexed(BY_ORIGIN, &pair(&origin, target)),
        &origin,
        target,
        &plan.spec.application,
    )
}

/// The admission that a label names, if it is for this origin and Application. One of another tenant looks as if it were not there.
fn named(
    admission: Option<Arc<ReleasePlanAdmission>>,
    key: &ObjectKey,
    origin: &str,
    application: &str,
) -> Result<Arc<ReleasePlanAdmission>, Mismatch> {
    let label = labels::RELEASE_PLAN_ADMISSION.as_str();
    let Some(admission) = admission.filter(|admission| admission.spec.origin == origin) else {
        let cause = format!(
            "label {label}: there is no ReleasePlanAdmission {key} with spec.origin {origin}; name another, or remove the label"
        );
        return Err(Mismatch::Named { cause });
    };
    if !admits(&admission, application) {
        let cause = format!(
            "label {label}: ReleasePlanAdmission {key} does not have Application {application} in spec.applications"
        );
        return Err(Mismatch::Named { cause });
    }
    Ok(admission)
}

/// The only one of these that has the Application.
fn one_of(
    mut admissions: Vec<Arc<ReleasePlanAdmission>>,
    origin: &str,
    target: &str,
    application: &str,
) -> Result<Arc<ReleasePlanAdmission>, Mismatch> {
    admissions.retain(|admission| admits(admission, application));
    let (target, origin, application) = (target.to_owned(), origin.to_owned(), application.to_owned());
    match admissions.len() {
        0 => Err(Mismatch::None { target, origin, application }),
        1 => Ok(admissions.swap_remove(0)),
        _ => {
            let mut names: Vec<String> = admissions.iter().map(|admission| admission.name_any()).collect();
            names.sort_unstable();
            Err(Mismatch::Several { target, origin, application, names })
        }
    }
}

/// Whether the admission is not switched off by a label (spec, section 3.1).
pub(crate) fn is_active(admission: &ReleasePlanAdmission) -> bool {
    let labels = &admission.metadata.labels;
    labels::BLOCK_RELEASES.of(labels) != Some("true") && labels::AUTO_RELEASE.of(labels) != Some("false")
}

/// Whether Releases of the plan are made automatically, as its label says it.
pub(crate) fn is_automatic(plan: &ReleasePlan) -> bool {
    labels::AUTO_RELEASE.of(&plan.metadata.labels) != Some("false")
}

/// The plans that an admission takes, by name. Where plans name this admission by their label, only these. None for an admission
/// without an origin.
pub(crate) fn plans_of(stores: &Stores, admission: &ReleasePlanAdmission) -> Vec<Arc<ReleasePlan>> {
    let (name, target) = (admission.name_any(), admission.namespace().unwrap_or_default());
    let mut plans = stores.plans.indexed(BY_TARGET, &pair(&admission.spec.origin, &target));
    plans.retain(|plan| {
        admits(admission, &plan.spec.application) && named_by(plan).is_none_or(|named| named == name)
    });
    if plans.iter().any(|plan| named_by(plan).is_some()) {
        plans.retain(|plan| named_by(plan).is_some());
    }
    plans.sort_unstable_by_key(|plan| plan.name_any());
    plans
}

fn admits(admission: &ReleasePlanAdmission, application: &str) -> bool {
    !application.is_empty() && admission.spec.applications.iter().any(|admitted| admitted == application)
}

/// The admission that the plan's label names.
fn named_by(plan: &ReleasePlan) -> Option<&str> {
    labels::RELEASE_PLAN_ADMISSION.of(&plan.metadata.labels).filter(|name| !name.is_empty())
}

fn target_of(plan: &ReleasePlan) -> Option<&str> {
    plan.spec.target.as_deref().filter(|target| !target.is_empty())
}

/// Plans on which a change of an admission bears.
pub(crate) fn plans_near(stores: &Stores, admission: &ReleasePlanAdmission) -> Vec<ObjectKey> {
    let target = admission.namespace().unwrap_or_default();
    let plans = stores.plans.indexed(BY_TARGET, &pair(&admission.spec.origin, &target));
    plans.iter().map(|plan| ObjectKey::of(&**plan)).collect()
}

/// Admissions on which a change of a plan bears.
pub(crate) fn admissions_near(stores: &Stores, plan: &ReleasePlan) -> Vec<ObjectKey> {
    let Some(target) = target_of(plan) else { return Vec::new() };
    let origin = plan.namespace().unwrap_or_default();
    let admissions = stores.admissions.indexed(BY_ORIGIN, &pair(&origin, target));
    admissions.iter().map(|admission| ObjectKey::of(&**admission)).collect()
}
