//! What gitops-service has said so far, and what is still open.

use application_service_api::conditions::AllComponentsDeployed;
use application_service_api::{Environment, SnapshotEnvironmentBinding};
use fleet_api::{Condition, ConditionState as _, Truth};
use gitops_service_api::conditions::{ErrorOccurred, ErrorOccurredHere};
use gitops_service_api::deployment_target::TargetCredentials;
use gitops_service_api::deployment_target_claim::DeploymentTargetClaimPhase;
use gitops_service_api::{DeploymentTarget, DeploymentTargetClaim};
use jiff::Timestamp;
use kube::ResourceExt as _;

use super::Seen;
use crate::environments::{binding, claim_of};

/// The error of a binding, and since when there is one.
pub(super) fn error(binding: &SnapshotEnvironmentBinding) -> Option<(String, Timestamp)> {
    let list = &binding.status.as_ref()?.binding_conditions;
    let condition = binding::condition(binding, list, ErrorOccurredHere::TYPE)?;
    let is_error = condition.status == Truth::True.as_str();
    is_error.then(|| {
        let text = format!("SnapshotEnvironmentBinding {}: {}", binding.name_any(), told(condition));
        (text, condition.last_transition_time.0)
    })
}

pub(super) fn is_deployed(binding: &SnapshotEnvironmentBinding) -> bool {
    let Some(status) = &binding.status else { return false };
    let list = &status.component_deployment_conditions;
    binding::condition(binding, list, AllComponentsDeployed::TYPE)
        .is_some_and(|condition| condition.status == Truth::True.as_str())
}

/// How to reach a target, once it says so.
pub(super) fn credentials(target: Option<&DeploymentTarget>) -> Option<&TargetCredentials> {
    let credentials = &target?.spec.kubernetes_credentials;
    let is_known =
        !credentials.default_namespace.is_empty() && !credentials.cluster_credentials_secret.is_empty();
    is_known.then_some(credentials)
}

pub(super) fn is_bound(claim: Option<&DeploymentTargetClaim>) -> bool {
    let status = claim.and_then(|claim| claim.status.as_ref());
    let phase = status.and_then(|status| status.phase.as_ref());
    phase.is_some_and(|phase| phase.is(&DeploymentTargetClaimPhase::Bound))
}

/// For people: what has to happen next, and what is said about why it does not.
pub(super) fn waits_for(seen: &Seen, copy: &Environment, binding: &SnapshotEnvironmentBinding) -> String {
    let Some(claim) = &seen.claim else {
        return format!("Waiting for DeploymentTargetClaim {}, which does not exist", claim_of(copy));
    };
    if !is_bound(Some(claim)) {
        let conditions = claim.status.as_ref().map(|status| status.conditions.as_slice());
        let error = what_is_wrong(conditions.unwrap_or_default());
        return format!("Waiting for a target for DeploymentTargetClaim {}{error}", claim.name_any());
    }
    if credentials(seen.target.as_deref()).is_none() {
        let target = claim.spec.target_name.as_deref().unwrap_or_default();
        return format!("Waiting for DeploymentTarget {target} to say how it is reached");
    }
    let environment = copy.status.as_ref().map(|status| status.conditions.as_slice());
    let error = what_is_wrong(environment.unwrap_or_default());
    if !error.is_empty() {
        return format!("Waiting for Environment {}{error}", copy.name_any());
    }
    let status = binding.status.clone().unwrap_or_default();
    let lists =
        [status.gitops_repo_conditions, status.binding_conditions, status.component_deployment_conditions];
    let hint = lists.iter().map(|list| what_is_wrong(list)).find(|hint| !hint.is_empty());
    let name = binding.name_any();
    format!("Waiting for SnapshotEnvironmentBinding {name} to be deployed{}", hint.unwrap_or_default())
}

/// What a condition says that is not as it should be, after a colon: `ErrorOccurred` should be false, the others true.
fn what_is_wrong(conditions: &[Condition]) -> String {
    let is_bad = |condition: &&Condition| {
        let bad = if condition.type_ == ErrorOccurred::TYPE { Truth::True } else { Truth::False };
        condition.status == bad.as_str()
    };
    conditions.iter().find(is_bad).map(|condition| format!(": {}", told(condition))).unwrap_or_default()
}

fn told(condition: &Condition) -> String {
    format!("{}: {}", condition.reason, condition.message)
}
