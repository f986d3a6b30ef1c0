//! Reads bodies into a bounded amount of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Room that a body of unknown length begins with; doubled as it comes in.
const FIRST: usize = 16 * 1024;

/// Reads whole bodies, all of them together within a number of bytes. Cheap to clone; the clones share the bytes.
///
/// Bytes count when they arrive, not when they are announced: a stranger who announces much and sends nothing takes
/// nothing from the others.
#[derive(Clone, Debug)]
pub struct Intake {
    free: Arc<Semaphore>,
    largest: usize,
    timeout: Duration,
}

/// The memory of a body, given back when this is dropped: keep it as long as the body.
#[derive(Debug)]
pub struct Held(Option<OwnedSemaphorePermit>);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refused {
    /// HTTP 413.
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// HTTP 503 with `Retry-After`.
    #[error("too many bodies are being worked on")]
    Busy,
    /// HTTP 408.
    #[error("the body did not arrive within {0:?}")]
    TooSlow(Duration),
    /// HTTP 400, though there may be nobody left to read it.
    #[error("the body broke off")]
    BrokeOff,
}

impl Refused {
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::BrokeOff => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Refused {
    /// The status, with `Retry-After` where it makes sense; the body is for the service to choose.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        if self == Self::Busy {
            response.headers_mut().insert(header::RETRY_AFTER, 1.into());
        }
        response
    }
}

impl Intake {
    /// Bodies of at most `largest` bytes, and `in_flight` bytes of all bodies. A body is read within 30 s.
    pub fn new(largest: usize, in_flight: usize) -> Self {
        // Less would refuse each body of the largest size for ever.
        let in_flight = in_flight.max(largest).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(in_flight)), largest, timeout: Duration::from_secs(30) }
    }

    /// How long a body may take to arrive.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bytes that are not taken now.
    pub fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Reads a body. `headers` may announce its length, which is believed only where it leads to a refusal.
    pub async fn read(&self, headers: &HeaderMap, body: Body) -> Result<(Bytes, Held), Refused> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: usize| length > self.largest) {
            return Err(Refused::TooLarge { limit: self.largest });
        }
        if announced.is_some_and(|length| length > self.free()) {
            return Err(Refused::Busy);
        }
        timeout(self.timeout, self.collect(announced, body))
            .await
            .map_err(|_| Refused::TooSlow(self.timeout))?
    }

    async fn collect(&self, announced: Option<usize>, body: Body) -> Result<(Bytes, Held), Refused> {
        let mut pieces = body.into_data_stream();
        let mut content = Vec::new();
        let mut held = Held(None);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| Refused::BrokeOff)?;
            let needed = content.len().saturating_add(piece.len());
            if needed > self.largest {
                return Err(Refused::TooLarge { limit: self.largest });
            }
            match announced {
                // Room for all of it, of which only what arrives becomes memory: nothing is copied, and nothing is twice there.
                Some(length) => {
                    self.take(&mut held, piece.len())?;
                    content.reserve_exact(length.max(needed) - content.len());
                }
                None if needed > content.capacity() => {
                    let wanted =
                        content.capacity().saturating_mul(2).max(FIRST).min(self.largest).max(needed);
                    self.take(&mut held, wanted - content.capacity())?;
                    content.reserve_exact(wanted - content.len());
                }
                None => {}
            }
            content.extend_from_slice(&piece);
        }
        Ok((content.into(), held))
    }

    fn take(&self, held: &mut Held, bytes: usize) -> Result<(), Refused> {
        let bytes = u32::try_from(bytes).map_err(|_| Refused::Busy)?;
        let more = self.free.clone().try_acquire_many_owned(bytes).map_err(|_| Refused::Busy)?;
        match &mut held.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}
