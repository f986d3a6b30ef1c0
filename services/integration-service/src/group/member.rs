//! A Snapshot of a pull request that may be part of a group.

use std::sync::Arc;

use application_service_api::Snapshot;
use application_service_api::snapshot::SnapshotComponent;
use fleet_api::keys;
use integration_service_api::labels::{self, BUILD_PIPELINE_RUN, snapshot_type};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use super::outcome::Outcome;
use crate::origin::Origin;
use crate::promotion::Age;
use crate::pull_request::PullRequest;
use fleet::is_inert;

/// One Snapshot, of one Component and one pull request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) component: String,
    pub(super) pull_request: PullRequest,
    pub(super) began: Timestamp,
    pub(super) snapshot: Arc<Snapshot>,
}

/// What the annotation [`GROUP_TEST_INFO`](integration_service_api::annotations::GROUP_TEST_INFO) says of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info {
    namespace: String,
    component: String,
    build_pipeline_run: String,
    snapshot: String,
    repo_url: String,
    pull_request_number: String,
}

impl Member {
    /// `None` if it is no Snapshot of a Component's pull request.
    pub(super) fn of(snapshot: &Arc<Snapshot>) -> Option<Self> {
        let metadata = &snapshot.metadata;
        let is_of_component = labels::TYPE.of(&metadata.labels) == Some(snapshot_type::COMPONENT);
        if !is_of_component || metadata.deletion_timestamp.is_some() || is_inert(metadata) {
            return None;
        }
        if Origin::of(&**snapshot).is_push() {
            return None;
        }
        Some(Self {
            component: keys::COMPONENT.of(&metadata.labels)?.to_owned(),
            pull_request: PullRequest::of(&**snapshot)?,
            began: Age::of(snapshot).began(),
            snapshot: Arc::clone(snapshot),
        })
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        Origin::of(&*self.snapshot)
    }

    pub(super) fn namespace(&self) -> String {
        self.snapshot.namespace().unwrap_or_default()
    }

    /// The run that built it, as its label says.
    pub(super) fn build(&self) -> Option<&str> {
        BUILD_PIPELINE_RUN.of(&self.snapshot.metadata.labels)
    }

    /// What was built.
    pub(super) fn entry(&self) -> Option<&SnapshotComponent> {
        self.snapshot.spec.components.iter().find(|entry| entry.name == self.component)
    }

    /// Whether it says already what became of its group, for good.
    pub(super) fn is_done(&self) -> bool {
        Outcome::of(&self.snapshot).is_some_and(|outcome| outcome.is_final())
    }

    pub(super) fn info(&self) -> Info {
        let origin = self.origin();
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        Info {
            namespace: self.namespace(),
            component: self.component.clone(),
            build_pipeline_run: text(self.build()),
            snapshot: self.snapshot.name_any(),
            repo_url: text(origin.repo_url),
            pull_request_number: text(origin.pull_request),
        }
    }
}
