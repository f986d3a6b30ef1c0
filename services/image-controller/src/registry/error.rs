//! What can go wrong at a registry.

use std::time::Duration;

use fleet::{Class, Classed};

/// Why a call to the registry did not work. `step` says what was tried on what, as `create repository org/team/web`;
/// `detail` is what came of it, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Error {
    /// The organization may have no more private repositories (HTTP 402).
    #[error("the plan of the registry's organization has no room for another private repository")]
    PlanLimit,
    /// The mounted Secret lacks something. What, is in the log.
    #[error("registry is not configured")]
    NotConfigured,
    /// May go away by itself, or is for the operator to mend.
    #[error("{step}: {detail}")]
    Transient { step: String, detail: String, retry_after: Option<Duration> },
    /// The same will be refused again.
    #[error("{step}: {detail}")]
    Refused { step: String, detail: String },
    /// This kind of registry cannot do that.
    #[error("this kind of registry cannot do that")]
    Unsupported,
}

impl Error {
    pub(crate) fn transient(step: &str, detail: &(impl ToString + ?Sized)) -> Self {
        Self::Transient { step: step.to_owned(), detail: detail.to_string(), retry_after: None }
    }

    pub(crate) fn refused(step: &str, detail: &(impl ToString + ?Sized)) -> Self {
        Self::Refused { step: step.to_owned(), detail: detail.to_string() }
    }
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::NotConfigured | Self::Transient { .. } => Class::Retry,
            Self::PlanLimit | Self::Refused { .. } | Self::Unsupported => Class::Wait,
        }
    }

    fn label(&self) -> &'static str {
        self.into()
    }
}
