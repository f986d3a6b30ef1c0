//! Why a delivery leads no further.

use fleet::controller::chain;
use jiff::Timestamp;
use pipelines_as_code_api::events::EventReason;

/// The end of a delivery's way, ahead of runs or in the midst of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing is to be done, and nothing is wrong. `reason` is that of an Event on the Repository.
    Quiet { reason: &'static str, text: String },
    /// Something is wrong that a person has to mend: a Warning, and a status on the commit.
    Wrong { reason: &'static str, text: String },
    /// Somebody has to approve first: a Warning, and a status that waits.
    Pending { reason: &'static str, text: String },
    /// It may work later, with nothing changed by anybody.
    Later { text: String, not_before: Option<Timestamp> },
}

impl Stop {
    pub(crate) fn quiet(reason: EventReason, text: impl Into<String>) -> Self {
        Self::Quiet { reason: reason.into(), text: text.into() }
    }

    pub(crate) fn wrong(reason: EventReason, text: impl Into<String>) -> Self {
        Self::Wrong { reason: reason.into(), text: text.into() }
    }

    pub(crate) fn later(text: impl Into<String>) -> Self {
        Self::Later { text: text.into(), not_before: None }
    }
}

impl From<forge::Error> for Stop {
    /// What a forge does not give us is asked for again: tokens are renewed and rights granted while it waits. What it cannot
    /// give is the repository's own matter.
    fn from(error: forge::Error) -> Self {
        let text = chain(&error);
        match &error {
            forge::Error::TooLarge { .. }
            | forge::Error::Invalid { .. }
            | forge::Error::NotFound { .. }
            | forge::Error::Refused { .. } => Self::wrong(EventReason::RepositoryForge, text),
            _ => Self::Later { text, not_before: error.retry_at() },
        }
    }
}
