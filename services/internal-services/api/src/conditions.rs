//! The condition of the kinds of this crate. A variant is a legal pair of status and reason.

use std::borrow::Cow;

use fleet_api::{ConditionState, Truth};

/// `InternalRequest` condition `Succeeded`, its only one: whether what was asked for is done.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Succeeded {
    /// How many tasks are done, or nothing. Its status is False, not Unknown, for those who wait for True.
    Running {
        progress: String,
    },
    Succeeded,
    Failed {
        cause: String,
    },
    /// It will not be done: nothing was started.
    Rejected {
        cause: String,
    },
}

impl ConditionState for Succeeded {
    const TYPE: &'static str = "Succeeded";

    fn truth(&self) -> Truth {
        match self {
            Self::Succeeded => Truth::True,
            Self::Running { .. } | Self::Failed { .. } | Self::Rejected { .. } => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Succeeded => "".into(),
            Self::Running { progress: text }
            | Self::Failed { cause: text }
            | Self::Rejected { cause: text } => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Succeeded::Running { progress: "1/2 tasks completed".to_owned() }, Truth::False, "Running", "1/2 tasks completed")]
    #[case(Succeeded::Succeeded, Truth::True, "Succeeded", "")]
    #[case(Succeeded::Failed { cause: "x".to_owned() }, Truth::False, "Failed", "x")]
    #[case(Succeeded::Rejected { cause: "x".to_owned() }, Truth::False, "Rejected", "x")]
    fn shows(#[case] state: Succeeded, #[case] truth: Truth, #[case] reason: &str, #[case] message: &str) {
        assert_eq!((state.truth(), state.reason(), state.message().as_ref()), (truth, reason, message));
    }
}
