//! The data of log records (specification, section 2.7): which run wrote the log, and where it is stored.
//!
//! Everything in it is said by whoever wrote the record. A server that finds stored bytes by `status.path` of a client
//! would hand out other tenants' logs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Version of the log records that we write; readers take `results.tekton.dev/v1alpha3` too.
pub const API_VERSION: &str = "results.tekton.dev/v1alpha2";

pub const KIND: &str = "Log";

/// Logs in files of a volume.
pub const FILE: &str = "File";
/// Logs as objects of an S3 store.
pub const S3: &str = "S3";
/// Logs as objects of Google Cloud Storage.
pub const GCS: &str = "GCS";

/// A log record's data. What newer writers add is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Log {
    pub api_version: String,
    pub kind: String,
    pub metadata: Metadata,
    pub spec: Spec,
    pub status: Status,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Namespace of the run.
    pub namespace: String,
    /// `<run>-log`.
    pub name: String,
    /// Name of the log record.
    pub uid: String,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// The run that wrote the log.
    pub resource: Resource,
    /// Kind of store: [`FILE`], [`S3`], [`GCS`], or one of somebody else's. Empty: not said, the server's own.
    #[serde(rename = "type")]
    pub storage: String,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// `PipelineRun` or `TaskRun`.
    pub kind: String,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// `<namespace>/<uid>/<name>`, below the store's root. For information.
    pub path: String,
    /// How many bytes are stored. 0: none.
    pub size: i64,
    /// Of v1alpha3: whether the log is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_stored: Option<bool>,
    /// Of v1alpha3: why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_on_store_msg: Option<String>,
    /// Of v1alpha3: whether another attempt follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_retryable_err: Option<bool>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Why data is none of a log record.
#[derive(Debug, thiserror::Error)]
#[error(
    "data.value must be a log record, {{metadata, spec: {{resource, type}}, status: {{path, size}}}}: {0}"
)]
pub struct Error(serde_json::Error);

impl Log {
    /// A log that is not stored yet, of a run, by the name of its record.
    pub fn new(record: &str, resource: Resource) -> Self {
        let metadata = Metadata {
            namespace: resource.namespace.clone(),
            name: format!("{}-log", resource.name),
            uid: record.to_owned(),
            other: Map::new(),
        };
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata,
            spec: Spec { resource, ..Spec::default() },
            ..Self::default()
        }
    }

    pub fn from_json(data: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(data).map_err(Error)
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts, numbers and maps with texts as keys always have a JSON")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_one_reads_as_the_specification_shows_it() {
        let resource = Resource {
            kind: "TaskRun".into(),
            namespace: "ns".into(),
            name: "build".into(),
            uid: "u".into(),
            ..Resource::default()
        };
        assert_eq!(
            serde_json::from_slice::<Value>(&Log::new("rec", resource).to_json()).unwrap(),
            json!({
                "apiVersion": "results.tekton.dev/v1alpha2",
                "kind": "Log",
                "metadata": {"namespace": "ns", "name": "build-log", "uid": "rec"},
                "spec": {
                    "resource": {"kind": "TaskRun", "namespace": "ns", "name": "build", "uid": "u"},
                    "type": "",
                },
                "status": {"path": "", "size": 0},
            })
        );
    }

    #[rstest]
    #[case::of_newer_writers(json!({
        "apiVersion": "results.tekton.dev/v1alpha3",
        "kind": "Log",
        "metadata": {"namespace": "ns", "name": "n", "uid": "u", "creationTimestamp": null},
        "spec": {"resource": {"kind": "TaskRun", "namespace": "ns", "name": "n", "uid": "u"}, "type": "Loki"},
        "status": {"path": "p", "size": 5, "isStored": false, "errorOnStoreMsg": "full", "isRetryableErr": true, "x": 1},
        "more": [1],
    }))]
    fn keeps_what_it_does_not_know(#[case] data: Value) {
        let log = Log::from_json(data.to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&log.to_json()).unwrap(), data);
    }

    #[rstest]
    #[case::text("\"log\"")]
    #[case::size_as_text(r#"{"status": {"size": "5"}}"#)]
    #[case::resource_as_list(r#"{"spec": {"resource": [1]}}"#)]
    #[case::cut(r#"{"spec": "#)]
    fn refuses_what_is_none(#[case] data: &str) {
        assert!(Log::from_json(data.as_bytes()).unwrap_err().to_string().starts_with("data.value must be"));
    }
}
