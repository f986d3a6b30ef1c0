//! What the tests of all webhooks ask with, and how they read the answer.

use fleet::webhook::{Operation, Review, Verdict};
use kube::core::{GroupVersionKind, GroupVersionResource};
use serde_json::Value;

use super::Object;

/// A request of `alice` about an object of this kind, as it was and as it is to be.
pub(super) fn review(kind: &str, old: Option<&Value>, object: &Value) -> Review<Object> {
    let read = |object: &Value| serde_json::from_value(object.clone()).unwrap();
    Review {
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        kind: GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", kind),
        resource: GroupVersionResource::gvr("appstudio.redhat.com", "v1alpha1", "any"),
        sub_resource: None,
        namespace: Some("dev".to_owned()),
        name: String::new(),
        object: Some(read(object)),
        old_object: old.map(read),
        user: serde_json::from_value(serde_json::json!({"username": "alice"})).unwrap(),
        dry_run: false,
    }
}

/// The object after the answer, which allows it. Panics if it changes nothing by a patch.
pub(super) fn allowed(verdict: Verdict, object: &Value) -> Value {
    let mut object = object.clone();
    match verdict {
        Verdict::Allow => {}
        Verdict::Patch(patch) => {
            let before = object.clone();
            json_patch::patch(&mut object, &patch).unwrap();
            assert_ne!(object, before, "a patch that changes nothing: {patch:?}");
        }
        other => panic!("{other:?}"),
    }
    object
}

/// What a refusal says.
pub(super) fn refusal(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny { message } | Verdict::Refuse { message } => message,
        other => panic!("{other:?}"),
    }
}
