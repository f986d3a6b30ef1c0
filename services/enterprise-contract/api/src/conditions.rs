//! Conditions of the kinds of this crate. A variant is a legal pair of status and reason.

use std::borrow::Cow;

use fleet_api::{ConditionState, Truth};

/// `EnterpriseContractPolicy` condition `Ready`: whether images can be judged by the policy. Ours.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Ready {
    Valid {
        rules: usize,
    },
    /// The spec does not have the shape of a policy. The cause names the field.
    InvalidSpec {
        cause: String,
    },
    SourceUnreachable {
        url: String,
        cause: String,
    },
    /// The cause does not show the key.
    KeyUnreadable {
        cause: String,
    },
    NoRules,
}

impl ConditionState for Ready {
    const TYPE: &'static str = "Ready";

    fn truth(&self) -> Truth {
        match self {
            Self::Valid { .. } => Truth::True,
            Self::InvalidSpec { .. }
            | Self::SourceUnreachable { .. }
            | Self::KeyUnreadable { .. }
            | Self::NoRules => Truth::False,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }

    fn message(&self) -> Cow<'_, str> {
        match self {
            Self::Valid { rules } => format!("All sources are read; rules that count: {rules}").into(),
            Self::InvalidSpec { cause } => format!("The policy cannot be read: {cause}").into(),
            Self::SourceUnreachable { url, cause } => format!("{url} cannot be fetched: {cause}").into(),
            Self::KeyUnreadable { cause } => format!("spec.publicKey cannot be used: {cause}").into(),
            Self::NoRules => {
                "No rule counts: name at least one in spec.sources, and do not exclude all".into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::valid(&Ready::Valid { rules: 3 }, Truth::True, "Valid", "All sources are read; rules that count: 3")]
    #[case::invalid(
        &Ready::InvalidSpec { cause: "x".to_owned() }, Truth::False, "InvalidSpec", "The policy cannot be read: x"
    )]
    #[case::unreachable(
        &Ready::SourceUnreachable { url: "oci::a".to_owned(), cause: "x".to_owned() },
        Truth::False, "SourceUnreachable", "oci::a cannot be fetched: x"
    )]
    #[case::no_key(
        &Ready::KeyUnreadable { cause: "x".to_owned() },
        Truth::False, "KeyUnreadable", "spec.publicKey cannot be used: x"
    )]
    #[case::no_rules(
        &Ready::NoRules,
        Truth::False, "NoRules", "No rule counts: name at least one in spec.sources, and do not exclude all"
    )]
    fn shows(#[case] state: &Ready, #[case] truth: Truth, #[case] reason: &str, #[case] message: &str) {
        assert_eq!((state.truth(), state.reason(), state.message().as_ref()), (truth, reason, message));
    }
}
