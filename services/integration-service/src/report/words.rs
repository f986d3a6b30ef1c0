//! What each state is called at forges (spec, section 4.9).

use forge::Verdict;
use integration_service_api::status::TestStatus;

/// A state, in the words of people and of forges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// Over the check.
    pub(crate) title: &'static str,
    /// In a sentence: `Scenario lint … passed`.
    pub(crate) sentence: &'static str,
    pub(crate) verdict: Verdict,
}

/// Those of a state. What an optional scenario comes to hinders nobody.
pub(crate) fn of(status: TestStatus, is_optional: bool) -> Words {
    let (title, sentence, verdict) = match status {
        TestStatus::Pending => ("Pending", "is pending", Verdict::Queued),
        TestStatus::InProgress => ("In Progress", "is in progress", Verdict::InProgress),
        TestStatus::TestPassed => ("Succeeded", "has passed", Verdict::Success),
        TestStatus::TestWarning => ("Succeeded", "has passed, with warnings", Verdict::Success),
        TestStatus::TestFail => ("Failed", "has failed", Verdict::Failure),
        TestStatus::TestInvalid => ("Errored", "is invalid", Verdict::Error),
        TestStatus::EnvironmentProvisionError => {
            ("Errored", "got no environment: provisioning it failed", Verdict::Error)
        }
        TestStatus::DeploymentError => {
            ("Errored", "was not run: the deployment to its environment failed", Verdict::Error)
        }
        TestStatus::Deleted => ("Deleted", "was deleted before it ended", Verdict::Deleted),
        TestStatus::BuildPLRInProgress => ("Pending", "is pending until the build ends", Verdict::Queued),
        TestStatus::BuildPLRFailed => ("Errored", "was not run: the build failed", Verdict::Cancelled),
        TestStatus::SnapshotCreationFailed => {
            ("Errored", "was not run: the build made no Snapshot", Verdict::Cancelled)
        }
        TestStatus::GroupSnapshotCreationFailed => {
            ("Errored", "was not run: the pull requests made no Snapshot together", Verdict::Cancelled)
        }
    };
    let hinders = status.is_final() && !status.is_passed();
    let verdict = if hinders && is_optional { Verdict::Neutral } else { verdict };
    Words { title, sentence, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(TestStatus::Pending, "Pending", Verdict::Queued)]
    #[case(TestStatus::InProgress, "In Progress", Verdict::InProgress)]
    #[case(TestStatus::TestPassed, "Succeeded", Verdict::Success)]
    #[case(TestStatus::TestWarning, "Succeeded", Verdict::Success)]
    #[case(TestStatus::TestFail, "Failed", Verdict::Failure)]
    #[case(TestStatus::TestInvalid, "Errored", Verdict::Error)]
    #[case(TestStatus::EnvironmentProvisionError, "Errored", Verdict::Error)]
    #[case(TestStatus::DeploymentError, "Errored", Verdict::Error)]
    #[case(TestStatus::Deleted, "Deleted", Verdict::Deleted)]
    #[case(TestStatus::BuildPLRInProgress, "Pending", Verdict::Queued)]
    #[case(TestStatus::BuildPLRFailed, "Errored", Verdict::Cancelled)]
    fn shows(#[case] status: TestStatus, #[case] title: &str, #[case] verdict: Verdict) {
        let words = of(status, false);
        assert_eq!((words.title, words.verdict), (title, verdict));
        assert!(!words.sentence.is_empty());
    }

    #[rstest]
    #[case::failed(TestStatus::TestFail, Verdict::Neutral)]
    #[case::invalid(TestStatus::TestInvalid, Verdict::Neutral)]
    #[case::passed(TestStatus::TestPassed, Verdict::Success)]
    #[case::running(TestStatus::InProgress, Verdict::InProgress)]
    fn an_optional_one_hinders_nobody(#[case] status: TestStatus, #[case] verdict: Verdict) {
        assert_eq!(of(status, true).verdict, verdict);
    }
}
