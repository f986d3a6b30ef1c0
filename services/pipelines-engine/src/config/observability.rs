//! ConfigMap `config-observability`: which labels metrics have, and how durations are shown.

use super::{Data, Invalid, flag, present, word};

/// Each level has the labels of those below it, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, strum::EnumString, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum PipelineRunLevel {
    Namespace,
    #[default]
    Pipeline,
    /// A series for each run, while it exists.
    PipelineRun,
}

/// As [`PipelineRunLevel`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, strum::EnumString, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum TaskRunLevel {
    Namespace,
    #[default]
    Task,
    /// A series for each run, while it exists.
    TaskRun,
}

/// How durations are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum DurationType {
    #[default]
    Histogram,
    /// That of the run that ended last.
    LastValue,
}

/// What metrics are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observability {
    pub pipeline_run_level: PipelineRunLevel,
    pub pipeline_run_duration: DurationType,
    pub task_run_level: TaskRunLevel,
    pub task_run_duration: DurationType,
    /// Whether counts tell the reason of the condition.
    pub count_reason: bool,
}

impl Observability {
    /// Name of the ConfigMap, unless the program is told another one.
    pub const CONFIG_MAP: &str = "config-observability";

    /// As [`Defaults::parse`](super::Defaults::parse).
    pub fn parse(data: &Data) -> Result<Self, Invalid> {
        const DURATIONS: &str = "one of histogram, lastvalue";
        if let Some(other) = present(data, "metrics.backend-destination").filter(|to| *to != "prometheus") {
            return Err(Invalid {
                key: "metrics.backend-destination",
                value: other.to_owned(),
                expected: "prometheus: this engine serves metrics, and sends them nowhere".to_owned(),
            });
        }
        Ok(Self {
            pipeline_run_level: word(
                data,
                "metrics.pipelinerun.level",
                "one of namespace, pipeline, pipelinerun",
            )?,
            pipeline_run_duration: word(data, "metrics.pipelinerun.duration-type", DURATIONS)?,
            task_run_level: word(data, "metrics.taskrun.level", "one of namespace, task, taskrun")?,
            task_run_duration: word(data, "metrics.taskrun.duration-type", DURATIONS)?,
            count_reason: flag(data, "metrics.count.enable-reason", false)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn data(key: &str, value: &str) -> Data {
        [(key.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn reads_what_it_is_given() {
        assert_eq!(Observability::parse(&Data::new()), Ok(Observability::default()));
        let of = |key, value| Observability::parse(&data(key, value)).unwrap();
        assert_eq!(
            of("metrics.pipelinerun.level", "pipelinerun").pipeline_run_level,
            PipelineRunLevel::PipelineRun
        );
        assert_eq!(of("metrics.taskrun.level", "namespace").task_run_level, TaskRunLevel::Namespace);
        assert_eq!(
            of("metrics.taskrun.duration-type", "lastvalue").task_run_duration,
            DurationType::LastValue
        );
        assert!(of("metrics.count.enable-reason", "true").count_reason);
        of("metrics.backend-destination", "prometheus");
    }

    #[rstest]
    #[case("metrics.pipelinerun.level", "task")]
    #[case("metrics.taskrun.level", "pipeline")]
    #[case("metrics.pipelinerun.duration-type", "summary")]
    #[case("metrics.backend-destination", "opencensus")]
    #[case("metrics.count.enable-reason", "perhaps")]
    fn refuses(#[case] key: &str, #[case] value: &str) {
        assert_eq!(Observability::parse(&data(key, value)).unwrap_err().key, key);
    }
}
