//! Changes of metadata that several writers share: own entries only.

use fleet_api::{AnnotationKey, Finalizer, LabelKey};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use serde_json::{Map, Value, json};

use super::{Patch, PatchKind, Target, Write};

/// Builds one merge patch of an object's metadata from changes of single entries.
///
/// Lists are replaced whole, as merge patches do, so the patch then carries the resourceVersion that was read: if
/// another writer was there in between, the API server refuses it and the decision is taken anew.
#[derive(Debug)]
#[must_use]
pub struct MetadataPatch<'a, K> {
    object: &'a K,
    finalizers: Option<Vec<String>>,
    owners: Option<Vec<OwnerReference>>,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
}

impl<'a, K: Resource<DynamicType = ()>> MetadataPatch<'a, K> {
    pub fn of(object: &'a K) -> Self {
        Self { object, finalizers: None, owners: None, labels: Map::new(), annotations: Map::new() }
    }

    /// Adds a finalizer of ours, never to an object that is being deleted (the API server forbids it).
    pub fn finalizer(mut self, name: Finalizer) -> Self {
        let meta = self.object.meta();
        if meta.deletion_timestamp.is_none() && !name.is_in(meta.finalizers.as_ref()) {
            self.finalizers
                .get_or_insert_with(|| meta.finalizers.clone().unwrap_or_default())
                .push(name.into());
        }
        self
    }

    pub fn without_finalizer(mut self, name: Finalizer) -> Self {
        let meta = self.object.meta();
        if name.is_in(meta.finalizers.as_ref()) {
            self.finalizers
                .get_or_insert_with(|| meta.finalizers.clone().unwrap_or_default())
                .retain(|other| other != name.as_str());
        }
        self
    }

    /// Adds an owner. One whose uid is present already is left as its writer made it.
    pub fn owner(mut self, owner: OwnerReference) -> Self {
        let current = self.object.owner_references();
        let planned = self.owners.as_deref().unwrap_or(current);
        if planned.iter().all(|other| other.uid != owner.uid) {
            self.owners.get_or_insert_with(|| current.to_vec()).push(owner);
        }
        self
    }

    /// Removes the owners that `is_ours_and_stale` picks.
    pub fn without_owners(mut self, is_ours_and_stale: impl Fn(&OwnerReference) -> bool) -> Self {
        let current = self.object.owner_references();
        if self.owners.as_deref().unwrap_or(current).iter().any(&is_ours_and_stale) {
            self.owners.get_or_insert_with(|| current.to_vec()).retain(|owner| !is_ours_and_stale(owner));
        }
        self
    }

    /// Sets a label, or removes it (`None`).
    pub fn label(mut self, key: LabelKey, value: Option<&str>) -> Self {
        if key.of(&self.object.meta().labels) != value {
            self.labels.insert(key.into(), json!(value));
        }
        self
    }

    /// Sets an annotation, or removes it (`None`).
    pub fn annotation(mut self, key: AnnotationKey, value: Option<&str>) -> Self {
        if key.of(&self.object.meta().annotations) != value {
            self.annotations.insert(key.into(), json!(value));
        }
        self
    }

    /// The patch, or `None` when the object is as it should be.
    pub fn into_write(self) -> Option<Write> {
        let mut metadata = Map::new();
        let replaces_a_list = self.finalizers.is_some() || self.owners.is_some();
        if let Some(finalizers) = self.finalizers {
            metadata.insert("finalizers".into(), json!(finalizers));
        }
        if let Some(owners) = self.owners {
            metadata.insert("ownerReferences".into(), json!(owners));
        }
        if !self.labels.is_empty() {
            metadata.insert("labels".into(), self.labels.into());
        }
        if !self.annotations.is_empty() {
            metadata.insert("annotations".into(), self.annotations.into());
        }
        if metadata.is_empty() {
            return None;
        }
        metadata.insert("uid".into(), json!(self.object.uid()));
        if replaces_a_list {
            metadata.insert("resourceVersion".into(), json!(self.object.resource_version()));
        }
        Some(Write::Patch(Patch {
            target: Target::of(self.object),
            kind: PatchKind::Merge,
            body: json!({ "metadata": metadata }),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    const OURS: Finalizer = Finalizer::new("example.com/ours");
    const KEY: LabelKey = LabelKey::new("example.com/key");

    fn config_map(metadata: &Value) -> ConfigMap {
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    fn body(write: Option<Write>) -> Value {
        match write.unwrap() {
            Write::Patch(patch) => patch.body,
            other => panic!("{other:?}"),
        }
    }

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            name: "o".into(),
            uid: uid.into(),
            ..Default::default()
        }
    }

    #[test]
    fn keeps_foreign_finalizers_and_names_the_version_read() {
        let object = config_map(
            &json!({"name": "a", "uid": "u", "resourceVersion": "7", "finalizers": ["example.com/theirs"]}),
        );
        let write = MetadataPatch::of(&object).finalizer(OURS).into_write();
        assert_eq!(
            body(write),
            json!({"metadata": {
                "uid": "u", "resourceVersion": "7", "finalizers": ["example.com/theirs", "example.com/ours"],
            }})
        );
    }

    #[test]
    fn adds_no_finalizer_to_what_is_being_deleted() {
        let object = config_map(&json!({"name": "a", "deletionTimestamp": "2024-01-01T00:00:00Z"}));
        assert_eq!(MetadataPatch::of(&object).finalizer(OURS).into_write(), None);
    }

    #[test]
    fn removes_only_its_own_finalizer() {
        let object =
            config_map(&json!({"name": "a", "finalizers": ["example.com/ours", "example.com/theirs"]}));
        let write = MetadataPatch::of(&object).without_finalizer(OURS).into_write();
        assert_eq!(body(write)["metadata"]["finalizers"], json!(["example.com/theirs"]));
    }

    #[test]
    fn an_owner_with_a_known_uid_is_not_rewritten() {
        let object = config_map(&json!({"name": "a", "ownerReferences": [owner("1")]}));
        let mut other = owner("1");
        other.controller = Some(true);
        assert_eq!(MetadataPatch::of(&object).owner(other).into_write(), None);
    }

    #[test]
    fn replaces_a_stale_owner() {
        let object = config_map(&json!({"name": "a", "ownerReferences": [owner("old"), owner("foreign")]}));
        let write =
            MetadataPatch::of(&object).without_owners(|o| o.uid == "old").owner(owner("new")).into_write();
        let owners = body(write)["metadata"]["ownerReferences"].clone();
        let uids: Vec<_> = owners.as_array().unwrap().iter().map(|o| o["uid"].as_str().unwrap()).collect();
        assert_eq!(uids, ["foreign", "new"]);
    }

    #[test]
    fn a_label_needs_no_version_and_null_removes_it() {
        let object = config_map(
            &json!({"name": "a", "uid": "u", "resourceVersion": "7", "labels": {"example.com/key": "1"}}),
        );
        assert_eq!(MetadataPatch::of(&object).label(KEY, Some("1")).into_write(), None);
        let write = MetadataPatch::of(&object).label(KEY, None).into_write();
        assert_eq!(body(write), json!({"metadata": {"uid": "u", "labels": {"example.com/key": null}}}));
    }
}
