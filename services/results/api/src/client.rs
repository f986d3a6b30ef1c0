//! The gRPC client: one connection, made when it is first needed and again whenever it is lost.
//!
//! ```text
//! ResultsClient ─┐                 ┌ token: read again every 10 s
//! LogsClient ────┴──▶ Transport ───┤
//!                                  └ Channel ── Connector: authorities read again for each connection ── TLS ──▶ server
//! ```
//! Tokens and authorities that change on disk are taken up without a restart. A server that cannot be reached is the
//! error of the call (UNAVAILABLE), never of making the client.

mod connect;
mod token;

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::uri::{InvalidUri, Uri};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint};

use crate::v1alpha2::{logs_client::LogsClient, results_client::ResultsClient};
use connect::Connector;
pub use token::Token;

/// A connection over which nothing comes is asked for a sign of life this often.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Without a sign of life for this long it is given up.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest message that is taken: a page of records of some MiB each.
const LARGEST: usize = 100 << 20;

/// Where the API is, and who asks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://host:port`, or `host:port`, which means the same; `http://host:port` for a connection that anybody on the
    /// way can read.
    pub address: String,
    /// PEM of the authorities that may have signed the server's certificate. None: those of the machine.
    pub ca: Option<PathBuf>,
    /// Name in the server's certificate, where the address has another: that of a tunnel or of a node port. None: the
    /// host of the address.
    pub server_name: Option<String>,
    pub token: Token,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("address of the results API `{address}`: write it as https://host:port")]
    Address { address: String, source: Option<InvalidUri> },
    #[error(
        "address of the results API `{address}`: a token may not be sent unencrypted; use https://, or give no token"
    )]
    Exposed { address: String },
    #[error("server name of the results API `{name}`: expected a host name or an IP address")]
    ServerName { name: String },
    #[error("the token for the results API must be one line of printable ASCII, without blanks")]
    Token,
}

/// What fails a call before it reaches the server; calls see it as their status.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connection, with the token put into each call. Cheap to clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct Transport {
    channel: Channel,
    token: token::Source,
}

impl Transport {
    /// Connects with the first call. Files may come into being until then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { address, ca, server_name, token } = settings;
        let uri = uri(&address)?;
        let is_exposed = uri.scheme() == Some(&http::uri::Scheme::HTTP) && !is_on_this_machine(&uri);
        if is_exposed && token.is_some() {
            return Err(Error::Exposed { address });
        }
        let token = token::Source::new(token)?;
        let name = match server_name {
            Some(name) => Some(name.clone().try_into().map_err(|_| Error::ServerName { name })?),
            None => None,
        };
        let endpoint = Endpoint::from(uri)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        Ok(Self { channel: Channel::new(Connector::new(ca, name), endpoint), token })
    }

    pub fn results(&self) -> ResultsClient<Self> {
        ResultsClient::new(self.clone()).max_decoding_message_size(LARGEST)
    }

    pub fn logs(&self) -> LogsClient<Self> {
        LogsClient::new(self.clone()).max_decoding_message_size(LARGEST)
    }
}

fn uri(address: &str) -> Result<Uri, Error> {
    let wrong = |source| Error::Address { address: address.to_owned(), source };
    let full = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
    let uri: Uri = full.parse().map_err(|source| wrong(Some(source)))?;
    let is_usable = matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none();
    if is_usable { Ok(uri) } else { Err(wrong(None)) }
}

fn is_on_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Service<http::Request<Body>> for Transport {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The one that is ready goes with the call; its clone has to become ready itself.
        let next = self.channel.clone();
        let mut channel = std::mem::replace(&mut self.channel, next);
        let token = self.token.clone();
        Box::pin(async move {
            if let Some(bearer) = token.bearer().await? {
                request.headers_mut().insert(AUTHORIZATION, bearer);
            }
            channel.call(request).await.map_err(BoxError::from)
        })
    }
}

#[cfg(test)]
mod tests;
