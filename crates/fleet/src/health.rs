//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::RwLock;
use prometheus::{Encoder as _, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why an address could not be served.
#[derive(Debug, thiserror::Error)]
#[error("--{flag} {address}: cannot listen; is another process using the port?")]
pub struct BindError {
    pub flag: &'static str,
    pub address: SocketAddr,
    pub source: std::io::Error,
}

/// What is missing, in words; `None` when nothing is.
type Check = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What has to be true before the service counts as ready. Cheap to clone.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Arc<RwLock<Vec<Check>>>,
    stopping: CancellationToken,
}

impl Readiness {
    /// Not ready any more from when `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self { checks: Arc::default(), stopping }
    }

    /// Adds a condition; `name` is shown while it does not hold.
    pub fn require(&self, name: impl Into<String>, is_met: impl Fn() -> bool + Send + Sync + 'static) {
        let name = name.into();
        self.explain(move || (!is_met()).then(|| name.clone()));
    }

    /// Adds a condition that says itself what is missing while it does not hold.
    pub fn explain(&self, missing: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.checks.write().push(Arc::new(missing));
    }

    /// What is missing; empty when ready.
    pub fn missing(&self) -> Vec<String> {
        if self.stopping.is_cancelled() {
            return vec!["stopping".to_owned()];
        }
        self.checks.read().iter().filter_map(|missing| missing()).collect()
    }
}

/// A bound address, so that a taken port ends the start and not the run.
pub async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { flag, address, source })
}

/// Serves `/healthz` and `/readyz` until `cancel`.
pub async fn serve_health(
    listener: TcpListener,
    readiness: Readiness,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    let app = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .with_state(readiness);
    axum::serve(listener, app).with_graceful_shutdown(cancel.cancelled_owned()).await
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", missing.join(", "))).into_response()
    }
}

/// Serves `/metrics` until `cancel`.
pub(crate) async fn serve_metrics(
    listener: TcpListener,
    registry: Registry,
    cancel: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, metrics_routes(registry)).with_graceful_shutdown(cancel.cancelled_owned()).await
}

/// Serves `/metrics` for as long as the process is there, for a program that ends when its work is done.
pub async fn serve_metrics_to_the_end(address: SocketAddr, registry: Registry) -> Result<(), BindError> {
    let listener = bind("metrics-addr", address).await?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, metrics_routes(registry)).await {
            tracing::warn!(error = %error, "Metrics are no longer served");
        }
    });
    Ok(())
}

/// `/metrics`, for a server that asks for more than the one above.
pub fn metrics_routes(registry: Registry) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(registry)
}

async fn metrics(State(registry): State<Registry>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&registry.gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "Metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing_until_it_holds_and_stops_being_ready_first() {
        let stopping = CancellationToken::new();
        let readiness = Readiness::new(stopping.clone());
        let synced = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = Arc::clone(&synced);
        readiness.require("Components", move || flag.load(std::sync::atomic::Ordering::SeqCst));
        assert_eq!(readiness.missing(), ["Components"]);
        synced.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(readiness.missing().is_empty());
        stopping.cancel();
        assert_eq!(readiness.missing(), ["stopping"]);
    }

    #[tokio::test]
    async fn a_taken_port_names_the_flag() {
        let taken = bind("metrics-addr", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = bind("metrics-addr", taken.local_addr().unwrap()).await.unwrap_err();
        assert!(error.to_string().starts_with("--metrics-addr 127.0.0.1:"), "{error}");
    }
}
