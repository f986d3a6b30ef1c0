//! What answers on the port of webhooks (spec sections 4.1 and 5).

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use fleet::http::{Intake, Peer, RequestId};
use fleet::{Clock, ObjectKey};
use forge::signature::{Sender, delivery_id};
use http::{HeaderMap, Method, StatusCode};
use ipnet::IpNet;
use pipelines_as_code_api::events::EventReason;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::answer::Answer;
use crate::auto_configure::AutoConfigure;
use crate::credentials::{Credentials, Proof, Unverified, source_of};
use crate::delivery::{self, Parsed};
use crate::event::Event;
use crate::events::Events;
use crate::intake::{About, Content, Delivery, Queue, Webhook};
use crate::metrics::Metrics;
use crate::process::{Outcome, Verdict};
use crate::stores::Repositories;
use crate::{defaults, incoming, settings};

/// For the check of a signature; what takes longer is checked later. The whole answer is due within 10 s.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the handlers need.
pub(crate) struct Parts {
    pub(crate) intake: Intake,
    pub(crate) repositories: Repositories,
    pub(crate) credentials: Credentials,
    pub(crate) settings: settings::Current,
    pub(crate) queue: Queue,
    pub(crate) incoming: incoming::Endpoint,
    pub(crate) auto_configure: AutoConfigure,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
    /// Whose word about where a request came from is believed.
    pub(crate) proxies: Vec<IpNet>,
}

/// A request that was read.
struct Received {
    id: RequestId,
    headers: HeaderMap,
    body: Bytes,
    source: std::net::IpAddr,
}

/// Webhooks on every path but these: `/incoming`, `/live`, and those of `further`.
pub(crate) fn routes(parts: Parts, further: Router) -> Router {
    Router::new()
        .route("/live", get(|| async { "ok" }))
        .route("/incoming", any(handle))
        .fallback(handle)
        .with_state(Arc::new(parts))
        .merge(further)
}

async fn handle(State(parts): State<Arc<Parts>>, request: Request) -> Response {
    if request.method() != Method::POST {
        return Answer::skipped("", "ok").into_response();
    }
    let (head, incoming) = request.into_parts();
    let id = head.extensions.get::<RequestId>().copied();
    let peer = head.extensions.get::<Peer>().map(|peer| peer.0.ip());
    // The server sets both.
    let (Some(id), Some(peer)) = (id, peer) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    // Held as long as the body is.
    let (body, _memory) = match parts.intake.read(&head.headers, incoming).await {
        Ok(read) => read,
        Err(refused) => {
            tracing::warn!(request = %id, reason = %refused, "A request is not read");
            parts.metrics.answered("not_read");
            return refused.into_response();
        }
    };
    let source = source_of(peer, &head.headers, &parts.proxies);
    let answer = if head.uri.path() == "/incoming" {
        let now = parts.clock.now();
        parts.incoming.ask(head.uri.query(), &head.headers, &body, &id.to_string(), now).await
    } else {
        parts.take(Received { id, headers: head.headers, body, source }).await
    };
    parts.metrics.answered(answer.counted_as);
    let (status, reason) = (answer.status.as_u16(), &answer.message);
    tracing::info!(request = %id, status, answer = answer.counted_as, reason, "Answered");
    answer.into_response()
}

impl Parts {
    /// Takes a webhook, or says why not.
    async fn take(&self, received: Received) -> Answer {
        let decoded = match delivery::decode(&received.headers, &received.body) {
            Ok(decoded) => decoded,
            Err(error) => return Answer::malformed(error.to_string()),
        };
        let Some(sender) = Sender::of(&received.headers) else {
            return Answer::skipped("skipped", "no header says which forge the event is of: skipped");
        };
        if let Some(created) = self.auto_configure.wanted(sender, &received.headers, &decoded) {
            return self.configure(&received, &decoded, created).await;
        }
        let event = match delivery::parse(sender, &received.headers, &decoded) {
            Ok(Parsed::Event(event)) => event,
            Ok(Parsed::Skipped(reason)) => return Answer::skipped("skipped", reason),
            Err(error) => return Answer::malformed(error.to_string()),
        };
        // Many times the body: nobody needs it any more.
        drop(decoded);
        if !self.repositories.are_known() {
            return Answer::not_stored("not all Repositories are known yet; try again");
        }
        self.take_event(received, sender, &event).await
    }

    async fn take_event(&self, received: Received, sender: Sender, event: &Event) -> Answer {
        let Received { id, headers, body, source } = received;
        let Some(repository) = self.repositories.watching(&event.url) else {
            // Nothing unusual: where several clusters share a forge each of them hears of everything.
            tracing::debug!(
                url = event.url,
                reason = <&str>::from(EventReason::RepositoryNamespaceMatch),
                "No Repository"
            );
            return Answer::skipped("no_repository", format!("no Repository watches {}: skipped", event.url));
        };
        let key = ObjectKey::of(&*repository);
        let repository = defaults::merged(&repository, self.repositories.global().as_deref());
        let proof = Proof {
            sender,
            installation: event.installation,
            headers: &headers,
            body: &body,
            source: Some(source),
        };
        let verified = timeout(PATIENCE, self.credentials.verify(&repository, proof)).await;
        let verified = verified.unwrap_or_else(|_| Err(Unverified::NotNow("it took too long".to_owned())));
        let webhook = |is_verified| Webhook {
            sender,
            headers: headers.clone(),
            body,
            source: Some(source),
            is_verified,
        };
        let delivery = |webhook: Webhook| Delivery {
            id: name_of(&webhook),
            repository: key,
            content: Content::Webhook(webhook),
            received: self.clock.now(),
        };
        let delivery = match verified {
            Ok(()) => delivery(webhook(true)),
            Err(Unverified::NotNow(reason)) => {
                tracing::warn!(request = %id, reason, "A delivery cannot be verified now; it is before it is worked on");
                delivery(webhook(false))
            }
            Err(Unverified::Refused(text)) => {
                let about = About::delivery(&delivery(webhook(false)))
                    .with("commit", event.commit.as_ref().map(ToString::to_string));
                tracing::warn!(request = %id, reason = text, "A delivery is refused");
                self.events.warn(&repository, EventReason::RepositorySecretValidation, &text).await;
                let outcome = Outcome { result: Verdict::Refused, text, runs: Vec::new() };
                self.queue.record().keep(&about, &[outcome]).await;
                let text = "refused: the delivery does not prove where it comes from";
                return Answer::new(StatusCode::UNAUTHORIZED, "refused", text);
            }
        };
        match self.queue.put(&delivery).await {
            Ok(()) => Answer::accepted(),
            Err(error) => Answer::not_stored(error.to_string()),
        }
    }

    /// A repository was made at GitHub that gets a namespace and a Repository.
    async fn configure(
        &self,
        received: &Received,
        decoded: &Value,
        created: crate::auto_configure::Created,
    ) -> Answer {
        let installation = decoded["installation"]["id"].as_u64();
        let proof = Proof {
            sender: Sender::GitHub,
            installation,
            headers: &received.headers,
            body: &received.body,
            source: Some(received.source),
        };
        match self.credentials.verify_as_ours(proof).await {
            Ok(()) => self.auto_configure.configure(created, &self.settings.get()).await,
            Err(Unverified::NotNow(reason)) => Answer::not_stored(reason),
            Err(Unverified::Refused(reason)) => {
                tracing::warn!(request = %received.id, reason, "A delivery is refused");
                let text = "refused: the delivery does not prove where it comes from";
                Answer::new(StatusCode::UNAUTHORIZED, "refused", text)
            }
        }
    }
}

/// What the sender calls a delivery. One without a name is called after its body, so that a repeated one has the same.
fn name_of(webhook: &Webhook) -> String {
    delivery_id(&webhook.headers).map_or_else(
        || format!("sha256-{}", HEXLOWER.encode(&Sha256::digest(&webhook.body)[..16])),
        str::to_owned,
    )
}
