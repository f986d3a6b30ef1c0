//! What the guard has answered.

use prometheus::{IntCounterVec, Opts, Registry};

/// How a request to get into a pod was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Answer {
    /// Not let in: the pod is of a run.
    Refused,
    /// Let in, and its run is marked.
    Marked,
    /// Let in: the pod is of no run.
    NotOfRun,
    /// Not let in: there is no such pod.
    Missing,
    /// Not let in: it could not be found out whose the pod is, or the run could not be marked.
    Unknown,
}

/// Subresources of a pod by which somebody gets in.
const WAYS: [&str; 4] = ["attach", "exec", "portforward", "proxy"];

/// Counts the answers.
#[derive(Clone, Debug)]
pub struct Entries(IntCounterVec);

impl Entries {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new(
            "tekton_pipelines_controller_pod_entries_total",
            "Requests to get into a pod (exec, attach, portforward, proxy), by what the guard of runs answered.",
        );
        let entries = IntCounterVec::new(options, &["way", "answer"])?;
        registry.register(Box::new(entries.clone()))?;
        Ok(Self(entries))
    }

    pub(crate) fn count(&self, way: &str, answer: Answer) {
        // A closed set, whatever a configuration sends here.
        let way = WAYS.into_iter().find(|known| *known == way);
        self.0.with_label_values(&[way.unwrap_or("other"), answer.into()]).inc();
    }

    #[cfg(test)]
    pub(super) fn counted(&self, way: &str, answer: Answer) -> u64 {
        self.0.with_label_values(&[way, answer.into()]).get()
    }
}
