//! Writes that both kinds of runs need.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::controller::chain;
use fleet::write::PatchKind;
use fleet::{ObjectKey, Store, Stored, Write, WriteError, Writer};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::merge;

/// What this engine is called in `spec.managedBy`.
const MANAGER: &str = "tekton.dev/pipeline";

/// Whether the engine runs a run whose `spec.managedBy` is this.
pub fn is_ours(managed_by: Option<&str>) -> bool {
    managed_by.is_none_or(|manager| manager.is_empty() || manager == MANAGER)
}

/// The run of this kind that controls an object.
pub fn controlled_by<K: Resource>(object: &K, kind: &str) -> Vec<ObjectKey> {
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let owners = object.owner_references().iter();
    owners
        .filter(|owner| owner.kind == kind && owner.controller == Some(true))
        .map(|owner| ObjectKey::new(namespace, &owner.name))
        .collect()
}

/// Adds labels and annotations that are not there yet, if nobody has written in between. Returns the object as it then is:
/// what is written next has to name its version.
pub async fn add_metadata<K>(
    writer: &Writer,
    store: &Store<K>,
    object: &K,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Result<Option<Arc<K>>, WriteError>
where
    K: Stored + Resource<DynamicType = ()>,
{
    let missing = |wanted: &BTreeMap<String, String>, there: &BTreeMap<String, String>| {
        let new = wanted.iter().filter(|(key, value)| there.get(*key) != Some(*value));
        new.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
    };
    let labels = missing(labels, object.labels());
    let annotations = missing(annotations, object.annotations());
    if labels.is_empty() && annotations.is_empty() {
        return Ok(None);
    }
    let metadata = json!({"metadata": {"labels": labels, "annotations": annotations}});
    writer.apply(&[Write::merge(object, metadata)]).await?;
    Ok(store.get(&ObjectKey::of(object)))
}

/// Makes the status what it should be, if it is not and if nobody has written in between.
pub fn status<K, S>(object: &K, old: &S, new: &S) -> Option<Write>
where
    K: Resource<DynamicType = ()>,
    S: Serialize,
{
    let (old, new) = (serde_json::to_value(old).ok()?, serde_json::to_value(new).ok()?);
    let difference = merge::difference(&old, &new)?;
    Some(Write::merge_status(object, json!({"status": difference})))
}

/// Why a run ends that the API server would not store, for [`size::message`](crate::size::message).
pub fn refused_to_store(error: &WriteError) -> String {
    format!("it was not stored ({})", chain(error))
}

/// Changes fields of the spec, whatever else has changed.
pub fn spec<K: Resource<DynamicType = ()>>(object: &K, fields: &Value) -> Write {
    unversioned(object, json!({"spec": fields}))
}

/// Merges `body` into this very object, whatever else has changed.
pub fn unversioned<K: Resource<DynamicType = ()>>(object: &K, body: Value) -> Write {
    Write::patch(object, PatchKind::Merge, body)
}

/// As [`unversioned`], with lists merged by the names of their elements.
pub fn strategic<K: Resource<DynamicType = ()>>(object: &K, body: Value) -> Write {
    Write::patch(object, PatchKind::Strategic, body)
}
