//! What can go wrong with a forge.

use fleet::outbound;
use jiff::Timestamp;

/// Why something cannot be had of a forge.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Error {
    /// Forges say this also of what the token may not see.
    #[error("{what}: the forge knows of no such thing, or does not show it to us")]
    NotFound { what: String },
    #[error("{what}: the forge does not take our token, or does not let it read this")]
    Unauthorized { what: String },
    /// Not for now: the network, or an error of the forge's own.
    #[error("{what}: the forge cannot be reached: {source}")]
    Unreachable { what: String, source: outbound::Error },
    /// Not called: an administrator would have to permit it.
    #[error("{what}: {source}")]
    Refused { what: String, source: outbound::Error },
    #[error("{what}: larger than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    /// The answer is not what was asked for.
    #[error("{what}: {reason}")]
    Invalid { what: String, reason: String },
}

impl Error {
    /// Whether the same may work in a moment, with nothing changed by anybody.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// When it makes sense to try again, if the forge said so.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Unreachable { source, .. } => source.retry_at(),
            _ => None,
        }
    }

    pub(crate) fn of(what: &str, source: outbound::Error) -> Self {
        let what = what.to_owned();
        match source {
            outbound::Error::Refused { .. } | outbound::Error::Request { .. } => {
                Self::Refused { what, source }
            }
            outbound::Error::TooLarge { limit, .. } => Self::TooLarge { what, limit },
            outbound::Error::Status { status: 401 | 403, .. } => Self::Unauthorized { what },
            // GitHub says 422 of a revision that is none.
            outbound::Error::Status { status: 404 | 422, .. } => Self::NotFound { what },
            outbound::Error::Decode { .. } => Self::Invalid { what, reason: source.to_string() },
            outbound::Error::Status { status, .. } if status < 500 => {
                Self::Invalid { what, reason: source.to_string() }
            }
            _ => Self::Unreachable { what, source },
        }
    }
}
