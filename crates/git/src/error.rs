//! Why nothing was fetched.

use fleet::{Class, Classed as _, outbound};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// HTTP 401, 403 or 404.
    #[error("there is no such repository, or not for everybody (HTTP {status})")]
    NoRepository { status: u16 },
    #[error("the program git is not installed")]
    NotInstalled,
    /// What was asked for is not there, or not within the limits: the same question has the same answer.
    #[error("{0}")]
    Refused(String),
    /// It did not work, this time.
    #[error("{0}")]
    Broken(String),
}

impl Error {
    /// Whether it is worth to be tried again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Broken(_))
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

impl From<outbound::Error> for Error {
    fn from(error: outbound::Error) -> Self {
        let why = error.to_string();
        if error.class() == Class::Retry { Self::Broken(why) } else { Self::Refused(why) }
    }
}
