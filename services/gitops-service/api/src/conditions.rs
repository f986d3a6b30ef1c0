//! Conditions of the kinds of this crate, and those that gitops-service writes to `Environments` and
//! `SnapshotEnvironmentBindings`. A variant is a legal pair of status and reason.

use std::borrow::Cow;

use fleet_api::{ConditionState, Truth};

/// `DeploymentTarget` and `DeploymentTargetClaim` condition `ErrorOccurred`: whether something is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum ErrorOccurred {
    ErrorOccurred { cause: String },
    Success,
}

impl ConditionState for ErrorOccurred {
    const TYPE: &'static str = "ErrorOccurred";

    fn truth(&self) -> Truth {
        match self {
            Self::ErrorOccurred { .. } => Truth::True,
            Self::Success => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::ErrorOccurred { cause } => cause.into(),
            Self::Success => "".into(),
        }
    }
}

/// Condition `ErrorOccurred` of an `Environment`, and of a `SnapshotEnvironmentBinding` in `bindingConditions`: the
/// opposite of [`EnvironmentReconciled`] and [`BindingReconciled`]. First written when something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum ErrorOccurredHere {
    ErrorOccurred { cause: String },
    ErrorOccurredResolved,
}

impl ConditionState for ErrorOccurredHere {
    const TYPE: &'static str = ErrorOccurred::TYPE;

    fn truth(&self) -> Truth {
        match self {
            Self::ErrorOccurred { .. } => Truth::True,
            Self::ErrorOccurredResolved => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::ErrorOccurred { cause } => cause.into(),
            Self::ErrorOccurredResolved => "".into(),
        }
    }
}

/// `Environment` condition `Reconciled`: whether it can be deployed to. First written when it cannot.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum EnvironmentReconciled {
    /// It names a claim that does not exist.
    DeploymentTargetClaimNotFound,
    /// Its claim is bound to a target that does not exist.
    DeploymentTargetNotFound {
        cause: String,
    },
    /// It names a claim and a cluster.
    InvalidEnvironment,
    SecretNotFound {
        secret: String,
    },
    DeploymentTargetClaimNotFoundResolved,
    DeploymentTargetNotFoundResolved,
    InvalidEnvironmentResolved,
    SecretNotFoundResolved,
}

impl ConditionState for EnvironmentReconciled {
    const TYPE: &'static str = "Reconciled";

    fn truth(&self) -> Truth {
        match self {
            Self::DeploymentTargetClaimNotFound
            | Self::DeploymentTargetNotFound { .. }
            | Self::InvalidEnvironment
            | Self::SecretNotFound { .. } => Truth::False,
            Self::DeploymentTargetClaimNotFoundResolved
            | Self::DeploymentTargetNotFoundResolved
            | Self::InvalidEnvironmentResolved
            | Self::SecretNotFoundResolved => Truth::True,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::DeploymentTargetClaimNotFound => {
                "DeploymentTargetClaim not found while generating the desired Environment resource".into()
            }
            Self::DeploymentTargetNotFound { cause } => cause.into(),
            Self::InvalidEnvironment => {
                "Environment is invalid since it cannot have both DeploymentTargetClaim \
                                         and credentials configuration set"
                    .into()
            }
            Self::SecretNotFound { secret } => {
                format!("the secret {secret} referenced by the Environment resource was not found").into()
            }
            Self::DeploymentTargetClaimNotFoundResolved
            | Self::DeploymentTargetNotFoundResolved
            | Self::InvalidEnvironmentResolved
            | Self::SecretNotFoundResolved => "".into(),
        }
    }
}

/// `SnapshotEnvironmentBinding` condition `Reconciled` in `bindingConditions`: whether its `GitOpsDeployments` are what
/// it says.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum BindingReconciled {
    Reconciled,
    /// application-service could not generate its resources.
    GitOpsRepoNotReady {
        binding: String,
    },
    /// application-service has not yet generated its resources.
    WaitingForComponentStatus,
    /// The cause begins with `duplicate component keys found in status field in`.
    DuplicateComponents {
        cause: String,
    },
    ErrorGeneratingGitOpsDeployment {
        cause: String,
    },
}

impl ConditionState for BindingReconciled {
    const TYPE: &'static str = EnvironmentReconciled::TYPE;

    fn truth(&self) -> Truth {
        match self {
            Self::Reconciled => Truth::True,
            Self::GitOpsRepoNotReady { .. }
            | Self::WaitingForComponentStatus
            | Self::DuplicateComponents { .. }
            | Self::ErrorGeneratingGitOpsDeployment { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Reconciled => "".into(),
            Self::GitOpsRepoNotReady { binding } => {
                format!("Cannot Reconcile Binding '{binding}', since GitOps Repo Conditions status is false.")
                    .into()
            }
            Self::WaitingForComponentStatus => {
                "application-service has not yet written status.components: nothing is deployed".into()
            }
            Self::DuplicateComponents { cause } | Self::ErrorGeneratingGitOpsDeployment { cause } => {
                cause.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&ErrorOccurred::ErrorOccurred { cause: "x".to_owned() }, "ErrorOccurred", Truth::True, "ErrorOccurred", "x")]
    #[case(&ErrorOccurred::Success, "ErrorOccurred", Truth::False, "Success", "")]
    #[case(&ErrorOccurredHere::ErrorOccurredResolved, "ErrorOccurred", Truth::False, "ErrorOccurredResolved", "")]
    #[case(
        &EnvironmentReconciled::SecretNotFound { secret: "s".to_owned() }, "Reconciled", Truth::False, "SecretNotFound",
        "the secret s referenced by the Environment resource was not found"
    )]
    #[case(&EnvironmentReconciled::SecretNotFoundResolved, "Reconciled", Truth::True, "SecretNotFoundResolved", "")]
    #[case(&BindingReconciled::Reconciled, "Reconciled", Truth::True, "Reconciled", "")]
    #[case(
        &BindingReconciled::GitOpsRepoNotReady { binding: "b".to_owned() }, "Reconciled", Truth::False, "GitOpsRepoNotReady",
        "Cannot Reconcile Binding 'b', since GitOps Repo Conditions status is false."
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
