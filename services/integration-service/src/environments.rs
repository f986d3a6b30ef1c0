//! Where Snapshots are deployed (specification, section 4.8).
//!
//! ```text
//! root        promoted Snapshot ─▶ a binding for each Environment without a parent
//! ephemeral   scenario with an environment ─▶ claim ─▶ copy of the Environment ─▶ binding ─▶ deployed: the run starts there
//! leftovers   what was made for a test, once nobody needs it ─▶ claim and copy deleted
//! ```
//! gitops-service does the deploying. It may be slow or absent: nothing waits for it longer than half an hour.

mod binding;
pub(crate) mod ephemeral;
mod leftovers;
pub(crate) mod root;

use application_service_api::Environment;
use integration_service_api::scenario::TestEnvironment;
use integration_service_api::{IntegrationTestScenario, annotations};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

pub(crate) use leftovers::Leftovers;

/// Tag of the Environments that are made for a test. No other one is ever deleted.
const EPHEMERAL: &str = "ephemeral";

/// What a scenario says of an environment cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the annotation {} cannot be read ({source}): write it as spec.environment in v1beta1, or remove it",
    annotations::ENVIRONMENT.as_str()
)]
pub(crate) struct Unreadable {
    #[from]
    source: serde_json::Error,
}

/// The Environment that is copied for each run of a scenario. `None` if its runs need none.
pub(crate) fn wanted(scenario: &IntegrationTestScenario) -> Result<Option<TestEnvironment>, Unreadable> {
    let Some(json) = annotations::ENVIRONMENT.of(&scenario.metadata.annotations) else { return Ok(None) };
    let environment: Option<TestEnvironment> = serde_json::from_str(json)?;
    Ok(environment.filter(|environment| !environment.name.is_empty()))
}

fn is_ephemeral(environment: &Environment) -> bool {
    environment.spec.tags.iter().any(|tag| tag == EPHEMERAL)
}

/// The claim that an Environment deploys to; empty if it has none.
fn claim_of(environment: &Environment) -> &str {
    let configuration = environment.spec.configuration.as_ref();
    let target = configuration.and_then(|configuration| configuration.target.as_ref());
    target.map_or("", |target| &target.deployment_target_claim.claim_name)
}

/// That an object goes with `owner`, which made it.
fn controlled_by<K: Resource<DynamicType = ()>>(owner: &K) -> Option<Vec<OwnerReference>> {
    owner.controller_owner_ref(&()).map(|owner| vec![owner])
}

#[cfg(test)]
mod tests;
