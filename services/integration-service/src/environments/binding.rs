//! The binding of a Snapshot to an Environment.

use application_service_api::snapshot_environment_binding::BindingComponent;
use application_service_api::{Snapshot, SnapshotEnvironmentBinding, SnapshotEnvironmentBindingSpec};
use fleet::names::fit;
use fleet_api::Condition;
use gitops_service_api::names::BINDING_SUFFIX;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};

/// Longest name of a binding (contracts.md, section d): gitops-service derives others from it.
const LONGEST_NAME: usize = 250;

/// The name that gitops-service gives as well, so that two who bind the same make one binding.
pub(super) fn name(application: &str, environment: &str) -> String {
    fit(LONGEST_NAME, &format!("{application}-{environment}"), BINDING_SUFFIX)
}

/// A binding of all components of `snapshot`. Owner and labels are the caller's.
pub(super) fn of(snapshot: &Snapshot, environment: &str) -> SnapshotEnvironmentBinding {
    let spec = SnapshotEnvironmentBindingSpec {
        application: snapshot.spec.application.clone(),
        environment: environment.to_owned(),
        snapshot: snapshot.name_any(),
        components: components(snapshot, &[]),
    };
    let mut binding = SnapshotEnvironmentBinding::new(&name(&snapshot.spec.application, environment), spec);
    *binding.meta_mut() =
        ObjectMeta { namespace: snapshot.namespace(), ..std::mem::take(binding.meta_mut()) };
    binding
}

/// The components of `snapshot`, in its order. What `before` says of one beside its name (replicas, variables) is the user's, and
/// stays.
pub(super) fn components(snapshot: &Snapshot, before: &[BindingComponent]) -> Vec<BindingComponent> {
    let names = snapshot.spec.components.iter().map(|component| &component.name);
    names
        .map(|name| {
            let known = before.iter().find(|component| component.name == *name).cloned();
            known.unwrap_or_else(|| BindingComponent { name: name.clone(), ..BindingComponent::default() })
        })
        .collect()
}

/// What the status says under `type_` in one of its lists, if it says so of the present spec.
pub(super) fn condition<'a>(
    binding: &SnapshotEnvironmentBinding,
    list: &'a [Condition],
    type_: &str,
) -> Option<&'a Condition> {
    let is_current = |condition: &&Condition| {
        condition.observed_generation.is_none_or(|seen| Some(seen) == binding.metadata.generation)
    };
    list.iter().filter(|condition| condition.type_ == type_).find(is_current)
}
