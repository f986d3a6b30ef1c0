//! What goes wrong with a log, and what the client is told.

use fleet::controller::chain;
use tonic::{Code, Status};

use crate::grpc::store_status;
use crate::{logs, store};

#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    #[error("Log doesn't exist: nothing is stored for {name}")]
    Empty { name: String },
    #[error("{name}: {reason}; write the record again")]
    NoLog { name: String, reason: String },
    #[error("all messages of an upload carry one name: it began with {wanted:?} and then came {other:?}")]
    Names { wanted: String, other: String },
    #[error("{name} is changed all the time: send the log again")]
    Busy { name: String },
    /// The stream of the client failed.
    #[error("{}", _0.message())]
    Stream(Status),
    #[error(transparent)]
    Database(#[from] store::Error),
    /// Its own text may name folders and buckets: it is logged, not sent.
    #[error("the log store failed; try again later")]
    Storage(#[from] logs::Error),
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let code = match error {
            Error::Empty { .. } => Code::NotFound,
            Error::NoLog { .. } => Code::FailedPrecondition,
            Error::Names { .. } => Code::InvalidArgument,
            Error::Busy { .. } | Error::Storage(logs::Error::Interrupted { .. }) => Code::Aborted,
            Error::Stream(status) => return status,
            Error::Database(database) => return store_status(database),
            Error::Storage(logs::Error::TooLong { .. }) => Code::OutOfRange,
            Error::Storage(storage) => {
                tracing::error!(error = chain(&storage), "The log store failed");
                Code::Internal
            }
        };
        Self::new(code, text)
    }
}
