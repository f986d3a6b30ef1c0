//! PipelineRuns and TaskRuns as they are archived: with all their fields, known here or not.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use fleet::ObjectKey;
use fleet_api::Finalizer;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;

use crate::document::{self, Digest};
use crate::facts::{Facts, Outcome};
use crate::keys;

/// A kind that is archived.
pub(crate) trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + fmt::Debug
    + PartialEq
    + Send
    + Sync
    + 'static
{
    /// As metrics and controllers name it: `taskrun`.
    const METRIC: &'static str;
    const FINALIZER: Finalizer;
    /// Whether its TaskRuns come before it.
    const HAS_CHILDREN: bool;
}

impl Kind for PipelineRun {
    const METRIC: &'static str = "pipelinerun";
    const FINALIZER: Finalizer = keys::PIPELINE_RUN_FINALIZER;
    const HAS_CHILDREN: bool = true;
}

impl Kind for TaskRun {
    const METRIC: &'static str = "taskrun";
    const FINALIZER: Finalizer = keys::TASK_RUN_FINALIZER;
    const HAS_CHILDREN: bool = false;
}

/// A run: its metadata, what is read of the rest, and the rest as text, unless that is archived already.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run<K> {
    pub(crate) metadata: ObjectMeta,
    pub(crate) facts: Facts,
    /// Of `rest`, also when that is not kept.
    pub(crate) rest_digest: Digest,
    /// A JSON object: all but apiVersion, kind and metadata.
    pub(crate) rest: Option<Arc<str>>,
    kind: PhantomData<fn() -> K>,
}

impl<'de, K: Kind> Deserialize<'de> for Run<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Map::<String, Value>::deserialize(deserializer)?;
        let mut metadata = object.remove("metadata").unwrap_or_default();
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("managedFields");
        }
        object.remove("apiVersion");
        object.remove("kind");
        let facts = Facts::of(&object);
        let rest = Value::Object(object).to_string();
        Ok(Self {
            metadata: serde_json::from_value(metadata).map_err(D::Error::custom)?,
            facts,
            rest_digest: Digest::of(&[rest.as_bytes()]),
            rest: Some(rest.into()),
            kind: PhantomData,
        })
    }
}

impl<K: Kind> Resource for Run<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<K: Kind> Run<K> {
    /// `tekton.dev/v1.TaskRun`.
    pub(crate) fn record_type() -> String {
        results_api::types::of(&K::api_version(&()), &K::kind(&()))
    }

    pub(crate) fn uid_text(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.facts.outcome != Outcome::Running
    }

    pub(crate) fn deleted_at(&self) -> Option<Timestamp> {
        self.metadata.deletion_timestamp.as_ref().map(|time| time.0)
    }

    pub(crate) fn version(&self) -> u64 {
        self.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn annotation(&self, key: fleet_api::AnnotationKey) -> Option<&str> {
        key.of(&self.metadata.annotations).filter(|value| !value.is_empty())
    }

    /// Whether it says of itself that it is archived.
    pub(crate) fn says_stored(&self) -> bool {
        self.annotation(keys::STORED) == Some(keys::TRUE)
    }

    /// The PipelineRun that it belongs to.
    pub(crate) fn owning_run(&self) -> Option<&OwnerReference> {
        self.metadata.owner_references.iter().flatten().find(|owner| {
            owner.kind == PipelineRun::kind(&()) && owner.api_version.starts_with("tekton.dev/")
        })
    }

    pub(crate) fn owning_key(&self) -> Option<ObjectKey> {
        self.owning_run().map(|owner| ObjectKey::of(self).sibling(&owner.name))
    }

    pub(crate) fn is_held(&self) -> bool {
        K::FINALIZER.is_in(self.metadata.finalizers.as_ref())
    }

    /// Whether it waits for somebody else before it goes.
    pub(crate) fn is_held_by_others(&self) -> bool {
        self.finalizers().iter().any(|name| name != K::FINALIZER.as_str())
    }

    pub(crate) fn digest(&self) -> Digest {
        document::digest(self)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn task_run(object: Value) -> Run<TaskRun> {
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn unknown_fields_are_kept_and_managed_fields_are_not() {
        let run = task_run(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {"name": "r", "namespace": "n", "managedFields": [{"manager": "x"}]},
            "spec": {"ofTheFuture": [1, 2.5]}, "status": {"odd": null},
        }));
        assert_eq!(run.metadata.managed_fields, None);
        assert_eq!(run.rest.as_deref(), Some(r#"{"spec":{"ofTheFuture":[1,2.5]},"status":{"odd":null}}"#));
        assert_eq!(Run::<TaskRun>::record_type(), "tekton.dev/v1.TaskRun");
    }

    #[test]
    fn a_component_is_no_owning_run() {
        let owner = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "name": "o", "uid": "u"});
        let of = |owner: Value| task_run(json!({"metadata": {"name": "r", "ownerReferences": [owner]}}));
        assert!(of(owner("appstudio.redhat.com/v1alpha1", "Component")).owning_run().is_none());
        assert!(of(owner("other.example/v1", "PipelineRun")).owning_run().is_none());
        assert!(of(owner("tekton.dev/v1beta1", "PipelineRun")).owning_run().is_some());
    }
}
