//! Conditions of the kinds of this crate, as their writers set them. A variant is a legal pair of status and
//! reason.

use std::borrow::Cow;
use std::fmt;

use fleet_api::{ConditionState, Truth};

/// The kinds that share `Created` and `Updated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Application,
    Component,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "Application",
            Self::Component => "Component",
        })
    }
}

/// Application and Component condition `Created`: whether all was set up that a new object needs.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Created {
    #[strum(serialize = "OK")]
    Ok(Subject),
    /// What is missing may appear later; the cause says what it is.
    Error { of: Subject, cause: String },
}

impl ConditionState for Created {
    const TYPE: &'static str = "Created";

    fn truth(&self) -> Truth {
        match self {
            Self::Ok(_) => Truth::True,
            Self::Error { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Ok(of) => format!("{of} was successfully created").into(),
            Self::Error { of, cause } => format!("{of} create failed: {cause}").into(),
        }
    }
}

/// Application and Component condition `Updated`: whether the latest change of the spec was taken over.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Updated {
    #[strum(serialize = "OK")]
    Ok(Subject),
    /// The state before the change is still in effect.
    Error { of: Subject, cause: String },
}

impl ConditionState for Updated {
    const TYPE: &'static str = "Updated";

    fn truth(&self) -> Truth {
        match self {
            Self::Ok(_) => Truth::True,
            Self::Error { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Ok(of) => format!("{of} was successfully updated").into(),
            Self::Error { of, cause } => format!("{of} update failed: {cause}").into(),
        }
    }
}

/// Component condition, and `SnapshotEnvironmentBinding` condition in `gitopsRepoConditions`,
/// `GitOpsResourcesGenerated`: whether the GitOps repository holds what the spec says.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum GitOpsResourcesGenerated {
    #[strum(serialize = "OK")]
    Ok,
    GenerateError {
        cause: String,
    },
}

impl ConditionState for GitOpsResourcesGenerated {
    const TYPE: &'static str = "GitOpsResourcesGenerated";

    fn truth(&self) -> Truth {
        match self {
            Self::Ok => Truth::True,
            Self::GenerateError { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Ok => "GitOps resources were successfully generated".into(),
            Self::GenerateError { cause } => format!("GitOps resources were not generated: {cause}").into(),
        }
    }
}

/// Component condition `GitOpsResourcesForceGenerated`: the same, when it was asked for by the annotation
/// `forceGitopsGeneration`.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum GitOpsResourcesForceGenerated {
    #[strum(serialize = "OK")]
    Ok,
    GenerateError {
        cause: String,
    },
}

impl ConditionState for GitOpsResourcesForceGenerated {
    const TYPE: &'static str = "GitOpsResourcesForceGenerated";

    fn truth(&self) -> Truth {
        match self {
            Self::Ok => Truth::True,
            Self::GenerateError { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Ok => "GitOps resources were successfully generated as asked".into(),
            Self::GenerateError { cause } => {
                format!("GitOps resources were not generated as asked: {cause}").into()
            }
        }
    }
}

/// Component condition `NudgesAcyclic`: whether `build-nudges-ref`, followed from Component to Component,
/// never leads back. Ours.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum NudgesAcyclic {
    Acyclic,
    /// The names along the cycle, which begins and ends with this Component.
    CycleDetected {
        path: Vec<String>,
    },
}

impl ConditionState for NudgesAcyclic {
    const TYPE: &'static str = "NudgesAcyclic";

    fn truth(&self) -> Truth {
        match self {
            Self::Acyclic => Truth::True,
            Self::CycleDetected { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Acyclic => "No chain of build-nudges-ref leads back to this component".into(),
            Self::CycleDetected { path } => format!(
                "cycle detected: {}; remove one of these names from the build-nudges-ref before it",
                path.join(" -> ")
            )
            .into(),
        }
    }
}

/// `ComponentDetectionQuery` condition `Processing`: the repository is being looked at.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Processing {
    Success,
}

impl ConditionState for Processing {
    const TYPE: &'static str = "Processing";

    fn truth(&self) -> Truth {
        Truth::True
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        "Looking for components in the repository".into()
    }
}

/// `ComponentDetectionQuery` condition `Completed`: the answer is there, or there will be none.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Completed {
    #[strum(serialize = "OK")]
    Ok {
        components: usize,
    },
    Error {
        cause: String,
    },
}

impl ConditionState for Completed {
    const TYPE: &'static str = "Completed";

    fn truth(&self) -> Truth {
        match self {
            Self::Ok { .. } => Truth::True,
            Self::Error { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Ok { components: 0 } => "Detection finished with no components detected".into(),
            Self::Ok { components } => {
                format!("Detection finished successfully, components detected: {components}").into()
            }
            Self::Error { cause } => format!("Detection failed: {cause}").into(),
        }
    }
}

/// `SnapshotEnvironmentBinding` condition `AllComponentsDeployed` in `componentDeploymentConditions`: whether
/// the cluster runs the commits that the binding asks for. Written by gitops-service, read by
/// integration-service.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum AllComponentsDeployed {
    CommitsSynced { total: usize },
    CommitsUnsynced { synced: usize, total: usize },
    ErrorOccurred { cause: String },
}

impl ConditionState for AllComponentsDeployed {
    const TYPE: &'static str = "AllComponentsDeployed";

    fn truth(&self) -> Truth {
        match self {
            Self::CommitsSynced { .. } => Truth::True,
            Self::CommitsUnsynced { .. } | Self::ErrorOccurred { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::CommitsSynced { total } => format!("{total} of {total} components deployed").into(),
            Self::CommitsUnsynced { synced, total } => {
                format!("{synced} of {total} components deployed").into()
            }
            Self::ErrorOccurred { cause } => cause.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::created(&Created::Ok(Subject::Application), "Created", Truth::True, "OK", "Application was successfully created")]
    #[case::create_failed(
        &Created::Error { of: Subject::Component, cause: "no application a".to_owned() },
        "Created", Truth::False, "Error", "Component create failed: no application a"
    )]
    #[case::update_failed(
        &Updated::Error { of: Subject::Application, cause: "x".to_owned() },
        "Updated", Truth::False, "Error", "Application update failed: x"
    )]
    #[case::generated(
        &GitOpsResourcesGenerated::Ok,
        "GitOpsResourcesGenerated", Truth::True, "OK", "GitOps resources were successfully generated"
    )]
    #[case::not_generated(
        &GitOpsResourcesForceGenerated::GenerateError { cause: "x".to_owned() },
        "GitOpsResourcesForceGenerated", Truth::False, "GenerateError", "GitOps resources were not generated as asked: x"
    )]
    #[case::cycle(
        &NudgesAcyclic::CycleDetected { path: ["a", "b", "a"].map(str::to_owned).to_vec() },
        "NudgesAcyclic", Truth::False, "CycleDetected",
        "cycle detected: a -> b -> a; remove one of these names from the build-nudges-ref before it"
    )]
    #[case::nothing_found(
        &Completed::Ok { components: 0 },
        "Completed", Truth::True, "OK", "Detection finished with no components detected"
    )]
    #[case::partly_deployed(
        &AllComponentsDeployed::CommitsUnsynced { synced: 1, total: 3 },
        "AllComponentsDeployed", Truth::False, "CommitsUnsynced", "1 of 3 components deployed"
    )]
    fn shows<C: ConditionState>(
        #[case] state: &C,
        #[case] type_: &str,
        #[case] truth: Truth,
        #[case] reason: &str,
        #[case] message: &str,
    ) {
        assert_eq!(
            (C::TYPE, state.truth(), state.reason(), state.message().as_ref()),
            (type_, truth, reason, message)
        );
    }
}
