//! What every connection and every request on it gets.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::StatusCode;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

/// Whom the connection is with: an extension of each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Names a request in logs: an extension of each. Shown as a UUID (version 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u128);

impl RequestId {
    pub(crate) fn random() -> Self {
        Self::from_random(rand::random())
    }

    /// RFC 9562, 5.4: version and variant have fixed places.
    fn from_random(bits: u128) -> Self {
        let version = 0xf << 76;
        let variant = 0x3 << 62;
        Self((bits & !version & !variant) | (0x4 << 76) | (0x2 << 62))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        let part = |shift: u32, bits: u32| (id >> shift) & ((1 << bits) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 32),
            part(80, 16),
            part(64, 16),
            part(48, 16),
            part(0, 48)
        )
    }
}

/// Gives each connection a service that counts against `most` as long as the connection lives. A request that is not
/// answered within `deadline` is answered 504, one that panics 500.
pub(crate) fn capped(
    router: Router,
    most: usize,
    deadline: Duration,
) -> impl FnMut(SocketAddr) -> Ready<io::Result<Connection>> {
    let permits = Arc::new(Semaphore::new(most));
    move |peer| {
        let permit = permits.clone().try_acquire_owned();
        ready(permit.map_err(|_| io::Error::other("too many connections")).map(|permit| Connection {
            router: router.clone(),
            peer: Peer(peer),
            deadline,
            _permit: Arc::new(permit),
        }))
    }
}

/// The service of one connection.
#[derive(Clone)]
pub(crate) struct Connection {
    router: Router,
    peer: Peer,
    deadline: Duration,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Service<http::Request<Incoming>> for Connection {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Incoming>) -> Self::Future {
        let mut request: Request = request.map(Body::new);
        let id = RequestId::random();
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(id);
        let (mut router, deadline) = (self.router.clone(), self.deadline);
        let answer = async move { router.call(request).await };
        Box::pin(async move {
            let response = match tokio::time::timeout(deadline, AssertUnwindSafe(answer).catch_unwind()).await
            {
                Ok(Ok(Ok(response))) => response,
                Ok(Err(_)) => {
                    tracing::error!(request_id = %id, "A request made its handler panic; it is answered 500");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
                Err(_) => {
                    tracing::warn!(request_id = %id, "A request was not answered in time; it is answered 504");
                    StatusCode::GATEWAY_TIMEOUT.into_response()
                }
            };
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_a_uuid() {
        assert_eq!(RequestId::from_random(0).to_string(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(RequestId::from_random(u128::MAX).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let id = RequestId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "01234567-89ab-4def-8123-456789abcdef");
    }
}
