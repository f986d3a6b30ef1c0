//! Conditions as types: a variant is a legal pair of status and reason.

use std::borrow::Cow;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One type of condition and the states that it can be in. The kit adds `observedGeneration`, keeps
/// `lastTransitionTime` while the status stays, and publishes an Event when it changes.
pub trait ConditionState {
    /// `type` of the condition, unique in its object.
    const TYPE: &'static str;

    fn truth(&self) -> Truth;

    /// A word in `CamelCase` from a closed set.
    fn reason(&self) -> &'static str;

    /// For a person: what happened, to which object, what to do. At most 32,768 bytes; the kit cuts what is longer.
    fn message(&self) -> Cow<'_, str>;

    /// Whether `condition` says what this state says, whatever its times.
    fn is_shown_by(&self, condition: &Condition) -> bool {
        condition.type_ == Self::TYPE
            && condition.status == self.truth().as_str()
            && condition.reason == self.reason()
            && condition.message == self.message()
    }
}
