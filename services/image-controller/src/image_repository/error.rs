//! Why a pass ended early.

use fleet::{Class, Classed, WriteError};

use crate::delivery;
use crate::registry;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the registry")]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Deliver(delivery::Error),
    #[error("read the uid of this cluster")]
    Cluster(#[source] kube::Error),
}

impl From<delivery::Error> for Error {
    fn from(error: delivery::Error) -> Self {
        match error {
            delivery::Error::Write(error) => Self::Write(error),
            other => Self::Deliver(other),
        }
    }
}

impl Classed for Error {
    fn class(&self) -> Class {
        match self {
            Self::Write(error) => error.class(),
            // Where the registry refuses for good, the decision says so in status instead.
            Self::Registry(_) | Self::Deliver(_) | Self::Cluster(_) => Class::Retry,
        }
    }

    fn label(&self) -> &'static str {
        match self {
            Self::Write(error) => error.label(),
            Self::Registry(error) => error.label(),
            Self::Deliver(_) => "deliver",
            Self::Cluster(_) => "cluster",
        }
    }
}
