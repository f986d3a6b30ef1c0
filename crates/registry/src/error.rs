//! What can go wrong with a registry.

use fleet::outbound;
use jiff::Timestamp;

use crate::call::Action;

/// Why something cannot be had of a registry.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Error {
    #[error("{what}: the registry has no such thing")]
    NotFound { what: String },
    /// Registries say this also of what does not exist, so that nobody can find out.
    #[error("{what}: the registry does not let us {action} it {}", with(*.action, *.logins))]
    Unauthorized { what: String, action: Action, logins: usize },
    /// Not for now: the network, or an error of the registry's own.
    #[error("{what}: the registry cannot be reached: {source}")]
    Unreachable { what: String, source: outbound::Error },
    /// Not called: an administrator would have to permit it.
    #[error("{what}: {source}")]
    Refused { what: String, source: outbound::Error },
    #[error("{what}: larger than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    /// The registry's answer is none, or not what was asked for.
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },
    /// A file of ours could not be read, or what was received not be kept: the disk may be full.
    #[error("{what}: {source}")]
    Local { what: String, source: std::io::Error },
}

fn with(action: Action, logins: usize) -> &'static str {
    match logins {
        0 if action == Action::Read => "without a login; does the service account have a pull secret for it?",
        0 => "without a login; does the service account have a Secret with one for it?",
        1 => "with the login that we have for it",
        _ => "with any of the logins that we have for it",
    }
}

impl Error {
    /// Whether the same may work in a moment, with nothing changed by anybody.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// When it makes sense to try again, if the registry said so.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Unreachable { source, .. } => source.retry_at(),
            _ => None,
        }
    }

    pub(crate) fn invalid(what: &impl ToString, reason: impl Into<String>) -> Self {
        Self::Invalid { what: what.to_string(), reason: reason.into() }
    }

    pub(crate) fn local(what: &impl ToString, source: std::io::Error) -> Self {
        Self::Local { what: what.to_string(), source }
    }

    /// What an error of the way there means.
    pub(crate) fn of(what: &str, source: outbound::Error) -> Self {
        let what = what.to_owned();
        match source {
            outbound::Error::Refused { .. } | outbound::Error::Request { .. } => {
                Self::Refused { what, source }
            }
            outbound::Error::TooLarge { limit, .. } => Self::TooLarge { what, limit },
            outbound::Error::Status { status: 404, .. } => Self::NotFound { what },
            outbound::Error::Decode { .. } => Self::Invalid { what, reason: source.to_string() },
            outbound::Error::Status { status, .. } if status < 500 => {
                Self::Invalid { what, reason: source.to_string() }
            }
            _ => Self::Unreachable { what, source },
        }
    }
}
