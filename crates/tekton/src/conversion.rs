//! Conversion between versions: `v1beta1` and `v1` of Tasks, Pipelines and their runs, `v1alpha1` and `v1beta1` of
//! StepActions and ResolutionRequests (specification of the API, section 5.3).
//!
//! Objects are JSON values, so that what nobody knows is carried along. What the other version says in another way is
//! moved; what upstream keeps in annotations is kept in the same ones. That alone is not lossless: `timeout: 1h` of a
//! `v1beta1` PipelineRun is `timeouts: {pipeline: 1h}` in `v1`, which is valid in `v1beta1` as well. So each conversion
//! looks whether it could be undone, and if not writes the difference into the annotation
//! [`annotations::KEPT`](pipelines_engine_api::annotations::KEPT):
//!
//! ```text
//! object ─▶ shapes ─▶ converted ─▶ shapes, back ─▶ object'     object' ≠ object: annotation = patch object' ─▶ object
//! converted ─▶ shapes, back ─▶ object' ─▶ patch ─▶ object      unless somebody edited what the patch is about
//! ```
//! All annotations of an object together may have 256 KiB: an object whose deprecated fields are larger cannot be
//! written in `v1beta1`.

mod shapes;

use json_patch::Patch;
use pipelines_engine_api::{GROUP, RESOLUTION_GROUP, annotations};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::shapes::Direction;

/// An object that none of the kinds with several versions describes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConvertible {
    #[error("apiVersion is {api_version:?}, and {kind} has no conversion from there to {to:?}")]
    Version { kind: String, api_version: String, to: String },
    #[error("it is no JSON object")]
    Shape,
}

/// What [`annotations::KEPT`] holds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    /// The version that the patch leads to.
    api_version: String,
    patch: Patch,
}

/// `object` with `apiVersion` `to`. Changes nothing of the metadata but annotations.
pub fn convert(mut object: Value, to: &str) -> Result<Value, NotConvertible> {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let (from, kind) = (text("apiVersion"), text("kind"));
    if !object.is_object() {
        return Err(NotConvertible::Shape);
    }
    if from == to {
        return Ok(object);
    }
    let direction = direction(&kind, &from, to).ok_or(NotConvertible::Version {
        kind,
        api_version: from.clone(),
        to: to.to_owned(),
    })?;
    let kept = take_kept(&mut object, to);
    let mut converted = shaped(&object, to, direction);
    if let Some(kept) = kept {
        let mut restored = converted.clone();
        let fits = json_patch::patch(&mut restored, &kept.patch).is_ok();
        // Else what the patch is about was edited since, and the object says what is wanted now.
        if fits && shaped(&restored, &from, direction.reversed()) == object {
            return Ok(restored);
        }
    }
    let back = shaped(&converted, &from, direction.reversed());
    if back != object {
        let kept = Kept { api_version: from, patch: json_patch::diff(&back, &object) };
        annotate(&mut converted, annotations::KEPT.as_str(), &json!(kept));
    }
    Ok(converted)
}

/// The way between two versions of a kind, if there is one.
fn direction(kind: &str, from: &str, to: &str) -> Option<Direction> {
    let (group, older, newer) = match kind {
        "Task" | "Pipeline" | "TaskRun" | "PipelineRun" => (GROUP, "v1beta1", "v1"),
        "StepAction" => (GROUP, "v1alpha1", "v1beta1"),
        "ResolutionRequest" => (RESOLUTION_GROUP, "v1alpha1", "v1beta1"),
        _ => return None,
    };
    let version =
        |api_version: &'_ str| api_version.strip_prefix(group)?.strip_prefix('/').map(str::to_owned);
    let (from, to) = (version(from)?, version(to)?);
    if from == older && to == newer {
        Some(Direction::Newer)
    } else if from == newer && to == older {
        Some(Direction::Older)
    } else {
        None
    }
}

fn shaped(object: &Value, to: &str, direction: Direction) -> Value {
    let mut object = object.clone();
    object["apiVersion"] = to.into();
    shapes::object(&mut object, direction);
    object
}

/// Takes the annotation away if it is about the way to `to`.
fn take_kept(object: &mut Value, to: &str) -> Option<Kept> {
    let key = annotations::KEPT.as_str();
    let text = object.get("metadata")?.get("annotations")?.get(key)?.as_str()?;
    let kept: Kept = serde_json::from_str(text).ok()?;
    if kept.api_version != to {
        return None;
    }
    remove_annotation(object, key);
    Some(kept)
}

/// Writes `value` as JSON into an annotation.
fn annotate(object: &mut Value, key: &str, value: &Value) {
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = json!({});
    }
    let all = &mut metadata["annotations"];
    if !all.is_object() {
        *all = json!({});
    }
    all[key] = value.to_string().into();
}

/// Takes an annotation away, with all annotations if it was the last.
fn remove_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let all = metadata.get_mut("annotations")?.as_object_mut()?;
    let value = all.remove(key);
    if all.is_empty() {
        metadata.remove("annotations");
    }
    value
}

#[cfg(test)]
mod tests;
