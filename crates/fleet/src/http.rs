//! The HTTP server of endpoints that strangers reach: webhooks of forges, APIs for users.
//!
//! ```text
//! connection ─▶ cap ─▶ TLS ─▶ header ≤ 10 s ─▶ request id ─▶ Router of the service ─▶ Intake: body ≤ limit, bytes in flight
//!                │                                             │ deadline, panics                  │
//!                └─ closed                                     └─ 504, 500                         └─ 413, 408, 503
//! ```
//! The order is that of security.md 5.1: what costs least is checked first, and nothing of a stranger's is kept without
//! a limit. Who the caller is, and what they may, comes after: a webhook's signature over the body that [`Intake`] has
//! read, or [`crate::access`].

mod connection;
mod intake;
mod server;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use connection::capped;
pub use connection::{Peer, RequestId};
pub use intake::{Held, Intake, Refused};
pub use server::Server;
pub(crate) use tls::follow;

/// What a server grants its callers. Sizes of bodies are an [`Intake`]'s.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open at once; more are closed without a word.
    pub connections: usize,
    /// From the first byte of a request, or from the handshake, to the end of the header.
    pub header: Duration,
    /// From the end of the header to the beginning of the answer; then 504.
    pub deadline: Duration,
    /// For requests in hand when the server has to end.
    pub grace: Duration,
}

impl Default for Limits {
    /// 1024 connections, header 10 s, deadline 30 s, grace 5 s.
    fn default() -> Self {
        Self {
            connections: 1024,
            header: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// The server cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--{flag} {address}: cannot listen; is another process using the port?")]
    Bind { flag: &'static str, address: SocketAddr, source: std::io::Error },
    #[error("serve on {address}: the first certificate cannot be used")]
    Certificate { address: SocketAddr, source: crate::certificate::Invalid },
    #[error("serve on {address}")]
    Serve { address: SocketAddr, source: std::io::Error },
}
