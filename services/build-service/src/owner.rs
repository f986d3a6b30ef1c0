//! Owner references to objects of ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt as _};

/// What goes with `object`, which does not control it.
pub(crate) fn of<K: Resource<DynamicType = ()>>(object: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }
}

/// Whether `object` goes with `owner`.
pub(crate) fn owns<K: Resource<DynamicType = ()>>(owner: &K, object: &impl Resource) -> bool {
    let uid = owner.meta().uid.as_deref();
    object.meta().owner_references.iter().flatten().any(|reference| Some(reference.uid.as_str()) == uid)
}
