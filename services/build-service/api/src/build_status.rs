//! What has become of a Component's builds: the JSON in the annotation `build.appstudio.openshift.io/status`.
//!
//! ```json
//! {"simple":{"build-start-time":"Mon, 29 Apr 2024 10:00:00 UTC"},
//!  "pac":{"state":"error","error-id":70,"error-message":"70: …"},"message":"done"}
//! ```
//! Fields that are empty or zero are left out.

use serde::{Deserialize, Serialize};

use crate::errors::ErrorId;

/// What has become of a Component's builds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildStatus {
    /// The latest build without Pipelines-as-Code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simple: Option<SimpleBuildStatus>,
    /// Whether Pipelines-as-Code builds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pac: Option<PacStatus>,
    /// How the latest request ended, or what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Without detail.
impl From<ErrorId> for BuildError {
    fn from(error: ErrorId) -> Self {
        let (id, message) = (error.number(), error.message());
        Self { id: Some(id), message: Some(format!("{id}: {message}")), detail: None }
    }
}

impl BuildStatus {
    /// `message` after a request that succeeded.
    pub const DONE: &'static str = "done";

    /// `message` while image-controller has not given the Component its repository.
    pub const WAITS_FOR_IMAGE: &'static str = "waiting for spec.containerImage to be set by ImageRepository with \
         annotation image-controller.appstudio.redhat.com/update-component-image";
}

/// The latest build without Pipelines-as-Code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SimpleBuildStatus {
    /// When it began (RFC 1123).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_start_time: Option<String>,
    #[serde(flatten)]
    pub error: BuildError,
}

/// Whether Pipelines-as-Code builds a Component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PacStatus {
    /// Whether it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PacState>,
    /// URL of the pull request that proposes the pipelines, or their removal. Absent if none was needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_url: Option<String>,
    /// When it was set up (RFC 1123).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_time: Option<String>,
    #[serde(flatten)]
    pub error: BuildError,
}

/// Whether Pipelines-as-Code builds a Component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacState {
    Enabled,
    Disabled,
    Error,
}

/// Why a request failed for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildError {
    /// Number of the error. Absent if there was none.
    #[serde(default, rename = "error-id", skip_serializing_if = "Option::is_none")]
    pub id: Option<i32>,
    /// `<id>: <what went wrong>`, in the words that belong to the number.
    #[serde(default, rename = "error-message", skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Host, repository, branch and answer that it is about. Ours.
    #[serde(default, rename = "error-detail", skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::empty(json!({}))]
    #[case::built(json!({"simple": {"build-start-time": "Mon, 29 Apr 2024 10:00:00 UTC"}, "message": "done"}))]
    #[case::enabled(json!({"pac": {
        "state": "enabled", "merge-url": "https://git.example.com/1", "configuration-time": "Mon, 29 Apr 2024 10:00:00 UTC"
    }}))]
    // The example of the specification (section 4.3), but for a zero and an empty text, which are left out.
    #[case::example(json!({
        "simple": {"build-start-time": "Mon, 29 Apr 2024 10:00:00 UTC"},
        "pac": {
            "state": "enabled", "merge-url": "https://git.example.com/1",
            "configuration-time": "Mon, 29 Apr 2024 10:00:00 UTC", "error-id": 70, "error-message": "70: x",
        },
        "message": "done",
    }))]
    #[case::failed(json!({
        "simple": {"error-id": 201, "error-message": "201: x"},
        "pac": {"state": "error", "error-id": 70, "error-message": "70: x", "error-detail": "git.example.com"},
    }))]
    fn keeps_its_json(#[case] value: Value) {
        let status: BuildStatus = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(status).unwrap(), value);
    }

    #[test]
    fn an_error_is_told_with_its_number() {
        let error = BuildError::from(ErrorId::GitHubAppNotInstalled);
        assert_eq!(
            serde_json::to_value(error).unwrap(),
            json!({"error-id": 70, "error-message": "70: GitHub Application is not installed in user repository"})
        );
    }
}
