//! Counts of calls, with the names that gRPC servers in Go give them, so that their dashboards go on working. Calls over
//! REST count as the gRPC call they stand for.

use std::time::Instant;

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use tonic::Code;

/// What a call is, for labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    /// `unary`, `client_stream`, `server_stream`.
    pub(crate) kind: &'static str,
    /// With its package.
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
}

impl Method {
    fn labels(self) -> [&'static str; 3] {
        [self.name, self.service, self.kind]
    }
}

#[derive(Clone)]
pub(crate) struct Metrics {
    started: IntCounterVec,
    handled: IntCounterVec,
    received: IntCounterVec,
    sent: IntCounterVec,
    seconds: Option<HistogramVec>,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry, with_histogram: bool) -> Result<Self, prometheus::Error> {
        let labels = ["grpc_method", "grpc_service", "grpc_type"];
        let counter = |name, help| IntCounterVec::new(Opts::new(name, help), &labels);
        let metrics = Self {
            started: counter("grpc_server_started_total", "Calls that began.")?,
            handled: IntCounterVec::new(
                Opts::new("grpc_server_handled_total", "Calls that ended, by code."),
                &["grpc_method", "grpc_service", "grpc_type", "grpc_code"],
            )?,
            received: counter("grpc_server_msg_received_total", "Messages of clients.")?,
            sent: counter("grpc_server_msg_sent_total", "Messages to clients.")?,
            seconds: with_histogram
                .then(|| {
                    let help = "How long calls took, in seconds.";
                    HistogramVec::new(HistogramOpts::new("grpc_server_handling_seconds", help), &labels)
                })
                .transpose()?,
        };
        for counter in [&metrics.started, &metrics.handled, &metrics.received, &metrics.sent] {
            registry.register(Box::new(counter.clone()))?;
        }
        if let Some(seconds) = &metrics.seconds {
            registry.register(Box::new(seconds.clone()))?;
        }
        Ok(metrics)
    }

    /// Counts a call that begins. It counts as cancelled if what is returned is dropped without an end.
    pub(crate) fn begin(&self, method: Method) -> Call {
        self.started.with_label_values(&method.labels()).inc();
        Call { metrics: self.clone(), method, begun: Instant::now(), code: Code::Cancelled }
    }
}

/// Registers all that can be measured, each with an example: for the reference page.
pub fn register_all(registry: &Registry) -> Result<(), prometheus::Error> {
    let method = Method { kind: "unary", service: "tekton.results.v1alpha2.Results", name: "GetResult" };
    let mut call = Metrics::new(registry, true)?.begin(method);
    call.received();
    call.sent();
    call.ends(Code::Ok);
    Ok(())
}

/// A call under way.
pub(crate) struct Call {
    metrics: Metrics,
    method: Method,
    begun: Instant,
    code: Code,
}

impl Call {
    pub(crate) fn received(&self) {
        self.counter_of_received().inc();
    }

    /// For messages that are counted by somebody else.
    pub(crate) fn counter_of_received(&self) -> IntCounter {
        self.metrics.received.with_label_values(&self.method.labels())
    }

    pub(crate) fn sent(&self) {
        self.metrics.sent.with_label_values(&self.method.labels()).inc();
    }

    /// How it ends.
    pub(crate) fn ends(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let [name, service, kind] = self.method.labels();
        self.metrics.handled.with_label_values(&[name, service, kind, word(self.code)]).inc();
        if let Some(seconds) = &self.metrics.seconds {
            seconds.with_label_values(&self.method.labels()).observe(self.begun.elapsed().as_secs_f64());
        }
    }
}

/// Codes as Go spells them.
fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Method =
        Method { kind: "unary", service: "tekton.results.v1alpha2.Results", name: "GetResult" };

    #[test]
    fn counts_as_dashboards_expect() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, true).unwrap();
        let mut call = metrics.begin(GET);
        call.received();
        call.sent();
        call.ends(Code::Ok);
        drop(call);
        drop(metrics.begin(GET));
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let labels =
            r#"grpc_method="GetResult",grpc_service="tekton.results.v1alpha2.Results",grpc_type="unary""#;
        assert!(text.contains(&format!("grpc_server_started_total{{{labels}}} 2")), "{text}");
        for code in ["OK", "Canceled"] {
            assert!(
                text.contains(&format!(r#"grpc_server_handled_total{{grpc_code="{code}",{labels}}} 1"#)),
                "{text}"
            );
        }
        assert!(text.contains(&format!("grpc_server_handling_seconds_count{{{labels}}} 2")), "{text}");
    }
}
