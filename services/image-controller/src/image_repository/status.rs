//! Writes of an `ImageRepository`'s status, which this service alone writes, and of what is done once.
//!
//! Merge patches of what differs, for the object with this uid: a user who edits the spec meanwhile does not undo what is
//! known of the registry.

use fleet::Write;
use fleet::write::PatchKind;
use fleet_api::AnnotationKey;
use image_controller_api::{ImageRepository, ImageRepositoryStatus};
use serde_json::{Map, Value, json};

/// Has the status be `wanted`; `None` if it is.
pub(crate) fn write(object: &ImageRepository, wanted: &ImageRepositoryStatus) -> Option<Write> {
    let current = object.status.clone().unwrap_or_default();
    let patch = difference(&json!(current), &json!(wanted))?;
    Some(Write::patch(object, PatchKind::MergeStatus, json!({ "status": patch })))
}

/// Changes state and message, and nothing else. An empty message is none.
pub(crate) fn set(object: &ImageRepository, state: Option<&str>, message: &str) -> Option<Write> {
    let mut wanted = object.status.clone().unwrap_or_default();
    wanted.state = state.map(str::to_owned);
    wanted.message = Some(message.to_owned()).filter(|message| !message.is_empty());
    // The original writes an empty one.
    if wanted.message.is_none() && object.status.as_ref().and_then(|old| old.message.as_deref()) == Some("") {
        wanted.message = Some(String::new());
    }
    write(object, &wanted)
}

/// Changes the message only.
pub(crate) fn say(object: &ImageRepository, message: &str) -> Option<Write> {
    set(object, super::shape::state(object), message)
}

/// Takes away what has been done once, and `spec.credentials` with the last of it; and annotations that were about it.
pub(crate) fn without_action(object: &ImageRepository, done: &[&str], notes: &[AnnotationKey]) -> Write {
    let mut left = match json!(super::shape::actions(object)) {
        Value::Object(actions) => actions,
        _ => Map::new(),
    };
    left.retain(|name, _| !done.contains(&name.as_str()));
    let none = |names: &[&str]| -> Value {
        names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<Map<_, _>>().into()
    };
    let credentials = if left.is_empty() { Value::Null } else { none(done) };
    let mut body = json!({"spec": {"credentials": credentials}});
    if !notes.is_empty() {
        let notes: Vec<&str> = notes.iter().map(|key| key.as_str()).collect();
        body["metadata"] = json!({"annotations": none(&notes)});
    }
    Write::patch(object, PatchKind::Merge, body)
}

/// The merge patch (RFC 7386) from one object to another; `None` if they are the same.
fn difference(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        let before = from.get(key).unwrap_or(&Value::Null);
        patch.extend(difference(before, value).map(|changed| (key.clone(), changed)));
    }
    (!patch.is_empty()).then(|| patch.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same(json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), None)]
    #[case::changed(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 3, "c": 2}}), Some(json!({"a": {"b": 3}})))]
    #[case::gone(json!({"a": 1, "b": 2}), json!({"b": 2}), Some(json!({"a": null})))]
    #[case::new(json!({}), json!({"a": {"b": [1]}}), Some(json!({"a": {"b": [1]}})))]
    fn tells_the_difference(#[case] from: Value, #[case] to: Value, #[case] expected: Option<Value>) {
        assert_eq!(difference(&from, &to), expected);
    }
}
