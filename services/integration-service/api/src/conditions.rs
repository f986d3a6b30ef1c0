//! Conditions that integration-service writes. A variant is a legal pair of status and reason.

use std::borrow::Cow;

use fleet_api::{ConditionState, Truth};

/// What older programs called [`TestSucceeded`]. Read only where that is absent.
pub const LEGACY_TEST_SUCCEEDED: &str = "HACBSStudioTestSucceeded";

/// What older programs called [`IntegrationStatus`]. Read only where that is absent.
pub const LEGACY_INTEGRATION_STATUS: &str = "HACBSIntegrationStatus";

/// Snapshot condition `AppStudioTestSucceeded`: whether all required scenarios passed.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum TestSucceeded {
    Passed,
    Failed {
        cause: String,
    },
    /// It was known, and a scenario was asked for again.
    InProgress,
}

impl ConditionState for TestSucceeded {
    const TYPE: &'static str = "AppStudioTestSucceeded";

    fn truth(&self) -> Truth {
        match self {
            Self::Passed => Truth::True,
            Self::Failed { .. } => Truth::False,
            Self::InProgress => Truth::Unknown,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Passed => "All required integration tests passed".into(),
            Self::Failed { cause } => cause.into(),
            Self::InProgress => "An integration test was started again".into(),
        }
    }
}

/// Snapshot condition `AppStudioIntegrationStatus`: how far testing as a whole has come.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum IntegrationStatus {
    /// At least one run exists, or was asked for again.
    InProgress,
    /// Every required scenario has a final result, good or bad.
    Finished,
    /// It can never be promoted: superseded, wrong, or its Application is gone.
    Invalid { cause: String },
    /// Testing could not be set up. The misspelling is public API.
    ErrorOccured { cause: String },
    /// A newer Snapshot of the same pull request made it needless. Final.
    Canceled { cause: String },
}

impl ConditionState for IntegrationStatus {
    const TYPE: &'static str = "AppStudioIntegrationStatus";

    fn truth(&self) -> Truth {
        match self {
            Self::InProgress => Truth::Unknown,
            Self::Finished => Truth::True,
            Self::Invalid { .. } | Self::ErrorOccured { .. } | Self::Canceled { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::InProgress => "Integration tests are running".into(),
            Self::Finished => "All required integration tests have ended".into(),
            Self::Invalid { cause } | Self::ErrorOccured { cause } | Self::Canceled { cause } => cause.into(),
        }
    }
}

/// Snapshot condition `AddedToGlobalCandidateList`: its image is what the next Snapshots of the Application hold.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum AddedToGlobalCandidateList {
    Added,
    /// The list was looked at, and is right without it.
    #[strum(serialize = "Added")]
    Kept {
        cause: String,
    },
}

impl ConditionState for AddedToGlobalCandidateList {
    const TYPE: &'static str = "AddedToGlobalCandidateList";

    fn truth(&self) -> Truth {
        Truth::True
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Added => "The Snapshot's image was added to the global candidate list".into(),
            Self::Kept { cause } => cause.into(),
        }
    }
}

/// Snapshot condition `DeployedToRootEnvironments`: the Environments without a parent were told to deploy it.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum DeployedToRootEnvironments {
    Deployed,
}

impl ConditionState for DeployedToRootEnvironments {
    const TYPE: &'static str = "DeployedToRootEnvironments";

    fn truth(&self) -> Truth {
        Truth::True
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        "The Snapshot was deployed to all root environments".into()
    }
}

/// Snapshot condition `AutoReleased`: the Releases that are made automatically were made, or there is no reason to.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum AutoReleased {
    /// What was done, or why nothing.
    AutoReleased { outcome: String },
}

impl ConditionState for AutoReleased {
    const TYPE: &'static str = "AutoReleased";

    fn truth(&self) -> Truth {
        Truth::True
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        let Self::AutoReleased { outcome } = self;
        outcome.into()
    }
}

/// `IntegrationTestScenario` condition `IntegrationTestScenarioValid`: whether it can be run.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum ScenarioValid {
    Valid,
    Invalid { cause: String },
}

impl ConditionState for ScenarioValid {
    const TYPE: &'static str = "IntegrationTestScenarioValid";

    fn truth(&self) -> Truth {
        match self {
            Self::Valid => Truth::True,
            Self::Invalid { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Valid => "Integration test scenario is valid".into(),
            Self::Invalid { cause } => cause.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn because() -> String {
        "because".to_owned()
    }

    #[rstest]
    #[case(&TestSucceeded::Passed, "AppStudioTestSucceeded", Truth::True, "Passed")]
    #[case(&TestSucceeded::Failed { cause: because() }, "AppStudioTestSucceeded", Truth::False, "Failed")]
    #[case(&TestSucceeded::InProgress, "AppStudioTestSucceeded", Truth::Unknown, "InProgress")]
    #[case(&IntegrationStatus::InProgress, "AppStudioIntegrationStatus", Truth::Unknown, "InProgress")]
    #[case(&IntegrationStatus::Finished, "AppStudioIntegrationStatus", Truth::True, "Finished")]
    #[case(
        &IntegrationStatus::ErrorOccured { cause: because() }, "AppStudioIntegrationStatus", Truth::False, "ErrorOccured"
    )]
    #[case(&IntegrationStatus::Canceled { cause: because() }, "AppStudioIntegrationStatus", Truth::False, "Canceled")]
    #[case(&AddedToGlobalCandidateList::Added, "AddedToGlobalCandidateList", Truth::True, "Added")]
    #[case(&AddedToGlobalCandidateList::Kept { cause: because() }, "AddedToGlobalCandidateList", Truth::True, "Added")]
    #[case(&DeployedToRootEnvironments::Deployed, "DeployedToRootEnvironments", Truth::True, "Deployed")]
    #[case(&AutoReleased::AutoReleased { outcome: because() }, "AutoReleased", Truth::True, "AutoReleased")]
    #[case(&ScenarioValid::Valid, "IntegrationTestScenarioValid", Truth::True, "Valid")]
    #[case(&ScenarioValid::Invalid { cause: because() }, "IntegrationTestScenarioValid", Truth::False, "Invalid")]
    fn shows<C: ConditionState>(
        #[case] state: &C,
        #[case] type_: &str,
        #[case] truth: Truth,
        #[case] reason: &str,
    ) {
        assert_eq!((C::TYPE, state.truth(), state.reason()), (type_, truth, reason));
        assert!(!state.message().is_empty());
    }
}
