//! What is counted.

use std::time::Duration;

use fleet::Clock;
use http::StatusCode;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use spool::Spool;

use crate::backends::Backends;

/// Counted while it runs. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    inbound: IntCounter,
    refused: IntCounterVec,
    forwarded: IntCounterVec,
    statuses: IntCounterVec,
    response_time: Histogram,
    spooled: IntCounterVec,
    not_spooled: IntCounter,
}

impl Metrics {
    /// Registers all but what is read from the spool.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let response_time = HistogramOpts::new(
            "sprayproxy_http_response_time_duration_seconds",
            "Time from a try at a back end to its HTTP answer.",
        );
        let metrics = Self {
            inbound: IntCounter::new(
                "sprayproxy_http_inbound_requests_total",
                "Webhooks that came in, refused ones too.",
            )?,
            refused: counters(
                "sprayproxy_http_refused_requests_total",
                "Webhooks that were not passed on, by reason.",
                &["reason"],
            )?,
            forwarded: counters(
                "sprayproxy_http_forwarded_requests_total",
                "Tries at a back end, by how they ended: none, http-error (status 300 and above), non-http-error (no answer, \
                 or not asked because there was none before).",
                &["host", "error"],
            )?,
            statuses: counters(
                "sprayproxy_http_backend_responses_total",
                "Answers of a back end, by class of their status (2xx, 3xx, 4xx, 5xx).",
                &["host", "class"],
            )?,
            response_time: Histogram::with_opts(response_time.buckets(vec![0.005, 0.05, 0.5, 5.0]))?,
            spooled: counters(
                "sprayproxy_spooled_deliveries_total",
                "Deliveries that were put into the spool for a back end.",
                &["host"],
            )?,
            not_spooled: IntCounter::new(
                "sprayproxy_spool_failures_total",
                "Deliveries that should have been put into the spool, and could not be: it was full, or the disk failed.",
            )?,
        };
        registry.register(Box::new(metrics.inbound.clone()))?;
        registry.register(Box::new(metrics.response_time.clone()))?;
        registry.register(Box::new(metrics.not_spooled.clone()))?;
        for counters in [&metrics.refused, &metrics.forwarded, &metrics.statuses, &metrics.spooled] {
            registry.register(Box::new(counters.clone()))?;
        }
        Ok(metrics)
    }

    pub(crate) fn inbound(&self) {
        self.inbound.inc();
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn answered(&self, host: &str, status: StatusCode, after: Duration) {
        self.response_time.observe(after.as_secs_f64());
        let (error, class) = match status.as_u16() {
            0..=299 => ("none", "2xx"),
            300..=399 => ("http-error", "3xx"),
            400..=499 => ("http-error", "4xx"),
            _ => ("http-error", "5xx"),
        };
        self.forwarded.with_label_values(&[host, error]).inc();
        self.statuses.with_label_values(&[host, class]).inc();
    }

    pub(crate) fn unreachable(&self, host: &str) {
        self.forwarded.with_label_values(&[host, "non-http-error"]).inc();
    }

    /// For an alert this is the same as the tries before, which led to it.
    pub(crate) fn not_asked(&self, host: &str) {
        self.unreachable(host);
    }

    pub(crate) fn spooled(&self, host: &str) {
        self.spooled.with_label_values(&[host]).inc();
    }

    pub(crate) fn not_spooled(&self) {
        self.not_spooled.inc();
    }
}

/// Registers every metric there is, each with one example of its labels, for who lists them.
pub fn register_all(registry: &Registry) -> Result<(), prometheus::Error> {
    let metrics = Metrics::new(registry)?;
    metrics.refused("signature");
    metrics.answered("member.example.com", StatusCode::ACCEPTED, Duration::ZERO);
    metrics.spooled("member.example.com");
    let Gauges { waiting, bytes, oldest, given_up } = Gauges::new()?;
    waiting.with_label_values(&["member.example.com"]).set(0);
    registry.register(Box::new(waiting))?;
    registry.register(Box::new(bytes))?;
    registry.register(Box::new(oldest))?;
    registry.register(Box::new(given_up))
}

/// Read when somebody asks, so that it cannot drift.
pub(crate) struct SpoolMetrics {
    spool: Spool,
    backends: Backends,
    clock: Clock,
    gauges: Gauges,
}

struct Gauges {
    waiting: IntGaugeVec,
    bytes: IntGauge,
    oldest: Gauge,
    given_up: IntGauge,
}

impl SpoolMetrics {
    pub(crate) fn new(spool: Spool, backends: Backends, clock: Clock) -> Result<Self, prometheus::Error> {
        Ok(Self { spool, backends, clock, gauges: Gauges::new()? })
    }
}

impl Gauges {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            waiting: IntGaugeVec::new(
                Opts::new("sprayproxy_spool_deliveries", "Deliveries that wait for a back end."),
                &["host"],
            )?,
            bytes: IntGauge::new("sprayproxy_spool_bytes", "Bytes of all deliveries that wait.")?,
            oldest: Gauge::new(
                "sprayproxy_spool_oldest_seconds",
                "Age of the oldest delivery that waits; 0 without any.",
            )?,
            given_up: IntGauge::new(
                "sprayproxy_spool_given_up",
                "Deliveries that were given up since the start: refused, tried too often, or too old.",
            )?,
        })
    }
}

impl Collector for SpoolMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let Gauges { waiting, bytes, oldest, given_up } = &self.gauges;
        [waiting.desc(), bytes.desc(), oldest.desc(), given_up.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stats = self.spool.stats();
        let Gauges { waiting, bytes, oldest, given_up } = &self.gauges;
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        waiting.reset();
        for backend in self.backends.all().iter() {
            waiting.with_label_values(&[backend.origin.host()]).set(0);
        }
        for (name, count) in &stats.waiting {
            let host = name.split_once("://").map_or(name.as_str(), |(_, host)| host);
            waiting.with_label_values(&[host]).set(number(*count));
        }
        bytes.set(i64::try_from(stats.bytes).unwrap_or(i64::MAX));
        let age =
            stats.oldest.map_or(0.0, |received| self.clock.now().duration_since(received).as_secs_f64());
        oldest.set(age.max(0.0));
        given_up.set(i64::try_from(stats.given_up).unwrap_or(i64::MAX));
        [waiting.collect(), bytes.collect(), oldest.collect(), given_up.collect()].concat()
    }
}
