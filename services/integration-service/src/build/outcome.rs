//! Whether a Snapshot could be made of a build: the annotation
//! [`CREATE_SNAPSHOT_STATUS`](integration_service_api::annotations::CREATE_SNAPSHOT_STATUS).

use fleet_api::Open;
use integration_service_api::annotations::CREATE_SNAPSHOT_STATUS;
use pipelines_engine_api::PipelineRun;
use serde::{Deserialize, Serialize};

/// What is annotated, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) status: Open<Status>,
    /// For people.
    #[serde(default)]
    pub(super) message: String,
    /// Why it failed. Ours: older programs write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Open<Reason>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Success,
    #[default]
    Failed,
}

/// Why no Snapshot could be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
pub(super) enum Reason {
    /// It was not signed in time. That may still come.
    Unsigned,
    /// There is no such Application. It may still come.
    NoApplication,
    /// The build lacks a result.
    MissingResult,
    /// What the build calls its image is none.
    InvalidImage,
    /// The quota of the namespace was used up for too long.
    QuotaExceeded,
    /// The API server does not take the Snapshot.
    #[default]
    Refused,
}

impl Outcome {
    pub(super) fn success(snapshot: &str) -> Self {
        let message = format!("Snapshot {snapshot} was created for this build");
        Self { status: Open::Known(Status::Success), message, reason: None }
    }

    pub(super) fn failure(reason: Reason, message: String) -> Self {
        Self { status: Open::Known(Status::Failed), message, reason: Some(Open::Known(reason)) }
    }

    /// What a run says. What cannot be read says nothing.
    pub(super) fn of(run: &PipelineRun) -> Option<Self> {
        serde_json::from_str(CREATE_SNAPSHOT_STATUS.of(&run.metadata.annotations)?).ok()
    }

    pub(super) fn is_failure(&self) -> bool {
        self.status == Open::Known(Status::Failed)
    }

    /// Whether it failed for something that does not change any more.
    pub(super) fn is_final(&self) -> bool {
        let may_change = matches!(self.reason, Some(Open::Known(Reason::Unsigned | Reason::NoApplication)));
        self.is_failure() && !may_change
    }

    pub(super) fn to_annotation(&self) -> String {
        // Texts and words: there is nothing in it that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }
}
