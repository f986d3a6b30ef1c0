//! What objects have from those that they are made for or by: owners, labels and annotations.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use pipelines_engine_api::annotations;

type Map = BTreeMap<String, String>;

/// The reference to a run in what it controls.
pub fn owner<K: Resource<DynamicType = ()>>(run: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: run.meta().name.clone().unwrap_or_default(),
        uid: run.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether an annotation is not handed on: what kubectl applied is about the object itself, and only chains writes its own.
pub fn is_private(annotation: &str) -> bool {
    annotation == annotations::LAST_APPLIED.as_str() || annotation.starts_with(annotations::CHAINS_PREFIX)
}

/// The entries that an object does not have itself.
pub fn new_to(own: Option<&Map>, offered: Map) -> impl Iterator<Item = (String, String)> {
    offered.into_iter().filter(move |(key, _)| !own.is_some_and(|own| own.contains_key(key)))
}
