//! Small objects that tests of every service need, and a way to give objects what the API server would.
//!
//! ```text
//! let owner = stored(builders::config_map("team-a", "owner", [("key", "value")]));
//! let child = stored(builders::secret("team-a", "child", [])).owned_by(&owner).label(COMPONENT, "backend");
//! ```

use std::collections::BTreeMap;

use fleet_api::Finalizer;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::Resource;
use kube::api::ResourceExt as _;
use sha2::{Digest as _, Sha256};

/// When every [`stored`] object was created: 2024-01-01T00:00:00Z.
pub const CREATED: Timestamp = Timestamp::constant(1_704_067_200, 0);

/// The metadata of an object that is about to be created.
pub fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.to_owned()), name: Some(name.to_owned()), ..ObjectMeta::default() }
}

pub fn namespace(name: &str) -> Namespace {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    Namespace { metadata, ..Namespace::default() }
}

pub fn service_account(namespace: &str, name: &str) -> ServiceAccount {
    ServiceAccount { metadata: metadata(namespace, name), ..ServiceAccount::default() }
}

/// An opaque Secret.
pub fn secret<'a>(namespace: &str, name: &str, data: impl IntoIterator<Item = (&'a str, &'a str)>) -> Secret {
    let data: BTreeMap<_, _> =
        data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into()))).collect();
    Secret {
        metadata: metadata(namespace, name),
        type_: Some("Opaque".to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

pub fn config_map<'a>(
    namespace: &str,
    name: &str,
    data: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> ConfigMap {
    let data: BTreeMap<_, _> =
        data.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    ConfigMap { metadata: metadata(namespace, name), data: Some(data), ..ConfigMap::default() }
}

/// The object as the API server would hand it out once stored: with a uid (the same for the same kind, namespace
/// and name), generation 1, a resource version, and created at [`CREATED`]. What is set already stays.
#[must_use]
pub fn stored<K: Resource<DynamicType = ()>>(mut object: K) -> K {
    let uid = uid(&K::kind(&()), object.meta().namespace.as_deref(), &object.name_any());
    let metadata = object.meta_mut();
    metadata.uid.get_or_insert(uid);
    metadata.generation.get_or_insert(1);
    metadata.resource_version.get_or_insert_with(|| "1".to_owned());
    metadata.creation_timestamp.get_or_insert(Time(CREATED));
    object
}

fn uid(kind: &str, namespace: Option<&str>, name: &str) -> String {
    let hash = Sha256::digest(format!("{kind}/{}/{name}", namespace.unwrap_or_default()));
    let hex = data_encoding::HEXLOWER.encode(&hash[..16]);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A reference to an owner that is no controller.
///
/// # Panics
/// When the owner has no uid, see [`stored`].
pub fn owner_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    owner.owner_ref(&()).expect("an owner needs a name and a uid: pass it through stored() first")
}

/// A reference to the owner that controls the object.
///
/// # Panics
/// When the owner has no uid, see [`stored`].
pub fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    owner.controller_owner_ref(&()).expect("an owner needs a name and a uid: pass it through stored() first")
}

/// Changes to an object's metadata, in a chain.
pub trait Build: Resource + Sized {
    #[must_use]
    fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels_mut().insert(key.into(), value.into());
        self
    }

    #[must_use]
    fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations_mut().insert(key.into(), value.into());
        self
    }

    #[must_use]
    fn finalizer(mut self, finalizer: Finalizer) -> Self {
        self.finalizers_mut().push(finalizer.into());
        self
    }

    /// Owned, not controlled, by `owner`.
    #[must_use]
    fn owned_by<K: Resource<DynamicType = ()>>(mut self, owner: &K) -> Self {
        self.owner_references_mut().push(owner_reference(owner));
        self
    }

    /// Owned and controlled by `owner`.
    #[must_use]
    fn controlled_by<K: Resource<DynamicType = ()>>(mut self, owner: &K) -> Self {
        self.owner_references_mut().push(controller_reference(owner));
        self
    }

    #[must_use]
    fn generation(mut self, generation: i64) -> Self {
        self.meta_mut().generation = Some(generation);
        self
    }

    #[must_use]
    fn created_at(mut self, time: Timestamp) -> Self {
        self.meta_mut().creation_timestamp = Some(Time(time));
        self
    }

    /// Deletion was asked for at `time`; the object still exists because of its finalizers.
    #[must_use]
    fn deleted_at(mut self, time: Timestamp) -> Self {
        self.meta_mut().deletion_timestamp = Some(Time(time));
        self
    }
}

impl<K: Resource> Build for K {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_object_has_the_same_uid() {
        let uid_of = |namespace, name| stored(config_map(namespace, name, [])).metadata.uid;
        assert_eq!(uid_of("a", "x"), uid_of("a", "x"));
        assert_ne!(uid_of("a", "x"), uid_of("b", "x"));
        assert_ne!(uid_of("a", "x"), uid_of("a", "y"));
        assert_ne!(uid_of("a", "x"), stored(secret("a", "x", [])).metadata.uid);
        assert_eq!(uid_of("a", "x").unwrap().len(), 36);
    }

    #[test]
    fn stored_keeps_what_is_set() {
        let object = stored(config_map("a", "x", []).generation(7));
        assert_eq!(object.metadata.generation, Some(7));
        assert_eq!(object.metadata.creation_timestamp, Some(Time(CREATED)));
        assert_eq!(CREATED.to_string(), "2024-01-01T00:00:00Z");
    }

    #[test]
    fn refers_to_the_owner() {
        let owner = stored(config_map("a", "owner", []));
        let child = secret("a", "child", []).controlled_by(&owner).owned_by(&owner);
        let [controller, plain] = child.owner_references() else { panic!("two owners") };
        assert_eq!((controller.kind.as_str(), controller.name.as_str()), ("ConfigMap", "owner"));
        assert_eq!(Some(&controller.uid), owner.metadata.uid.as_ref());
        assert_eq!(controller.controller, Some(true));
        assert_ne!(plain.controller, Some(true));
    }
}
