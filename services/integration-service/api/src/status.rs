//! How far each scenario of a Snapshot has come: the annotation [`STATUS`](crate::annotations::STATUS), a JSON list.

use fleet_api::Open;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One scenario of a Snapshot. Times are RFC 3339, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScenarioStatus {
    /// Name of the `IntegrationTestScenario`.
    pub scenario: String,
    pub status: Open<TestStatus>,
    /// When `status` or `details` changed last.
    pub last_update_time: String,
    /// What happened, for people. At most [`MAX_DETAILS`] bytes.
    #[serde(default)]
    pub details: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// The newest run of the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_pipeline_run_name: Option<String>,
    /// How often it was asked for again. Ours; part of the name of the run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// What newer programs keep here.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

impl ScenarioStatus {
    /// What [`status`](Self::status) means. One that some version of the original writes for [`TestStatus::TestWarning`]
    /// is read as that; a word from a newer program is final only once the run has ended, and never a pass.
    pub fn state(&self) -> TestStatus {
        let has_ended = self.completion_time.is_some() && self.test_pipeline_run_name.is_some();
        match self.status.known() {
            Some(TestStatus::BuildPLRInProgress) if has_ended => TestStatus::TestWarning,
            Some(TestStatus::BuildPLRInProgress) => TestStatus::Pending,
            Some(state) => *state,
            None if self.completion_time.is_some() => TestStatus::TestInvalid,
            None if self.test_pipeline_run_name.is_some() => TestStatus::InProgress,
            None => TestStatus::Pending,
        }
    }
}

/// Most bytes of `details`.
pub const MAX_DETAILS: usize = 4096;

/// State of a scenario of a Snapshot, or, in reports before there is one, of its build.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
pub enum TestStatus {
    #[default]
    Pending,
    InProgress,
    Deleted,
    EnvironmentProvisionError,
    DeploymentError,
    TestFail,
    TestPassed,
    TestInvalid,
    /// It passed, with warnings.
    TestWarning,
    /// Reported only: the build still runs. In a Snapshot, with a run and a completion time, it means [`Self::TestWarning`].
    BuildPLRInProgress,
    /// Reported only.
    BuildPLRFailed,
    /// Reported only.
    SnapshotCreationFailed,
    /// Reported only.
    GroupSnapshotCreationFailed,
}

impl TestStatus {
    /// Nothing more happens to it by itself.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::InProgress | Self::BuildPLRInProgress)
    }

    /// The test passed.
    pub const fn is_passed(self) -> bool {
        matches!(self, Self::TestPassed | Self::TestWarning)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(attempt: &u32) -> bool {
    *attempt == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case::as_written("TestFail", Some("T"), Some("r"), TestStatus::TestFail)]
    #[case::misspelt_warning("BuildPLRInProgress", Some("T"), Some("r"), TestStatus::TestWarning)]
    #[case::of_a_build("BuildPLRInProgress", None, None, TestStatus::Pending)]
    #[case::newer_word_ended("Excused", Some("T"), Some("r"), TestStatus::TestInvalid)]
    #[case::newer_word_running("Queued", None, Some("r"), TestStatus::InProgress)]
    #[case::newer_word("Queued", None, None, TestStatus::Pending)]
    fn reads_words(
        #[case] word: &str,
        #[case] completion_time: Option<&str>,
        #[case] run: Option<&str>,
        #[case] expected: TestStatus,
    ) {
        let entry = json!({
            "scenario": "a", "status": word, "lastUpdateTime": "T",
            "completionTime": completion_time, "testPipelineRunName": run,
        });
        let entry: ScenarioStatus = serde_json::from_value(entry).unwrap();
        assert_eq!(entry.state(), expected);
    }
}
