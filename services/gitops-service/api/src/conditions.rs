//! The condition of the kinds of this crate. A variant is a legal pair of status and reason.

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

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(ErrorOccurred::ErrorOccurred { cause: "x".to_owned() }, Truth::True, "ErrorOccurred", "x")]
    #[case(ErrorOccurred::Success, Truth::False, "Success", "")]
    fn shows(
        #[case] state: ErrorOccurred,
        #[case] truth: Truth,
        #[case] reason: &str,
        #[case] message: &str,
    ) {
        assert_eq!((state.truth(), state.reason(), state.message().as_ref()), (truth, reason, message));
    }
}
