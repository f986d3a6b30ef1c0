//! The listener.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::service::SendService;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, from_tcp};
use http::Request;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::connection::Connection;
use super::{Error, Limits, capped, follow};
use crate::certificate::Certificates;

const PING_EVERY: Duration = Duration::from_secs(30);

/// One address that is listened on. Bound at once, so that a taken port ends the start and not the run.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    ready: watch::Sender<bool>,
}

impl Server {
    /// `flag` is how the address is configured, for the error.
    pub fn bind(flag: &'static str, address: SocketAddr, limits: Limits) -> Result<Self, Error> {
        let failed = |source| Error::Bind { flag, address, source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, limits, ready: watch::channel(false).0 })
    }

    /// The address that was taken.
    pub fn listening(&self) -> SocketAddr {
        self.address
    }

    /// True while requests are answered: with TLS from the first certificate on, and until the server is told to end.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Serves until cancelled, then takes no more connections and finishes the requests in hand, as long as its limits
    /// say. With `certificates` over TLS 1.2 and 1.3: waits for a first one, and takes up later ones without touching
    /// open connections. Without, in plain text.
    pub async fn run(
        self,
        router: Router,
        certificates: Option<Certificates>,
        cancel: CancellationToken,
    ) -> Result<(), Error> {
        let Some(mut certificates) = certificates else {
            return self.serve(router, NoDelayAcceptor::new(), cancel).await;
        };
        let first = tokio::select! {
            first = certificates.wait_for(Option::is_some) => first.ok().and_then(|bundle| bundle.clone()),
            () = cancel.cancelled() => None,
        };
        // No certificate any more: its source has ended, which it does only when cancelled.
        let Some(first) = first else { return Ok(()) };
        let config =
            first.server_config().map_err(|source| Error::Certificate { address: self.address, source })?;
        let tls = RustlsConfig::from_config(Arc::new(config));
        let acceptor = RustlsAcceptor::new(tls.clone()).acceptor(NoDelayAcceptor::new());
        tokio::select! {
            ended = self.serve(router, acceptor, cancel) => ended,
            never = follow(&mut certificates, &tls) => match never {},
        }
    }

    /// The end of an answer does not wait for the peer to acknowledge its beginning, which took 40 ms of each small answer of gRPC:
    /// `acceptor` has to set `TCP_NODELAY`.
    async fn serve<A>(self, router: Router, acceptor: A, cancel: CancellationToken) -> Result<(), Error>
    where
        A: Accept<TcpStream, Connection> + Clone + Send + Sync + 'static,
        A::Service: SendService<Request<Incoming>> + Send,
        A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
        A::Future: Send,
    {
        let Self { listener, address, limits, ready } = self;
        let failed = |source| Error::Serve { address, source };
        let handle = Handle::new();
        let mut server = from_tcp(listener)
            .map_err(failed)?
            .acceptor(acceptor)
            .handle(handle.clone())
            .first_request_timeout(limits.header)
            .accept_error_handler(|peer: Option<&SocketAddr>, error| {
                tracing::debug!(?peer, error = %error, "Could not accept a connection");
            });
        server.http_builder().http1().header_read_timeout(limits.header);
        server.http_builder().http2().keep_alive_interval(PING_EVERY).keep_alive_timeout(limits.header);
        ready.send_replace(true);
        let serving = server.serve(service_fn(capped(router, limits.connections, limits.deadline)));
        tokio::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            () = cancel.cancelled() => {
                ready.send_replace(false);
                handle.graceful_shutdown(Some(limits.grace));
                serving.await
            }
        };
        ready.send_replace(false);
        ended.map_err(failed)
    }
}
