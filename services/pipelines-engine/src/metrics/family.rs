//! A metric whose labels and kind follow the configuration, while the program runs.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Seconds; upstream's.
const BUCKETS: [f64; 12] =
    [10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 5400.0, 10800.0, 21600.0, 43200.0, 86400.0];

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Histogram,
    LastValue,
    Counter,
}

/// Labels, and the values that something has for them.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Cheap to clone. A registry refuses a second metric of the same name with other labels, so this is one metric to it,
/// which shows the series of its present shape. Those of an earlier shape are gone.
#[derive(Clone)]
pub(super) struct Family(Arc<Inner>);

struct Inner {
    name: String,
    help: String,
    /// What the registry knows it by.
    desc: Desc,
    series: RwLock<Option<(Kind, Vec<&'static str>, Series)>>,
}

enum Series {
    Histogram(HistogramVec),
    LastValue(GaugeVec),
    Counter(IntCounterVec),
}

impl Family {
    pub(super) fn new(registry: &Registry, name: &str, help: &str) -> Result<Self, prometheus::Error> {
        let name = format!("{}_{name}", super::PREFIX);
        let desc = Desc::new(name.clone(), help.to_owned(), Vec::new(), HashMap::new())?;
        let inner = Inner { name, help: help.to_owned(), desc, series: RwLock::new(None) };
        let family = Self(Arc::new(inner));
        registry.register(Box::new(family.clone()))?;
        Ok(family)
    }

    /// Adds `value`: to the histogram or the counter (as one), or in the place of the one before.
    pub(super) fn add(&self, kind: Kind, labels: &Labels<'_>, value: f64) {
        let names: Vec<_> = labels.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = labels.iter().map(|(_, value)| *value).collect();
        let mut series = self.0.series.write();
        if !series.as_ref().is_some_and(|(of, with, _)| *of == kind && *with == names) {
            match self.series(kind, &names) {
                Ok(made) => *series = Some((kind, names, made)),
                Err(error) => {
                    tracing::error!(metric = self.0.name, error = %error, "Metric cannot be made");
                    return;
                }
            }
        }
        match series.as_ref().map(|(_, _, series)| series) {
            Some(Series::Histogram(vec)) => vec.with_label_values(&values).observe(value),
            Some(Series::LastValue(vec)) => vec.with_label_values(&values).set(value),
            Some(Series::Counter(vec)) => vec.with_label_values(&values).inc(),
            None => {}
        }
    }

    /// Takes series with this value of a label away: what it names is gone.
    pub(super) fn forget(&self, labels: &Labels<'_>) {
        let names: Vec<_> = labels.iter().map(|(name, _)| *name).collect();
        let values: Vec<_> = labels.iter().map(|(_, value)| *value).collect();
        let series = self.0.series.read();
        let Some((_, with, series)) = series.as_ref().filter(|(_, with, _)| *with == names) else { return };
        debug_assert_eq!(with.len(), values.len());
        // Not there: the run had not ended when it went.
        let _ = match series {
            Series::Histogram(vec) => vec.remove_label_values(&values),
            Series::LastValue(vec) => vec.remove_label_values(&values),
            Series::Counter(vec) => vec.remove_label_values(&values),
        };
    }

    fn series(&self, kind: Kind, labels: &[&str]) -> Result<Series, prometheus::Error> {
        let (name, help) = (&self.0.name, &self.0.help);
        Ok(match kind {
            Kind::Histogram => Series::Histogram(HistogramVec::new(
                HistogramOpts::new(name, help).buckets(BUCKETS.into()),
                labels,
            )?),
            Kind::LastValue => Series::LastValue(GaugeVec::new(Opts::new(name, help), labels)?),
            Kind::Counter => Series::Counter(IntCounterVec::new(Opts::new(name, help), labels)?),
        })
    }
}

impl Collector for Family {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self.0.series.read().as_ref().map(|(_, _, series)| series) {
            Some(Series::Histogram(vec)) => vec.collect(),
            Some(Series::LastValue(vec)) => vec.collect(),
            Some(Series::Counter(vec)) => vec.collect(),
            None => Vec::new(),
        }
    }
}
