//! Whether calls can be served: the database answers.
//!
//! `GET /healthz` and the health service of gRPC say it to clients. Whether the *process* is alive is asked at another
//! port (`--health-addr`): a database that is away is no reason to start it anew.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::grpc::{LOGS, RESULTS};
use crate::store::Store;

const EVERY: Duration = Duration::from_secs(2);

/// A database that is busy may miss one question.
const MISSES: u32 = 2;

/// What is known now. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Health(Arc<watch::Sender<bool>>);

impl Health {
    /// Not serving until it is known better.
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }

    pub(crate) fn is_serving(&self) -> bool {
        *self.0.borrow()
    }

    /// Asks the database for ever, and says what it finds out also to `reporter`.
    pub(crate) async fn follow(self, store: Store, reporter: HealthReporter, has_logs: bool) {
        let mut missed = 0;
        loop {
            missed = if store.is_up().await { 0 } else { missed + 1 };
            let is_serving = missed == 0 || (self.is_serving() && missed < MISSES);
            if is_serving != self.is_serving() {
                if is_serving {
                    tracing::info!("The database answers");
                } else {
                    tracing::warn!("The database does not answer");
                }
            }
            report(&reporter, is_serving, has_logs).await;
            self.0.send_replace(is_serving);
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Clients that watch are told of changes only.
pub(crate) async fn report(reporter: &HealthReporter, is_serving: bool, has_logs: bool) {
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    let logs = has_logs.then_some(LOGS);
    for service in ["", RESULTS].into_iter().chain(logs) {
        reporter.set_service_status(service, status).await;
    }
}

pub(crate) fn routes(health: Health) -> Router {
    Router::new().route("/healthz", get(healthz)).with_state(health)
}

async fn healthz(State(health): State<Health>) -> Response {
    let (status, word) = if health.is_serving() {
        (StatusCode::OK, "SERVING")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "NOT_SERVING")
    };
    (status, [(header::CONTENT_TYPE, "application/json")], format!(r#"{{"status":"{word}"}}"#))
        .into_response()
}
