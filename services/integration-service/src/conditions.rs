//! Conditions of Snapshots, which several controllers write: all of them in each write, and only to the version that was read.

use application_service_api::Snapshot;
use fleet::{FieldManager, StatusPatch, Write};
use fleet_api::{Condition, ConditionState, Truth};
use integration_service_api::conditions::{
    AddedToGlobalCandidateList, AutoReleased, DeployedToRootEnvironments, IntegrationStatus,
    LEGACY_INTEGRATION_STATUS, LEGACY_TEST_SUCCEEDED, TestSucceeded,
};
use jiff::Timestamp;

const MANAGER: FieldManager = FieldManager::new("integration-service/snapshot");

/// What is to be said of a Snapshot. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) test_succeeded: Option<TestSucceeded>,
    pub(crate) integration_status: Option<IntegrationStatus>,
    pub(crate) added: Option<AddedToGlobalCandidateList>,
    pub(crate) deployed: bool,
    pub(crate) released: Option<AutoReleased>,
}

impl Conditions {
    /// `None` if the Snapshot says all this already. Refused with a conflict if anybody wrote to the Snapshot since: of one decision it
    /// is the only write to that Snapshot.
    pub(crate) fn write(&self, snapshot: &Snapshot, now: Timestamp) -> Option<Write> {
        let patch = StatusPatch::of(snapshot, MANAGER, now).if_unchanged();
        let patch = set(patch, self.test_succeeded.as_ref());
        let patch = set(patch, self.integration_status.as_ref());
        let patch = set(patch, self.added.as_ref());
        let patch = set(patch, self.deployed.then_some(&DeployedToRootEnvironments::Deployed));
        set(patch, self.released.as_ref()).into_write()
    }
}

fn set<C: ConditionState>(patch: StatusPatch, state: Option<&C>) -> StatusPatch {
    match state {
        Some(state) => patch.condition(state),
        None => patch.keep::<C>(),
    }
}

/// What a Snapshot says of itself.
pub(crate) trait Says {
    /// Whether all required tests passed; `None` while that is open.
    fn passed(&self) -> Option<bool>;

    /// Reason of the condition `AppStudioIntegrationStatus`.
    fn integration_reason(&self) -> Option<&str>;

    /// Whether a condition is `True`.
    fn has<C: ConditionState>(&self) -> bool;

    /// When a condition became what it is.
    fn since<C: ConditionState>(&self) -> Option<Timestamp>;

    /// Every required scenario has ended.
    fn is_finished(&self) -> bool {
        self.integration_reason() == Some("Finished")
    }

    /// It can never be promoted: it is wrong, superseded, or was cancelled.
    fn is_out(&self) -> bool {
        matches!(self.integration_reason(), Some("Invalid" | "Canceled"))
    }
}

impl Says for Snapshot {
    fn passed(&self) -> Option<bool> {
        let condition = find(self, TestSucceeded::TYPE).or_else(|| find(self, LEGACY_TEST_SUCCEEDED))?;
        (condition.status != Truth::Unknown.as_str()).then(|| condition.status == Truth::True.as_str())
    }

    fn integration_reason(&self) -> Option<&str> {
        let condition =
            find(self, IntegrationStatus::TYPE).or_else(|| find(self, LEGACY_INTEGRATION_STATUS))?;
        Some(&condition.reason)
    }

    fn since<C: ConditionState>(&self) -> Option<Timestamp> {
        find(self, C::TYPE).map(|condition| condition.last_transition_time.0)
    }

    fn has<C: ConditionState>(&self) -> bool {
        find(self, C::TYPE).is_some_and(|condition| condition.status == Truth::True.as_str())
    }
}

fn find<'a>(snapshot: &'a Snapshot, type_: &str) -> Option<&'a Condition> {
    snapshot.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}
