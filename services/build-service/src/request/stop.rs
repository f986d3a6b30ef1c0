//! Why a request goes no further.

use build_service_api::ErrorId;
use build_service_api::events::EventReason;
use fleet::controller::chain;
use fleet::{Class, Classed as _, WriteError};

use crate::accounts;
use crate::failure::Failure;
use crate::git::{NoAccess, Notice};

/// Why a request goes no further, and what is told beside the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) failure: Failure,
    pub(crate) notice: Option<Notice>,
}

impl Stop {
    /// Also tells the Component's users in an Event, if it is for good.
    pub(crate) fn told_as(mut self, reason: EventReason) -> Self {
        if let (Failure::Permanent { detail, .. }, None) = (&self.failure, &self.notice) {
            self.notice = Some(Notice { reason, secret: None, text: detail.clone() });
        }
        self
    }

    /// What the API server would refuse each time is for good.
    pub(crate) fn of_write(error: &WriteError) -> Self {
        let detail = chain(error);
        if error.is_permanent() {
            Failure::permanent(ErrorId::Unknown, detail).into()
        } else {
            Failure::transient(detail).into()
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self { failure, notice: None }
    }
}

impl From<NoAccess> for Stop {
    fn from(none: NoAccess) -> Self {
        Self { failure: none.failure, notice: none.notice }
    }
}

impl From<accounts::Error> for Stop {
    fn from(error: accounts::Error) -> Self {
        let detail = chain(&error);
        match error.class() {
            Class::Wait => Failure::permanent(ErrorId::Unknown, detail).into(),
            Class::Retry | Class::Forget => Failure::transient(detail).into(),
        }
    }
}
