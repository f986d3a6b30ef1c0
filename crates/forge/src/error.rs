//! What can go wrong with a forge.

use fleet::outbound;
use jiff::Timestamp;

/// Why something cannot be had of a forge. `reason` is in the forge's own words, cut and without secrets.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Error {
    /// Forges say this also of what the token may not see.
    #[error("{what}: the forge knows of no such thing, or does not show it to us")]
    NotFound { what: String },
    /// HTTP 401: there is no token where one is needed, or it is wrong, revoked or has ended.
    #[error("{what}: the forge does not take our token: {reason}")]
    Unauthorized { what: String, reason: String },
    /// HTTP 403: the token is right and lacks a right.
    #[error("{what}: the forge does not let our token do this: {reason}")]
    Forbidden { what: String, reason: String },
    /// What the token may ask for in some time is used up, or the forge wants to be left alone.
    #[error("{what}: the forge takes no more calls of ours until {until}")]
    RateLimited { what: String, until: Timestamp },
    /// Not for now: the network, or an error of the forge's own.
    #[error("{what}: the forge cannot be reached: {source}")]
    Unreachable { what: String, source: outbound::Error },
    /// Not called: an administrator would have to permit it.
    #[error("{what}: {source}")]
    Refused { what: String, source: outbound::Error },
    #[error("{what}: larger than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    /// Somebody else changed it since we looked.
    #[error("{what}: changed by somebody else meanwhile: {reason}")]
    Conflict { what: String, reason: String },
    /// The answer is not what was asked for, or the forge does not do what it was told.
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },
}

impl Error {
    /// Whether the same may work in a moment, with nothing changed by anybody.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::RateLimited { .. } | Self::Conflict { .. })
    }

    /// When it makes sense to try again, if the forge said so.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Unreachable { source, .. } => source.retry_at(),
            Self::RateLimited { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Whether the forge has the thing and the right to it in question: an answer, and none that we want.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Forbidden { .. })
    }

    /// What is refused with one of these words is no longer as we saw it.
    pub(crate) fn or_conflict(self, words: &[&str]) -> Self {
        match self {
            Self::Invalid { what, reason } if words.iter().any(|word| reason.contains(word)) => {
                Self::Conflict { what, reason }
            }
            other => other,
        }
    }

    /// A forge's answer about `what` that cannot be.
    pub(crate) fn invalid(what: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self::Invalid { what: what.to_string(), reason: reason.to_string() }
    }

    pub(crate) fn of(what: &str, source: outbound::Error) -> Self {
        let what = what.to_owned();
        match source {
            outbound::Error::Refused { .. } | outbound::Error::Request { .. } => {
                Self::Refused { what, source }
            }
            outbound::Error::TooLarge { limit, .. } => Self::TooLarge { what, limit },
            outbound::Error::RateLimited { until, .. } => Self::RateLimited { what, until },
            outbound::Error::Decode { .. } => Self::Invalid { what, reason: source.to_string() },
            outbound::Error::Status { status: 401, .. } => {
                Self::Unauthorized { what, reason: source.to_string() }
            }
            outbound::Error::Status { status: 403, .. } => {
                Self::Forbidden { what, reason: source.to_string() }
            }
            outbound::Error::Status { status: 404 | 410, .. } => Self::NotFound { what },
            outbound::Error::Status { status, .. } if status < 500 && !matches!(status, 408 | 425) => {
                Self::Invalid { what, reason: source.to_string() }
            }
            _ => Self::Unreachable { what, source },
        }
    }
}
