//! How often and how long resolvers look for something.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::answer::Answer;
use crate::background::Looked;

const RESOLVERS: [&str; 3] = ["bundles", "cluster", "git"];
const OUTCOMES: [&str; 3] = ["found", "failed", "not_now"];

/// Of look-ups; what is remembered is none.
#[derive(Clone, Debug)]
pub struct Metrics {
    total: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let total = IntCounterVec::new(
            Opts::new(
                "pipelines_resolvers_lookups_total",
                "Look-ups by resolver and outcome: found, failed for good, not_now.",
            ),
            &["resolver", "outcome"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "pipelines_resolvers_lookup_duration_seconds",
                "How long a look-up took from the moment that it had its turn, in seconds.",
            )
            .buckets(vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]),
            &["resolver"],
        )?;
        for resolver in RESOLVERS {
            seconds.with_label_values(&[resolver]);
            for outcome in OUTCOMES {
                total.with_label_values(&[resolver, outcome]);
            }
        }
        registry.register(Box::new(total.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { total, seconds })
    }

    /// Counts what a look-up of `resolver` came to. `took` is absent if it never had its turn.
    pub(super) fn looked(&self, resolver: &str, looked: &Looked<Answer>, took: Option<Duration>) {
        let outcome = match looked {
            Looked::Known { answer: Answer::Found(_), .. } => "found",
            Looked::Known { .. } => "failed",
            Looked::NotNow { .. } => "not_now",
        };
        self.total.with_label_values(&[resolver, outcome]).inc();
        if let Some(took) = took {
            self.seconds.with_label_values(&[resolver]).observe(took.as_secs_f64());
        }
    }
}
