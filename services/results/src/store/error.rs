//! What the database's answers mean to a caller.

/// Why a call of the store failed. `Display` is fit for the client: it holds no detail of the database, which is logged
/// instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what} not found")]
    NotFound { what: String },
    #[error("{what} already exists")]
    AlreadyExists { what: String },
    /// Somebody else changed the row since the caller read it.
    #[error("{what}: the etag mismatches; read it again and repeat the change")]
    EtagMismatch { what: String },
    /// The request can never succeed as it is.
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    #[error("the database cannot be reached; try again later")]
    Unavailable(#[source] sqlx::Error),
    #[error("the database took too long; narrow the filter or try again later")]
    Deadline(#[source] sqlx::Error),
    /// A setting of the database connection, or the database's own state, makes serving impossible.
    #[error("{0}")]
    Setup(String),
    #[error("the database failed")]
    Internal(#[source] sqlx::Error),
}

impl Error {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Deadline(_) | Self::Internal(_))
    }

    /// An error of a statement whose text depends on the client's `filter`.
    pub(crate) fn of_filter(error: sqlx::Error) -> Self {
        match code(&error).as_deref() {
            // A value that only the database could judge: a regular expression, a number out of range.
            Some(code) if code.starts_with("22") => Self::invalid("filter", message(&error)),
            Some("54001") => Self::invalid("filter", "nested too deeply"),
            _ => error.into(),
        }
    }

    /// An error of a statement that writes what the client sent as `field`.
    pub(crate) fn of_write(error: sqlx::Error, field: &'static str, what: impl FnOnce() -> String) -> Self {
        match code(&error).as_deref() {
            Some("23505") => Self::AlreadyExists { what: what() },
            Some("23503") => Self::NotFound { what: what() },
            Some("22P05" | "22021") => Self::invalid(
                field,
                "holds the character U+0000 or half of a surrogate pair, which cannot be stored",
            ),
            // Numbers out of range, text too long, documents nested too deeply or with too long a key.
            Some(code) if code.starts_with("22") || code.starts_with("54") => {
                Self::invalid(field, format!("cannot be stored: {}", message(&error)))
            }
            _ => error.into(),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // Cancelled: by the statement timeout, or since the caller left.
                Some("57014" | "25P03") => Self::Deadline(error),
                // Shutting down, starting, out of connections, failed over to a replica, deadlocked.
                Some("57P01" | "57P02" | "57P03" | "53300" | "25006" | "40001" | "40P01" | "55P03") => {
                    Self::Unavailable(error)
                }
                Some(code) if code.starts_with("08") => Self::Unavailable(error),
                _ => Self::Internal(error),
            },
            _ => Self::Internal(error),
        }
    }
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

fn message(error: &sqlx::Error) -> String {
    error.as_database_error().map(|database| database.message().to_owned()).unwrap_or_default()
}
