//! Whether a Release may go on (spec, section 4.2). Pure.

use std::sync::Arc;
use std::time::Duration;

use release_service_api::conditions::causes;
use release_service_api::pipeline::PipelineRef;
use release_service_api::release::Attribution;
use release_service_api::{ReleasePlan, ReleasePlanAdmission};

use super::author::{Answer, author};
use super::observe::{Defaults, Seen};
use crate::matching::is_active;
use fleet::ObjectKey;

/// What the checks say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It may. `target`: where its managed pipeline runs, or its own namespace.
    Valid { attribution: Attribution, target: String },
    /// It cannot be said yet; to be asked again after this time.
    Wait(Duration),
    /// It may not, for good.
    Invalid { cause: String },
}

/// All checks in their order; the first that fails says why.
pub(crate) fn validate(seen: &Seen) -> Verdict {
    let checked = settings(seen)
        .and_then(|()| plan(seen))
        .and_then(|plan| pipelines(seen, plan).map(|()| plan))
        .and_then(|plan| resources(seen, plan).map(|()| plan))
        .and_then(|plan| application(seen, plan).map(|()| plan));
    let plan = match checked {
        Ok(plan) => plan,
        Err(cause) => return Verdict::Invalid { cause },
    };
    let attribution = match author(&seen.release, plan, seen.now) {
        Answer::Author(attribution) => attribution,
        Answer::Wait(time) => return Verdict::Wait(time),
        Answer::Nobody(cause) => return Verdict::Invalid { cause: cause.to_owned() },
    };
    if let Err(cause) = sources(seen, plan) {
        return Verdict::Invalid { cause };
    }
    let target = target(plan).map_or_else(|| seen.tenant().to_owned(), str::to_owned);
    Verdict::Valid { attribution, target }
}

/// Where the Releases of a plan are taken. An empty target counts as none.
pub(super) fn target(plan: &ReleasePlan) -> Option<&str> {
    plan.spec.target.as_deref().filter(|target| !target.is_empty())
}

fn settings(seen: &Seen) -> Result<(), String> {
    if seen.service_namespace.is_empty() { Err(causes::NO_SERVICE_NAMESPACE.to_owned()) } else { Ok(()) }
}

fn plan(seen: &Seen) -> Result<&Arc<ReleasePlan>, String> {
    let name = &seen.release.spec.release_plan;
    seen.plan.as_ref().ok_or_else(|| {
        format!(
            "ReleasePlan {} not found: create it, or name another in spec.releasePlan of a new Release",
            sibling(seen, name)
        )
    })
}

/// There is something to run.
fn pipelines(seen: &Seen, plan: &ReleasePlan) -> Result<(), String> {
    if plan.spec.tenant_pipeline.is_some() {
        return Ok(());
    }
    let name = ObjectKey::of(plan);
    if target(plan).is_none() {
        return Err(format!(
            "ReleasePlan {name} runs no pipeline: set spec.tenantPipeline, or spec.target to a namespace whose \
             ReleasePlanAdmission has one"
        ));
    }
    match seen.admission() {
        Some(admission) if admission.spec.pipeline.is_none() => Err(format!(
            "ReleasePlanAdmission {} has no spec.pipeline, and ReleasePlan {name} no spec.tenantPipeline: one of them has to",
            ObjectKey::of(&**admission)
        )),
        _ => Ok(()),
    }
}

/// What the managed pipeline works with is there, and whoever runs it takes Releases of this plan. A plan without target needs
/// its Snapshot alone.
fn resources(seen: &Seen, plan: &ReleasePlan) -> Result<(), String> {
    if target(plan).is_some() {
        let admission = admission(seen)?;
        if admission.spec.pipeline.is_some() {
            defaults(seen)?;
            policy(seen, admission)?;
        }
    }
    match seen.snapshot {
        Some(_) => Ok(()),
        None => Err(format!(
            "Snapshot {} not found: name an existing one in spec.snapshot of a new Release",
            sibling(seen, &seen.release.spec.snapshot)
        )),
    }
}

fn admission(seen: &Seen) -> Result<&Arc<ReleasePlanAdmission>, String> {
    let admission = match &seen.admission {
        Some(Ok(admission)) => admission,
        Some(Err(mismatch)) => return Err(mismatch.to_string()),
        None => return Err("the ReleasePlan has no ReleasePlanAdmission".to_owned()),
    };
    if is_active(admission) {
        Ok(admission)
    } else {
        Err(format!(
            "ReleasePlanAdmission {} takes no Releases: its label release.appstudio.openshift.io/block-releases is \"true\", \
             or release.appstudio.openshift.io/auto-release is \"false\". Ask who manages that namespace",
            ObjectKey::of(&**admission)
        ))
    }
}

fn defaults(seen: &Seen) -> Result<(), String> {
    match &seen.defaults {
        Defaults::Missing(name) => Err(format!(
            "ConfigMap {name} not found, which names the task that checks policies: install enterprise-contract, or set \
             ENTERPRISE_CONTRACT_CONFIG_MAP of release-service"
        )),
        Defaults::NotConfigured | Defaults::Found(_) => Ok(()),
    }
}

fn policy(seen: &Seen, admission: &ReleasePlanAdmission) -> Result<(), String> {
    let key = ObjectKey::of(admission);
    match seen.policy {
        Some(_) => Ok(()),
        None => Err(format!(
            "EnterpriseContractPolicy {} not found, which spec.policy of ReleasePlanAdmission {key} names: create it there",
            key.sibling(&admission.spec.policy)
        )),
    }
}

/// The Snapshot is of the Application that the plan releases.
fn application(seen: &Seen, plan: &ReleasePlan) -> Result<(), String> {
    let Some(snapshot) = &seen.snapshot else { return Ok(()) };
    let (of_plan, of_snapshot) = (&plan.spec.application, &snapshot.spec.application);
    if of_plan == of_snapshot {
        return Ok(());
    }
    Err(format!(
        "Snapshot {} is of Application {of_snapshot}, and ReleasePlan {} releases Application {of_plan}: name a plan of \
         {of_snapshot} in spec.releasePlan of a new Release",
        ObjectKey::of(&**snapshot),
        ObjectKey::of(plan)
    ))
}

/// No pipeline comes from the cluster itself, whose content nobody reviewed, unless this is for debugging.
fn sources(seen: &Seen, plan: &ReleasePlan) -> Result<(), String> {
    if seen.config.spec.debug == Some(true) {
        return Ok(());
    }
    let of_plan = [&plan.spec.tenant_pipeline, &plan.spec.final_pipeline]
        .into_iter()
        .flatten()
        .map(|pipeline| &pipeline.pipeline.pipeline_ref);
    let of_admission = seen.admission().and_then(|admission| admission.spec.pipeline.as_ref());
    let mut all = of_plan.chain(of_admission.map(|pipeline| &pipeline.pipeline_ref));
    if all.any(|pipeline| pipeline.resolver == PipelineRef::CLUSTER) {
        return Err(causes::DEBUG_ONLY.to_owned());
    }
    Ok(())
}

fn sibling(seen: &Seen, name: &str) -> ObjectKey {
    ObjectKey::new(seen.tenant(), name)
}

#[cfg(test)]
mod tests;
