//! Until when a run may go on.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pipelines_engine_api::pipeline_run::TimeoutFields;
use pipelines_engine_api::{GoDuration, PipelineRun, TaskRun};

/// The limits of a PipelineRun's parts; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub pipeline: Option<Duration>,
    pub tasks: Option<Duration>,
    pub finally: Option<Duration>,
}

impl Limits {
    /// What the run says, and for the whole run otherwise `default`. Of tasks and finally the one that is not given is what
    /// the other leaves of a finite whole.
    pub fn of(run: &PipelineRun, default: GoDuration) -> Self {
        let absent = TimeoutFields::default();
        let given = run.spec.timeouts.as_ref().unwrap_or(&absent);
        let pipeline = parsed(given.pipeline.as_deref()).unwrap_or(default).limit();
        let tasks = parsed(given.tasks.as_deref());
        let finally = parsed(given.finally.as_deref());
        let rest = |of_other: Option<GoDuration>| {
            let taken = of_other?.limit()?;
            pipeline.map(|whole| whole.saturating_sub(taken))
        };
        Self {
            pipeline,
            tasks: tasks.map_or_else(|| rest(finally), GoDuration::limit),
            finally: finally.map_or_else(|| rest(tasks), GoDuration::limit),
        }
    }
}

/// How long each attempt of a TaskRun may take.
pub fn of_attempt(run: &TaskRun, default: GoDuration) -> GoDuration {
    parsed(run.spec.timeout.as_deref()).unwrap_or(default)
}

fn parsed(text: Option<&str>) -> Option<GoDuration> {
    text.and_then(|text| text.parse().ok())
}

/// When `limit` is over for what began at `start`. `None`: never.
pub fn deadline(start: Option<Timestamp>, limit: Option<Duration>) -> Option<Timestamp> {
    let limit = SignedDuration::try_from(limit?).ok()?;
    start?.checked_add(limit).ok()
}

/// Whether `deadline` has come.
pub fn is_over(deadline: Option<Timestamp>, now: Timestamp) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::default(json!({}), (Some(3600), None, None))]
    #[case::none(json!({"pipeline": "0s"}), (None, None, None))]
    #[case::tasks(json!({"pipeline": "1h", "tasks": "40m"}), (Some(3600), Some(2400), Some(1200)))]
    #[case::finally(json!({"pipeline": "1h", "finally": "10m"}), (Some(3600), Some(3000), Some(600)))]
    #[case::unlimited_tasks(json!({"pipeline": "0s", "tasks": "0s", "finally": "5m"}), (None, None, Some(300)))]
    fn reads(#[case] timeouts: Value, #[case] expected: (Option<u64>, Option<u64>, Option<u64>)) {
        let run: PipelineRun = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {}, "spec": {"timeouts": timeouts},
        }))
        .unwrap();
        let limits = Limits::of(&run, "1h".parse().unwrap());
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
        assert_eq!((seconds(limits.pipeline), seconds(limits.tasks), seconds(limits.finally)), expected);
    }

    #[test]
    fn a_deadline_needs_a_start_and_a_limit() {
        let start = Timestamp::from_second(100).unwrap();
        assert_eq!(deadline(None, Some(Duration::from_secs(1))), None);
        assert_eq!(deadline(Some(start), None), None);
        let at = deadline(Some(start), Some(Duration::from_secs(5)));
        assert!(!is_over(at, Timestamp::from_second(104).unwrap()));
        assert!(is_over(at, Timestamp::from_second(105).unwrap()));
    }
}
