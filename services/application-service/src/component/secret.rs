//! Whether the Secret that a Component names is there. Its contents are never asked for.

use application_service_api::Component;
use application_service_api::conditions::Created;
use fleet_api::ConditionState as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};

/// What is known of `spec.secret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// None is named, or this generation of the spec has been dealt with.
    NotAsked,
    Present,
    Missing,
    /// The API server did not say; the text tells why.
    Unknown(String),
}

/// Asks for the Secret's metadata, once for each generation of the Component.
pub(super) async fn look_up(client: &Client, component: &Component) -> SecretState {
    let name = component.spec.secret.as_deref().unwrap_or_default();
    if name.is_empty() || !is_needed(component) {
        return SecretState::NotAsked;
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &component.namespace().unwrap_or_default());
    match secrets.get_metadata_opt(name).await {
        Ok(Some(_)) => SecretState::Present,
        Ok(None) => SecretState::Missing,
        Err(error) => SecretState::Unknown(error.to_string()),
    }
}

fn is_needed(component: &Component) -> bool {
    if component.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let conditions = component.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    !conditions.iter().any(|condition| {
        condition.type_ == Created::TYPE
            && condition.status == "True"
            && condition.observed_generation == component.metadata.generation
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::component;
    use serde_json::json;

    #[test]
    fn asks_until_the_generation_is_dealt_with() {
        let mut component = component("a").of("shop").build();
        component.metadata.generation = Some(2);
        assert!(is_needed(&component));
        let created = |generation: i64| {
            serde_json::from_value(json!({"conditions": [{
                "type": "Created", "status": "True", "reason": "OK", "message": "",
                "observedGeneration": generation, "lastTransitionTime": "2024-01-01T00:00:00Z",
            }]}))
            .unwrap()
        };
        component.status = Some(created(1));
        assert!(is_needed(&component), "the spec has changed since");
        component.status = Some(created(2));
        assert!(!is_needed(&component));
    }
}
