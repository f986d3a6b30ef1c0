//! From an accepted delivery to what became of it.
//!
//! ```text
//! listener ─┐                 ┌─ lane of Repository a ─┐
//! incoming ─┼─▶ Queue ─spool──┼─ lane of Repository b ─┼─ turns ─▶ Worker ─▶ Process ─▶ outcomes, metrics
//! watch ────┘                 └─ …                     ┘
//! ```
//! What [`Queue::put`] has taken survives the process, and is worked on until that is done. Each Repository has a lane of its own
//! with few deliveries at once, and the lanes take turns: a burst of one tenant delays no other.

mod annotations;
mod handled;
mod lanes;
mod stored;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use fleet::{ObjectKey, TraceContext};
use forge::signature::Sender;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::HeaderMap;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use spool::{First, Put, PutError, Spool, To};

pub(crate) use self::annotations::Annotations;
pub(crate) use self::handled::{About, Record};
pub use self::lanes::{Lanes, Limits};
pub use self::worker::Worker;
use crate::metrics::Metrics;
use crate::process::{Processed, Processor, Work};

/// Something to be worked on.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// What the sender calls it, the same for a repeated one: names of runs come of it.
    pub id: String,
    /// The Repository that it is for. It may be gone by now.
    pub repository: ObjectKey,
    pub content: Content,
    pub received: Timestamp,
}

/// What a [`Delivery`] brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A forge's webhook as it came in.
    Webhook(Webhook),
    /// Somebody asks for a run, and may.
    Incoming(Requested),
}

/// A forge's webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    pub sender: Sender,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Where it came from, as far as that can be believed.
    pub source: Option<std::net::IpAddr>,
    /// Whether it is proven to come from the sender. If not it is checked before it is worked on.
    pub is_verified: bool,
}

/// A run that is asked for without an event (spec section 4.7).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Requested {
    pub branch: String,
    /// Name of the run in `.tekton/`.
    pub pipeline_run: String,
    pub params: BTreeMap<String, String>,
    pub by: By,
}

/// How somebody asks for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum By {
    /// By `POST /incoming`.
    Http,
    /// By an annotation of the Repository: who asked looks for the outcome there.
    Annotation,
}

impl Delivery {
    /// The W3C trace context that it came with.
    fn traceparent(&self) -> Option<&str> {
        let Content::Webhook(webhook) = &self.content else { return None };
        let text = webhook.headers.get("traceparent")?.to_str().ok()?;
        TraceContext::parse(text).map(|_| text)
    }

    /// What it is called in the spool. Ids of two tenants must not meet, and some forges use one id for several deliveries.
    pub(crate) fn key(&self) -> String {
        let key = format!("{}/{}", self.repository, self.id);
        match &self.content {
            Content::Webhook(webhook) => {
                format!("{key}+{}", HEXLOWER.encode(&Sha256::digest(&webhook.body)[..8]))
            }
            Content::Incoming(_) => key,
        }
    }
}

/// Works on what is verified, and whose forge can be talked to.
pub trait Process: Send + Sync + 'static {
    /// A repeated call for the same delivery does nothing twice: the program may end between the work and the note of it.
    fn process(&self, work: Work) -> BoxFuture<'_, Processed>;
}

impl Process for Processor {
    fn process(&self, work: Work) -> BoxFuture<'_, Processed> {
        Processor::process(self, work).boxed()
    }
}

/// Takes deliveries. Cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Inner>);

struct Inner {
    spool: Spool,
    lanes: Lanes,
    record: Record,
    metrics: Metrics,
}

impl Queue {
    /// `lanes` work on what is put into `spool`.
    pub fn new(spool: Spool, lanes: Lanes, record: Record, metrics: Metrics) -> Self {
        Self(Arc::new(Inner { spool, lanes, record, metrics }))
    }

    /// Writes a delivery down. One that waits already, or of which runs came already, is not written again, and nothing is wrong
    /// with that.
    pub async fn put(&self, delivery: &Delivery) -> Result<(), PutError> {
        let Inner { spool, lanes, record, metrics } = &*self.0;
        if record.has_started(&delivery.key()) {
            tracing::info!(delivery = delivery.id, repository = %delivery.repository, "A delivery came again");
            return Ok(());
        }
        let lane = delivery.repository.to_string();
        let stored =
            stored::to_spool(delivery).map_err(|error| PutError::Write(std::io::Error::other(error)))?;
        match spool.put(stored, &[To { consumer: &lane, first: First::Now }]).await {
            Ok(Put::Stored(_)) => lanes.wake(&lane),
            Ok(Put::Known) => {}
            Err(error) => {
                tracing::error!(delivery = delivery.id, %error, "A delivery cannot be stored");
                metrics.not_stored();
                return Err(error);
            }
        }
        Ok(())
    }

    /// What became of deliveries.
    pub(crate) fn record(&self) -> &Record {
        &self.0.record
    }
}
