//! How another service asks for a run: annotations of the Repository, each a list in JSON.
//!
//! ```json
//! fleet.konflux-ci.dev/incoming:         [{"id":"…","branch":"main","pipelineRun":"app-on-push","params":{}}]
//! fleet.konflux-ci.dev/incoming-outcome: [{"id":"…","pipelineRun":"app-on-push-3f7kq"}]
//! ```
//! Who asks writes its own entries and no others, under the resourceVersion that it read. The entry goes when
//! the outcome is there; one id never starts two runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Asks for a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncomingRequest {
    /// Tells a repeated request from a new one.
    pub id: String,
    /// Branch whose head is built.
    pub branch: String,
    /// Name of the run in `.tekton/`.
    pub pipeline_run: String,
    /// Variables for its template.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncomingOutcome {
    /// Of the request.
    pub id: String,
    /// Name of the run that was started. Absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline_run: Option<String>,
    /// Why there is no run, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
