//! What became of a group, as its members say it: the annotation
//! [`CREATE_GROUP_SNAPSHOT_STATUS`](integration_service_api::annotations::CREATE_GROUP_SNAPSHOT_STATUS).

use application_service_api::Snapshot;
use fleet::{MetadataPatch, Write};
use fleet_api::Open;
use integration_service_api::annotations::CREATE_GROUP_SNAPSHOT_STATUS;
use serde::{Deserialize, Serialize};

/// What is annotated, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) status: Open<Status>,
    /// For people.
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// Another build of the group is not over.
    Waiting,
    /// There is a Snapshot of the group.
    Created,
    /// Nothing else is to be tested together with it.
    Alone,
    /// There should be one, and cannot be.
    #[default]
    Failed,
}

impl Outcome {
    pub(super) fn new(status: Status, message: String) -> Self {
        Self { status: Open::Known(status), message }
    }

    /// What a member says. A word that is not ours, as another program writes it, means that all is done.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Self> {
        let text = CREATE_GROUP_SNAPSHOT_STATUS.of(&snapshot.metadata.annotations)?;
        let other = || Self { status: Open::Other(String::new()), message: text.to_owned() };
        Some(serde_json::from_str(text).unwrap_or_else(|_| other()))
    }

    pub(super) fn is_final(&self) -> bool {
        self.status != Open::Known(Status::Waiting)
    }

    /// Lets a member say so. `None` if it does.
    pub(super) fn write(&self, snapshot: &Snapshot) -> Option<Write> {
        let text = serde_json::to_string(self).unwrap_or_default();
        MetadataPatch::of(snapshot).annotation(CREATE_GROUP_SNAPSHOT_STATUS, Some(&text)).into_write()
    }
}
