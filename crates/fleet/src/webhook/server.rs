//! The HTTPS server: limits before anything is read, and certificates that change under open connections.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use http::{StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::Error;
use super::hook::Hook;
use super::metrics::Metrics;
use crate::certificate::Certificates;
use crate::http::{capped, follow};

/// Of all reviews that are being read and answered. More is turned away, not queued: the API server waits.
const BYTES_IN_FLIGHT: usize = 64 * 1024 * 1024;
/// API servers need one or two each.
const CONNECTIONS: usize = 256;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the end of the header to the answer. Our configurations have the API server wait 5 s.
const DEADLINE: Duration = Duration::from_secs(10);
/// What is late by its own deadline is counted; the connection's comes after.
const SLACK: Duration = Duration::from_secs(5);
/// For requests in hand when the server has to end.
const GRACE: Duration = Duration::from_secs(10);
const PING_EVERY: Duration = Duration::from_secs(30);

/// Answers the API server. Made by [`super::Webhooks::bind`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    ready: watch::Sender<bool>,
}

impl Server {
    pub(super) fn bind(
        address: SocketAddr,
        hooks: BTreeMap<&'static str, Arc<dyn Hook>>,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let in_flight = Arc::new(Semaphore::new(BYTES_IN_FLIGHT / 1024));
        let router = hooks.into_iter().fold(Router::new(), |router, (path, hook)| {
            let (metrics, in_flight) = (metrics.clone(), in_flight.clone());
            let answer = move |request: Request| async move {
                let started = Instant::now();
                let response = tokio::time::timeout(DEADLINE, answer(&*hook, &in_flight, request)).await;
                let response = response.unwrap_or_else(|_| StatusCode::GATEWAY_TIMEOUT.into_response());
                metrics.observe(path, response.status(), started.elapsed());
                response
            };
            router.route(path, post(answer))
        });
        Ok(Self { listener, address, router, ready: watch::channel(false).0 })
    }

    /// The address that was taken.
    pub fn listening(&self) -> SocketAddr {
        self.address
    }

    /// True while requests are answered: from the first certificate on, until the server is told to end.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Serves until cancelled, then finishes the requests in hand, for at most 10 s. Waits for a first certificate;
    /// later ones are taken up without touching open connections, and one that cannot be used is passed over.
    pub async fn run(self, mut certificates: Certificates, cancel: CancellationToken) -> Result<(), Error> {
        let first = tokio::select! {
            first = certificates.wait_for(Option::is_some) => first.ok().and_then(|bundle| bundle.clone()),
            () = cancel.cancelled() => None,
        };
        // No certificate any more: its source has ended, which it does only when cancelled.
        let Some(first) = first else { return Ok(()) };
        let tls = RustlsConfig::from_config(Arc::new(first.server_config().map_err(Error::Certificate)?));

        let address = self.address;
        let failed = |source| Error::Serve { address, source };
        let handle = Handle::new();
        let mut server = from_tcp_rustls(self.listener, tls.clone()).map_err(failed)?.handle(handle.clone());
        server = server.first_request_timeout(HEADER_TIMEOUT).accept_error_handler(
            |peer: Option<&SocketAddr>, error| tracing::debug!(?peer, error = %error, "Could not accept a connection"),
        );
        server.http_builder().http1().header_read_timeout(HEADER_TIMEOUT);
        server.http_builder().http2().keep_alive_interval(PING_EVERY).keep_alive_timeout(HEADER_TIMEOUT);

        self.ready.send_replace(true);
        let serving = server.serve(service_fn(capped(self.router, CONNECTIONS, DEADLINE + SLACK)));
        tokio::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            never = follow(&mut certificates, &tls) => match never {},
            () = cancel.cancelled() => {
                self.ready.send_replace(false);
                handle.graceful_shutdown(Some(GRACE));
                serving.await
            }
        };
        self.ready.send_replace(false);
        ended.map_err(failed)
    }
}

/// Reads the body within its limits and lets `hook` answer.
async fn answer(hook: &dyn Hook, in_flight: &Semaphore, request: Request) -> Response {
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let largest = hook.largest_body();
    if declared.is_some_and(|length: usize| length > largest) {
        return too_large(largest);
    }
    // One who does not say how much is coming is counted with the most that is read.
    let kibibytes = declared.unwrap_or(largest).div_ceil(1024).max(1);
    let Ok(_permit) = in_flight.try_acquire_many(u32::try_from(kibibytes).unwrap_or(u32::MAX)) else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")]).into_response();
    };
    match Limited::new(request.into_body(), largest).collect().await {
        Ok(body) => hook.answer(&body.to_bytes()).await,
        Err(error) if error.is::<LengthLimitError>() => too_large(largest),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn too_large(largest: usize) -> Response {
    let reason = format!("a review under this path may have {largest} bytes; ask for fewer objects at once");
    (StatusCode::PAYLOAD_TOO_LARGE, reason).into_response()
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::{Body, Bytes};
    use futures::FutureExt as _;
    use futures::future::BoxFuture;
    use rstest::rstest;

    use super::*;

    /// Answers with the number of bytes that it was given.
    struct Count;

    impl Hook for Count {
        fn answer<'a>(&'a self, body: &'a [u8]) -> BoxFuture<'a, Response> {
            std::future::ready(body.len().to_string().into_response()).boxed()
        }
    }

    /// `declares` goes into the header, `sends` through the body, in pieces.
    fn request(declares: Option<usize>, sends: usize) -> Request {
        let piece = Bytes::from(vec![b' '; 64 * 1024]);
        let pieces = std::iter::repeat_n(piece, sends / (64 * 1024)).map(Ok::<_, io::Error>);
        let mut request = Request::new(Body::from_stream(futures::stream::iter(pieces)));
        if let Some(declares) = declares {
            request.headers_mut().insert(header::CONTENT_LENGTH, declares.into());
        }
        request
    }

    const MIB: usize = 1024 * 1024;

    #[rstest]
    #[case::fits(Some(MIB), MIB, StatusCode::OK)]
    #[case::fits_exactly(Some(4 * MIB), 4 * MIB, StatusCode::OK)]
    #[case::declares_too_much(Some(4 * MIB + 1), 0, StatusCode::PAYLOAD_TOO_LARGE)]
    #[case::sends_too_much(None, 5 * MIB, StatusCode::PAYLOAD_TOO_LARGE)]
    #[case::sends_more_than_it_declares(Some(1), 5 * MIB, StatusCode::PAYLOAD_TOO_LARGE)]
    #[tokio::test]
    async fn limits_the_size(
        #[case] declares: Option<usize>,
        #[case] sends: usize,
        #[case] expected: StatusCode,
    ) {
        let in_flight = Semaphore::new(BYTES_IN_FLIGHT / 1024);
        let response = answer(&Count, &in_flight, request(declares, sends)).await;
        assert_eq!(response.status(), expected);
        assert_eq!(in_flight.available_permits(), BYTES_IN_FLIGHT / 1024, "all is given back");
    }

    #[tokio::test]
    async fn turns_away_what_would_not_fit_into_memory() {
        let in_flight = Semaphore::new(4 * 1024);
        let taken = in_flight.try_acquire_many(1025).unwrap();
        let response = answer(&Count, &in_flight, request(Some(3 * MIB), 3 * MIB)).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        drop(taken);
        let response = answer(&Count, &in_flight, request(Some(3 * MIB), 3 * MIB)).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}
