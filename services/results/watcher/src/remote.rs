//! The results API, as far as the watcher uses it.

use fleet::{Class, Classed};
use results_api::client::{self, Settings, Token, Transport};
use results_api::v1alpha2::logs_client::LogsClient;
use results_api::v1alpha2::results_client::ResultsClient;
use tonic::{Code, Status};

use crate::args::{Args, AuthMode};

/// Why the API did not do what it was asked. Cheap to tell apart by its code.
#[derive(Debug, thiserror::Error)]
#[error("{what} of the results API: {} ({:?})", .status.message(), .status.code())]
pub(crate) struct Error {
    what: String,
    status: Status,
}

impl Error {
    pub(crate) fn of(what: impl Into<String>, status: Status) -> Self {
        Self { what: what.into(), status }
    }

    pub(crate) fn code(&self) -> Code {
        self.status.code()
    }

    /// Whether the answer to this very request will be the same next time.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self.code(), Code::InvalidArgument | Code::OutOfRange)
    }
}

impl Classed for Error {
    fn class(&self) -> Class {
        if self.is_permanent() { Class::Wait } else { Class::Retry }
    }

    fn label(&self) -> &'static str {
        "ResultsApi"
    }
}

/// Connects when it is first used. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Remote {
    transport: Transport,
}

impl Remote {
    /// Fails if a flag makes no sense, never because the API is away.
    pub(crate) fn new(args: &Args) -> Result<Self, client::Error> {
        let (scheme, ca, token) = match args.auth_mode {
            AuthMode::Insecure => ("http", None, Token::None),
            AuthMode::Nothing => ("https", Some(args.api_ca.clone()), Token::None),
            AuthMode::Token => {
                let token =
                    args.token.clone().map_or_else(|| Token::File(args.token_file.clone()), Token::Text);
                ("https", Some(args.api_ca.clone()), token)
            }
        };
        let address = format!("{scheme}://{}", args.api_addr);
        Ok(Self { transport: Transport::new(Settings { address, ca, server_name: None, token })? })
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport.clone()
    }

    pub(crate) fn results(&self) -> ResultsClient<Transport> {
        self.transport.results()
    }

    pub(crate) fn logs(&self) -> LogsClient<Transport> {
        self.transport.logs()
    }
}
