//! What has become of each task of a run: its TaskRuns, or why it has none.

use std::sync::Arc;

use jiff::Timestamp;
use pipelines_engine_api::reasons::TaskRunReason;
use pipelines_engine_api::status::{succeeded, tampered};
use pipelines_engine_api::{
    CustomRun, PipelineTask, RunCondition, TaskRun, TaskRunResult, custom_run, task_run,
};

pub use crate::substitution::references::Section;

/// A run that was made for a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Child {
    TaskRun(Arc<TaskRun>),
    CustomRun(Arc<CustomRun>),
}

/// What a run has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Running,
    Succeeded,
    Failed,
    /// Ended by someone's wish; what was ended because it took too long has failed.
    Cancelled,
}

impl Child {
    pub fn name(&self) -> &str {
        self.meta().name.as_deref().unwrap_or_default()
    }

    pub fn meta(&self) -> &kube::api::ObjectMeta {
        match self {
            Self::TaskRun(run) => &run.metadata,
            Self::CustomRun(run) => &run.metadata,
        }
    }

    pub fn condition(&self) -> Option<&RunCondition> {
        match self {
            Self::TaskRun(run) => succeeded(&run.status.as_ref()?.conditions),
            Self::CustomRun(run) => succeeded(&run.status.as_ref()?.conditions),
        }
    }

    /// Whether what it reports may be somebody's word.
    pub fn is_tampered_with(&self) -> bool {
        match self {
            Self::TaskRun(run) => {
                run.status.as_ref().is_some_and(|status| tampered(&status.conditions).is_some())
            }
            // Its controller has its own pods, if any.
            Self::CustomRun(_) => false,
        }
    }

    pub fn outcome(&self) -> Outcome {
        let Some(condition) = self.condition() else { return Outcome::Running };
        match condition.status.as_str() {
            "True" => Outcome::Succeeded,
            "False" if self.was_cancelled(condition) => Outcome::Cancelled,
            "False" => Outcome::Failed,
            _ => Outcome::Running,
        }
    }

    /// Whether it ended badly, and not before this time. Conditions have whole seconds, as starts have.
    pub fn has_broken_off(&self, since: Timestamp) -> bool {
        let ended = self.condition().and_then(|condition| condition.last_transition_time.as_ref());
        matches!(self.outcome(), Outcome::Failed | Outcome::Cancelled)
            && ended.is_some_and(|ended| ended.0 >= since)
    }

    fn was_cancelled(&self, condition: &RunCondition) -> bool {
        match self {
            Self::TaskRun(run) => {
                condition.reason == TaskRunReason::TaskRunCancelled.to_string()
                    && run.spec.status_message != task_run::CANCELLED_BY_PIPELINE_TIMEOUT
            }
            Self::CustomRun(run) => {
                condition.reason == custom_run::REASON_CANCELLED
                    && run.spec.status_message != custom_run::CANCELLED_BY_PIPELINE_TIMEOUT
            }
        }
    }

    /// Whether it has been told to end.
    pub fn is_told_to_end(&self) -> bool {
        match self {
            Self::TaskRun(run) => run.spec.status == task_run::CANCELLED,
            Self::CustomRun(run) => run.spec.status == custom_run::CANCELLED,
        }
    }

    pub fn created(&self) -> Option<Timestamp> {
        self.meta().creation_timestamp.as_ref().map(|time| time.0)
    }

    /// What it gave out so far. A failed run's results count as well.
    pub fn results(&self) -> Vec<TaskRunResult> {
        match self {
            Self::TaskRun(run) => run.status.as_ref().map(|status| status.results.clone()),
            Self::CustomRun(run) => run.status.as_ref().map(|status| {
                let results = status.results.iter();
                results
                    .map(|result| TaskRunResult {
                        name: result.name.clone(),
                        type_: Some(result.value.type_()),
                        value: result.value.clone(),
                    })
                    .collect()
            }),
        }
        .unwrap_or_default()
    }
}

/// A task of the Pipeline and its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub task: PipelineTask,
    pub section: Section,
    /// In the order of their names. One; several where the task has a matrix.
    pub children: Vec<Child>,
}

impl Member {
    pub fn has_started(&self) -> bool {
        !self.children.is_empty()
    }

    /// `None` before it has runs. Of several runs: running while one is, then the worst.
    pub fn outcome(&self) -> Option<Outcome> {
        let outcomes: Vec<_> = self.children.iter().map(Child::outcome).collect();
        [Outcome::Running, Outcome::Cancelled, Outcome::Failed, Outcome::Succeeded]
            .into_iter()
            .find(|outcome| outcomes.contains(outcome))
    }

    pub fn has_finished(&self) -> bool {
        self.outcome().is_some_and(|outcome| outcome != Outcome::Running)
    }

    /// Whether it stops the run: it has failed or was cancelled, and that is not ignored.
    pub fn stops_run(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Failed | Outcome::Cancelled))
            && !self.task.continues_on_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline_run::testing::{ended, member, run};
    use rstest::rstest;

    #[rstest]
    #[case::none(&[], None)]
    #[case::one_runs(&["Unknown", "False"], Some(Outcome::Running))]
    #[case::one_failed(&["True", "False"], Some(Outcome::Failed))]
    #[case::all_well(&["True", "True"], Some(Outcome::Succeeded))]
    fn sums_up_its_runs(#[case] statuses: &[&str], #[case] expected: Option<Outcome>) {
        let mut member = member("a");
        member.children = statuses.iter().map(|status| ended(run("a"), status, "X")).collect();
        assert_eq!(member.outcome(), expected);
    }

    #[test]
    fn what_took_too_long_has_failed() {
        let mut cancelled = run("a");
        cancelled.spec.status_message = task_run::CANCELLED_BY_PIPELINE.to_owned();
        assert_eq!(ended(cancelled, "False", "TaskRunCancelled").outcome(), Outcome::Cancelled);
        let mut late = run("a");
        late.spec.status_message = task_run::CANCELLED_BY_PIPELINE_TIMEOUT.to_owned();
        assert_eq!(ended(late, "False", "TaskRunCancelled").outcome(), Outcome::Failed);
    }

    #[test]
    fn an_ignored_failure_stops_nothing() {
        let mut member = member("a");
        member.children = vec![ended(run("a"), "False", "Failed")];
        assert!(member.stops_run());
        member.task.on_error = "continue".to_owned();
        assert!(!member.stops_run());
    }
}
