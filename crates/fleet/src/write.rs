//! Intended writes as data: decided purely, compared in tests, carried out by the [`Writer`](crate::Writer).
//!
//! Each builder answers `None` when its write would change nothing: a controller whose objects are as they should
//! be makes no call.

mod metadata;
mod status;

pub use metadata::MetadataPatch;
pub use status::{StatusPatch, Transition};

use kube::api::ApiResource;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::events::Event;
use crate::key::ObjectKey;

/// Who owns the fields of a server-side apply: one per controller, as `<service>/<concern>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldManager(&'static str);

impl FieldManager {
    /// # Panics
    /// When `name` is empty or longer than 128, which the API server would refuse.
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= 128, "1 to 128 characters");
        Self(name)
    }

    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// The object that a write is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub resource: ApiResource,
    pub key: ObjectKey,
    /// Guards against an object of the same name that was made after the one that was decided about.
    pub uid: String,
}

impl Target {
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            resource: ApiResource::erase::<K>(&()),
            key: ObjectKey::of(object),
            uid: object.uid().unwrap_or_default(),
        }
    }
}

/// One intended write.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Create(Create),
    /// A merge patch.
    Patch(Patch),
    /// A server-side apply of the status fields that one controller owns.
    Status(StatusApply),
    Delete(Delete),
    /// Tells users something. Never fails.
    Event(Event),
}

/// Makes an object. One that exists already is adopted if its owners, labels and cause are what we would write.
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    pub resource: ApiResource,
    pub key: ObjectKey,
    pub object: Value,
    /// The name to take when `key` belongs to something else (contracts.md d: the same hash, five characters longer).
    pub alternative: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    pub target: Target,
    pub kind: PatchKind,
    /// Includes `metadata.uid`, and `metadata.resourceVersion` where a lost update would hurt.
    pub body: Value,
}

/// How a patch is read by the API server, and which part of the object it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatchKind {
    /// JSON merge patch (RFC 7386): lists are replaced whole.
    #[default]
    Merge,
    /// The same, of the status.
    MergeStatus,
    /// Lists are merged by the keys of their elements. Only for Kubernetes' own kinds.
    Strategic,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StatusApply {
    pub target: Target,
    pub manager: FieldManager,
    /// All fields of `status` that the manager owns: what it leaves out, the API server removes.
    pub fields: Map<String, Value>,
    /// Fields that have to be gone afterwards, whoever wrote them.
    pub cleared: Vec<&'static str>,
    /// Conditions whose status changes; each becomes an Event.
    pub transitions: Vec<Transition>,
    /// `metadata.resourceVersion` that the object must still have.
    pub version: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    pub target: Target,
}

impl Write {
    /// Creates `object`, whose name is derived from what caused it ([`names`](crate::names)).
    ///
    /// # Panics
    /// When `object` does not serialize to JSON, which no API type does.
    pub fn create<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Self {
        let resource = ApiResource::erase::<K>(&());
        let mut json = serde_json::to_value(object).expect("API types serialize to JSON");
        json["apiVersion"] = json!(resource.api_version);
        json["kind"] = json!(resource.kind);
        Self::Create(Create { resource, key: ObjectKey::of(object), object: json, alternative: None })
    }

    /// For a [`Write::create`]: the name to take when the first one belongs to something else.
    #[must_use]
    pub fn or_named(mut self, alternative: impl Into<String>) -> Self {
        if let Self::Create(create) = &mut self {
            create.alternative = Some(alternative.into());
        }
        self
    }

    /// Merges `body` (RFC 7386) into `object` if that is still the version that was read.
    pub fn merge<K: Resource<DynamicType = ()>>(object: &K, body: Value) -> Self {
        Self::versioned(object, PatchKind::Merge, body)
    }

    /// Merges `body`, which has nothing but a `status`, into the status of `object` if that is still the version that was
    /// read. For kinds whose whole status one controller writes; [`StatusPatch`] is for those that share it.
    pub fn merge_status<K: Resource<DynamicType = ()>>(object: &K, body: Value) -> Self {
        Self::versioned(object, PatchKind::MergeStatus, body)
    }

    fn versioned<K: Resource<DynamicType = ()>>(object: &K, kind: PatchKind, mut body: Value) -> Self {
        body["metadata"]["resourceVersion"] = json!(object.resource_version());
        Self::patch(object, kind, body)
    }

    /// Patches this very object, whatever else has changed about it since it was read.
    pub fn patch<K: Resource<DynamicType = ()>>(object: &K, kind: PatchKind, mut body: Value) -> Self {
        body["metadata"]["uid"] = json!(object.uid());
        Self::Patch(Patch { target: Target::of(object), kind, body })
    }

    /// Deletes this very object; dependents go in the background.
    pub fn delete<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self::Delete(Delete { target: Target::of(object) })
    }

    /// Namespace and name of the object that is written.
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Create(create) => &create.key,
            Self::Patch(Patch { target, .. })
            | Self::Status(StatusApply { target, .. })
            | Self::Delete(Delete { target })
            | Self::Event(Event { regarding: target, .. }) => &target.key,
        }
    }

    /// For logs and errors: `patch Component tenant/app`.
    pub fn describe(&self) -> String {
        let (verb, kind) = match self {
            Self::Create(create) => ("create", &create.resource.kind),
            Self::Patch(patch) => ("patch", &patch.target.resource.kind),
            Self::Status(apply) => ("apply the status of", &apply.target.resource.kind),
            Self::Delete(delete) => ("delete", &delete.target.resource.kind),
            Self::Event(event) => ("tell about", &event.regarding.resource.kind),
        };
        format!("{verb} {kind} {}", self.key())
    }
}
