//! A member cluster's receiver of webhooks, as far as sprayproxy sees one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::proxy::PATIENCE;

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Answers never.
pub(crate) const HANGS: u16 = 0;

#[derive(Clone)]
struct Shared {
    seen: watch::Sender<Vec<Seen>>,
    status: Arc<AtomicU16>,
}

/// Listens on loopback until it is dropped or stopped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    shared: Shared,
    serving: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    /// At an address that was another's.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { seen: watch::channel(Vec::new()).0, status: Arc::new(AtomicU16::new(202)) };
        let app = Router::new()
            .fallback(take)
            .with_state(shared.clone())
            .layer(axum::extract::DefaultBodyLimit::disable());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, shared, serving }
    }

    /// An address where nobody listens.
    pub(crate) async fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// With what it answers from now on.
    pub(crate) fn answers(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    /// Waits for so many requests, and returns them.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Seen> {
        self.wait_for(PATIENCE, count).await
    }

    pub(crate) async fn wait_for(&self, patience: Duration, count: usize) -> Vec<Seen> {
        let mut seen = self.shared.seen.subscribe();
        let arrived = timeout(patience, seen.wait_for(|seen| seen.len() >= count)).await;
        let Ok(arrived) = arrived else { panic!("{count} requests expected, {} arrived", self.seen().len()) };
        arrived.unwrap().clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.seen.send_modify(|seen| seen.push(Seen { method, uri, headers, body }));
    match shared.status.load(Ordering::SeqCst) {
        HANGS => std::future::pending().await,
        status => (StatusCode::from_u16(status).unwrap(), format!("status {status}")).into_response(),
    }
}
