//! One try at one back end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};

use crate::backend::Backend;
use crate::client::Client;
use crate::delivery::Delivery;
use crate::metrics::Metrics;

/// How much of a bad answer is logged.
const LOGGED: usize = 4 * 1024;
/// How much of an answer is read so that its connection can be used again; a longer one costs the connection.
const DRAINED: usize = 64 * 1024;
/// And for how long.
const DRAIN: Duration = Duration::from_secs(1);

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The back end has it.
    Taken,
    /// It answered that it does not want it: no try will change that.
    Refused(StatusCode),
    /// It answered with what may go away by itself.
    Failed(StatusCode),
    /// It did not answer.
    Unreachable(String),
    /// It was not asked: it is dead or overloaded.
    NotAsked,
}

impl Attempt {
    /// A redirect is not followed, and nobody has the delivery then.
    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Taken,
            408 | 425 | 429 => Self::Failed(status),
            400..=499 => Self::Refused(status),
            _ => Self::Failed(status),
        }
    }

    /// Whether there was an HTTP answer, which is all that the original asks for.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Taken | Self::Refused(_) | Self::Failed(_))
    }

    /// Whether another try makes sense.
    pub(crate) fn is_to_be_repeated(&self) -> bool {
        !matches!(self, Self::Taken | Self::Refused(_))
    }
}

/// Sends deliveries. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Forwarder(Arc<Inner>);

struct Inner {
    client: Client,
    metrics: Metrics,
    options: Options,
}

/// As configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Of one try.
    pub(crate) timeout: Duration,
    /// For the log of every call alone.
    pub(crate) insecure_tls: bool,
    pub(crate) insecure_webhook: bool,
}

impl Forwarder {
    pub(crate) fn new(client: Client, metrics: Metrics, options: Options) -> Self {
        Self(Arc::new(Inner { client, metrics, options }))
    }

    /// Tries once, unless the back end is known not to answer.
    pub(crate) async fn attempt(&self, backend: &Backend, delivery: &Delivery) -> Attempt {
        let Some(_call) = backend.call() else {
            self.0.metrics.not_asked(backend.origin.host());
            tracing::debug!(
                "request-id" = delivery.request_id,
                backend = backend.name,
                "A back end is not asked"
            );
            return Attempt::NotAsked;
        };
        let began = Instant::now();
        match self.send(backend, delivery, began + self.0.options.timeout).await {
            Ok(answer) => {
                let status = answer.status();
                self.0.metrics.answered(backend.origin.host(), status, began.elapsed());
                backend.answered();
                if let Some(pause) = retry_after(status, answer.headers()) {
                    backend.hold(pause);
                }
                let shown = read(answer, status.as_u16() >= 300).await;
                self.log(backend, delivery, began, status, &shown);
                Attempt::of(status)
            }
            Err(reason) => {
                self.0.metrics.unreachable(backend.origin.host());
                backend.failed();
                tracing::error!(
                    method = "POST",
                    path = delivery.target.path(),
                    "request-id" = delivery.request_id,
                    backend = backend.name,
                    latency = ?began.elapsed(),
                    error = reason,
                    "A back end did not answer"
                );
                Attempt::Unreachable(reason)
            }
        }
    }

    async fn send(
        &self,
        backend: &Backend,
        delivery: &Delivery,
        deadline: Instant,
    ) -> Result<Response<Incoming>, String> {
        let uri = backend.origin.at(delivery.target.clone()).map_err(|error| error.to_string())?;
        let mut request = Request::new(Full::new(delivery.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&delivery.headers);
        let sent = timeout_at(deadline, self.0.client.send(backend, request)).await;
        match sent {
            Ok(answer) => answer.map_err(|error| crate::chain(&error)),
            Err(_) => Err(format!("no answer within {:?}", self.0.options.timeout)),
        }
    }

    fn log(&self, backend: &Backend, delivery: &Delivery, began: Instant, status: StatusCode, shown: &str) {
        let Options { insecure_tls, insecure_webhook, .. } = self.0.options;
        macro_rules! line {
            ($level:ident, $message:literal $(, $field:ident = $value:expr)?) => {
                tracing::$level!(
                    method = "POST",
                    path = delivery.target.path(),
                    query = fleet::redact(delivery.target.query().unwrap_or_default()),
                    "insecure-tls" = insecure_tls,
                    "insecure-webhook" = insecure_webhook,
                    "request-id" = delivery.request_id,
                    backend = backend.name,
                    latency = ?began.elapsed(),
                    status = status.as_u16(),
                    $($field = $value,)?
                    $message
                )
            };
        }
        match status.as_u16() {
            200..=299 => line!(info, "Passed on"),
            300..=399 => line!(
                error,
                "A back end redirects, which is not followed: configure its final address",
                response = shown
            ),
            _ => line!(warn, "A back end answered with an error", response = shown),
        }
    }
}

/// For how long a back end that says so wants to be left alone.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let is_meant = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let seconds =
        headers.get(header::RETRY_AFTER).filter(|_| is_meant)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Reads the answer, so that its connection can be used again; returns its beginning if it is to be shown.
async fn read(answer: Response<Incoming>, is_shown: bool) -> String {
    let mut body = answer.into_body();
    let (mut seen, mut shown) = (0, Vec::new());
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let data: &Bytes = if let Some(data) = frame.data_ref() { data } else { continue };
            seen += data.len();
            if is_shown {
                shown.extend(data.iter().take(LOGGED - shown.len()));
            }
            if seen > DRAINED {
                break;
            }
        }
    };
    // One that does not end costs its connection, nothing else.
    let _ = timeout(DRAIN, reading).await;
    fleet::redact(&String::from_utf8_lossy(&shown))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::accepted(202, true, false)]
    #[case::redirect(307, true, true)]
    #[case::forbidden(403, true, false)]
    #[case::too_slow(408, true, true)]
    #[case::too_many(429, true, true)]
    #[case::broken(500, true, true)]
    #[case::away(503, true, true)]
    fn judges_answers(#[case] status: u16, #[case] is_answer: bool, #[case] again: bool) {
        let attempt = Attempt::of(StatusCode::from_u16(status).unwrap());
        assert_eq!((attempt.is_answer(), attempt.is_to_be_repeated()), (is_answer, again));
    }

    #[rstest]
    #[case::asked(503, Some("7"), Some(7))]
    #[case::limited(429, Some(" 7 "), Some(7))]
    #[case::nonsense(503, Some("soon"), None)]
    #[case::another_answer(500, Some("7"), None)]
    #[case::silent(503, None, None)]
    fn leaves_alone_who_asks_for_it(
        #[case] status: u16,
        #[case] value: Option<&'static str>,
        #[case] expected: Option<u64>,
    ) {
        let headers = value.map(|value| (header::RETRY_AFTER, http::HeaderValue::from_static(value)));
        let headers = headers.into_iter().collect();
        let pause = retry_after(StatusCode::from_u16(status).unwrap(), &headers);
        assert_eq!(pause, expected.map(Duration::from_secs));
    }
}
