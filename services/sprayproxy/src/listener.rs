//! What answers on the port of webhooks.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use fleet::http::{Intake, Peer, RequestId};
use http::{HeaderValue, StatusCode, header};
use tokio::time::Instant;

use crate::delivery::Delivery;
use crate::headers;
use crate::metrics::Metrics;
use crate::secrets::Gate;
use crate::spray::{Answer, Sprayer};

/// Two years.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Listener(pub(crate) Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) intake: Intake,
    pub(crate) gate: Gate,
    pub(crate) sprayer: Sprayer,
    pub(crate) metrics: Metrics,
}

/// `POST /` and `/proxy`, and that we are alive; `further` routes beside them, all of them logged.
pub(crate) fn routes(listener: Listener, further: Router, is_tls: bool) -> Router {
    let webhook = get(healthy).post(proxy);
    let routes = Router::new()
        .route("/", webhook.clone())
        .route("/proxy", webhook)
        .with_state(listener)
        .route("/healthz", get(healthy))
        .merge(further);
    let routes = if is_tls { routes.layer(middleware::map_response(strictly)) } else { routes };
    routes.layer(middleware::from_fn(log))
}

async fn healthy() -> &'static str {
    "healthy"
}

async fn strictly(mut response: Response) -> Response {
    response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    response
}

async fn proxy(State(Listener(parts)): State<Listener>, request: Request) -> Response {
    let began = Instant::now();
    parts.metrics.inbound();
    let (head, incoming) = request.into_parts();
    let id = head.extensions.get::<RequestId>().copied();
    let peer = head.extensions.get::<Peer>().map(|peer| peer.0.ip());
    // The server sets both.
    let (Some(id), Some(peer)) = (id, peer) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let (body, memory) = match parts.intake.read(&head.headers, incoming).await {
        Ok(read) => read,
        Err(refused) => {
            tracing::warn!("request-id" = %id, reason = %refused, "A webhook is not read");
            parts.metrics.refused((&refused).into());
            let mut response = refused.into_response();
            if refused.status() == StatusCode::PAYLOAD_TOO_LARGE {
                *response.body_mut() = "request body too large".into();
            }
            return response;
        }
    };
    if let Err(refusal) = parts.gate.check(&head.headers, &body) {
        tracing::warn!("request-id" = %id, reason = %refusal, "A webhook is refused");
        parts.metrics.refused((&refusal).into());
        return (StatusCode::BAD_REQUEST, "bad request").into_response();
    }
    let headers = headers::end_to_end(&head.headers, peer);
    let delivery = Delivery::new(id, &head.uri, headers, body, memory);
    match parts.sprayer.spray(delivery, began).await {
        Answer::Proxied => (StatusCode::OK, "proxied").into_response(),
        Answer::Failed => (StatusCode::BAD_GATEWAY, "failed to proxy").into_response(),
    }
}

/// A line for every request.
async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default();
    let client = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let (status, elapsed) = (response.status().as_u16(), began.elapsed());
    // Probes come every few seconds and say nothing.
    if uri.path() == "/healthz" {
        tracing::debug!("request-id" = id, status, "Probed");
    } else {
        let query = fleet::redact(uri.query().unwrap_or_default());
        tracing::info!("request-id" = id, %method, path = uri.path(), query, ?client, status, latency = ?elapsed, "Request");
    }
    response
}
