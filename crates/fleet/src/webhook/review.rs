//! What a webhook is asked and answers, and how that becomes an `AdmissionReview`. No I/O.

use k8s_openapi::api::authentication::v1::UserInfo;
pub use kube::core::admission::Operation;
use kube::core::admission::{AdmissionRequest, AdmissionResponse};
use kube::core::{DynamicObject, GroupVersionKind, GroupVersionResource, Status};
use serde::de::DeserializeOwned;

/// Longer reasons are cut: they are shown in one line, and quote what somebody else wrote.
const LONGEST_REASON: usize = 1024;

/// Further lines of a refusal are left out: whoever mends the first hundred asks again.
const MOST_LINES: usize = 100;

/// One request to the API server that is being asked about.
#[derive(Clone, Debug)]
pub struct Review<K> {
    pub operation: Operation,
    pub kind: GroupVersionKind,
    pub resource: GroupVersionResource,
    /// `status`, `scale`, `exec`, …
    pub sub_resource: Option<String>,
    /// Absent for what has none.
    pub namespace: Option<String>,
    /// Empty where the API server makes up the name.
    pub name: String,
    /// The object as it would be stored; for `Connect` the options of the call.
    pub object: Option<K>,
    /// The object as it is stored. Absent on `Create` and `Connect`.
    pub old_object: Option<K>,
    /// Who asks, as the API server has found out. Nothing else tells who somebody is.
    pub user: UserInfo,
    /// Nothing will be stored: nothing may be remembered or changed elsewhere.
    pub dry_run: bool,
}

/// The answer to a [`Review`].
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Allow,
    /// Each warning is shown to whoever asks.
    AllowWithWarnings(Vec<String>),
    /// `message` names the field, its value and a valid one. HTTP 403 for whoever asks.
    Deny {
        message: String,
    },
    /// As `Deny`, for kinds whose clients expect HTTP 400 and one line for each fault, as Knative's webhooks answer.
    Refuse {
        message: String,
    },
    /// Allowed with these changes. Only from a webhook that mutates.
    Patch(json_patch::Patch),
}

impl Verdict {
    pub fn deny(message: impl Into<String>) -> Self {
        Self::Deny { message: message.into() }
    }

    pub fn refuse(message: impl Into<String>) -> Self {
        Self::Refuse { message: message.into() }
    }
}

/// An object that does not fit its type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{which} does not fit its type: {reason}")]
pub(super) struct Misfit {
    which: String,
    reason: String,
}

impl<K: DeserializeOwned> Review<K> {
    pub(super) fn from_request(request: AdmissionRequest<DynamicObject>) -> Result<Self, Misfit> {
        let kind = &request.kind.kind;
        let place = match &request.namespace {
            Some(namespace) => format!("{namespace}/{}", request.name),
            None => request.name.clone(),
        };
        let object = fit(request.object, || format!("{kind} {place}"))?;
        let old_object = fit(request.old_object, || format!("the stored {kind} {place}"))?;
        Ok(Self {
            operation: request.operation,
            kind: request.kind,
            resource: request.resource,
            sub_resource: request.sub_resource.filter(|name| !name.is_empty()),
            namespace: request.namespace.filter(|name| !name.is_empty()),
            name: request.name,
            object,
            old_object,
            user: request.user_info,
            dry_run: request.dry_run,
        })
    }
}

fn fit<K: DeserializeOwned>(
    object: Option<DynamicObject>,
    which: impl Fn() -> String,
) -> Result<Option<K>, Misfit> {
    let Some(object) = object else { return Ok(None) };
    let misfit = |reason: String| Misfit { which: which(), reason };
    let value = serde_json::to_value(object).map_err(|error| misfit(error.to_string()))?;
    serde_path_to_error::deserialize(value).map(Some).map_err(|error| misfit(error.to_string()))
}

/// Whether the request only helps an object to go: a delete, or an update of a dying object that changes nothing but
/// its finalizers. Other changes of a dying object are checked as ever: what a finalizer cleans up is read from it.
pub(super) fn lets_go(request: &AdmissionRequest<DynamicObject>) -> bool {
    match (&request.operation, &request.object, &request.old_object) {
        (Operation::Delete, _, _) => true,
        (Operation::Update, Some(new), Some(old)) => {
            old.metadata.deletion_timestamp.is_some() && without_bookkeeping(new) == without_bookkeeping(old)
        }
        _ => false,
    }
}

fn without_bookkeeping(object: &DynamicObject) -> DynamicObject {
    let mut object = object.clone();
    object.metadata.finalizers = None;
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    object.metadata.generation = None;
    object
}

pub(super) fn denied(
    response: AdmissionResponse,
    code: u16,
    reason: &str,
    message: &str,
) -> AdmissionResponse {
    let mut response = response.deny("");
    response.result = Status::failure(&one_line(message), reason).with_code(code);
    response
}

pub(super) fn warned(mut response: AdmissionResponse, warnings: &[String]) -> AdmissionResponse {
    response.warnings = Some(warnings.iter().map(|warning| one_line(warning)).collect());
    response
}

/// Printable, in one line, and not endless.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = words.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_REASON) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// HTTP 400 with the lines of `message`, each as in [`denied`].
pub(super) fn refused(response: AdmissionResponse, message: &str) -> AdmissionResponse {
    let lines: Vec<_> = message.lines().take(MOST_LINES).map(one_line).collect();
    let mut response = response.deny("");
    response.result = Status::failure(&lines.join("\n"), "BadRequest").with_code(400);
    response
}

/// The `AdmissionReview` that answers, as JSON.
pub(super) fn to_json(response: AdmissionResponse) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&response.into_review())
}

/// Reads an `AdmissionReview` that asks.
pub(super) fn from_json(body: &[u8]) -> Result<AdmissionRequest<DynamicObject>, String> {
    let review: kube::core::admission::AdmissionReview<DynamicObject> =
        serde_json::from_slice(body).map_err(|error| format!("no AdmissionReview: {error}"))?;
    review.try_into().map_err(|_| "AdmissionReview without a request".to_owned())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn request(operation: &str, object: &Value, old_object: &Value) -> AdmissionRequest<DynamicObject> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "1", "operation": operation, "name": "x", "namespace": "ns", "dryRun": true,
                "kind": { "group": "", "version": "v1", "kind": "ConfigMap" },
                "resource": { "group": "", "version": "v1", "resource": "configmaps" },
                "userInfo": { "username": "alice" },
                "object": object, "oldObject": old_object,
            },
        });
        from_json(&serde_json::to_vec(&review).unwrap()).unwrap()
    }

    fn config_map(finalizers: &[&str], value: &str, deleted: bool) -> Value {
        let mut object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "x", "finalizers": finalizers, "resourceVersion": value.len().to_string() },
            "data": { "key": value },
        });
        if deleted {
            object["metadata"]["deletionTimestamp"] = json!("2024-03-01T12:00:00Z");
        }
        object
    }

    #[rstest]
    #[case::delete("DELETE", &Value::Null, &config_map(&[], "a", false), true)]
    #[case::finalizer_of_a_dying_object("UPDATE", &config_map(&[], "a", true), &config_map(&["f/g"], "a", true), true)]
    #[case::content_of_a_dying_object("UPDATE", &config_map(&[], "b", true), &config_map(&["f/g"], "a", true), false)]
    #[case::says_it_is_dying("UPDATE", &config_map(&[], "a", true), &config_map(&["f/g"], "a", false), false)]
    #[case::finalizer_of_a_living_object("UPDATE", &config_map(&[], "a", false), &config_map(&["f/g"], "a", false), false)]
    #[case::create("CREATE", &config_map(&[], "a", true), &Value::Null, false)]
    #[case::connect("CONNECT", &json!({ "kind": "PodExecOptions", "command": ["sh"] }), &Value::Null, false)]
    fn lets_objects_go(
        #[case] operation: &str,
        #[case] object: &Value,
        #[case] old: &Value,
        #[case] expected: bool,
    ) {
        assert_eq!(lets_go(&request(operation, object, old)), expected);
    }

    #[test]
    fn reads_all_that_a_check_may_need() {
        let request = request("UPDATE", &config_map(&[], "new", false), &config_map(&[], "old", false));
        let review: Review<ConfigMap> = Review::from_request(request).unwrap();
        assert_eq!(review.operation, Operation::Update);
        assert_eq!((review.namespace.as_deref(), review.name.as_str()), (Some("ns"), "x"));
        assert_eq!(review.user.username.as_deref(), Some("alice"));
        assert!(review.dry_run);
        let key = |object: Option<ConfigMap>| object.unwrap().data.unwrap()["key"].clone();
        assert_eq!((key(review.object), key(review.old_object)), ("new".to_owned(), "old".to_owned()));
    }

    #[rstest]
    #[case::new(&json!({ "data": { "key": 1 } }), &Value::Null, "ConfigMap ns/x does not fit its type: data.key: ")]
    #[case::stored(&json!({}), &json!({ "data": [] }), "the stored ConfigMap ns/x does not fit its type: data: ")]
    fn names_the_field_at_fault(#[case] object: &Value, #[case] old: &Value, #[case] expected: &str) {
        let review = Review::<Typed>::from_request(request("UPDATE", object, old));
        let error = review.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[derive(Debug, serde::Deserialize)]
    struct Typed {
        #[serde(default, rename = "data")]
        _data: std::collections::BTreeMap<String, String>,
    }

    #[rstest]
    #[case::empty("", "no AdmissionReview: EOF")]
    #[case::another_kind_of_json("[]", "no AdmissionReview: ")]
    #[case::no_request(
        r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#,
        "without a request"
    )]
    fn refuses_to_guess(#[case] body: &str, #[case] expected: &str) {
        let error = from_json(body.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[rstest]
    #[case::kept("spec.url is empty", "spec.url is empty")]
    #[case::joined("first\n  second\u{7}\tthird\r\n", "first second third")]
    fn writes_one_line(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(one_line(text), expected);
    }

    #[test]
    fn cuts_what_is_too_long() {
        let line = one_line(&"ä".repeat(5000));
        assert_eq!((line.chars().count(), line.chars().last()), (LONGEST_REASON + 1, Some('…')));
    }
}
