//! What the states of all tasks make of the run (section 1.3).

use pipelines_engine_api::reasons::{PipelineRunReason, SkippingReason};

use super::progress::{Member, Outcome};
use super::skip::Next;

/// How a run ends, or goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    #[default]
    None,
    /// `CancelledRunFinally`
    Cancel,
    /// `StoppedRunFinally`
    Stop,
}

/// How many tasks are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub succeeded: usize,
    pub failed: usize,
    /// Failed, with `onError: continue`.
    pub ignored: usize,
    pub cancelled: usize,
    pub skipped: usize,
    pub skipped_by_timeout: usize,
    pub incomplete: usize,
}

impl Counts {
    pub fn of<'a>(tasks: impl IntoIterator<Item = (&'a Member, &'a Next)>) -> Self {
        let mut counts = Self::default();
        for (member, next) in tasks {
            let counter = match (member.outcome(), next) {
                (Some(Outcome::Succeeded), _) => &mut counts.succeeded,
                (Some(Outcome::Cancelled), _) => &mut counts.cancelled,
                (Some(Outcome::Failed), _) if member.task.continues_on_error() => &mut counts.ignored,
                (Some(Outcome::Failed), _) => &mut counts.failed,
                (None, Next::Skip { reason, .. }) => {
                    counts.skipped_by_timeout += usize::from(is_timeout(*reason));
                    &mut counts.skipped
                }
                (Some(Outcome::Running), _)
                | (
                    None,
                    Next::Started | Next::Waits | Next::Start | Next::Impossible(_) | Next::Untold { .. },
                ) => &mut counts.incomplete,
            };
            *counter += 1;
        }
        counts
    }

    fn completed(&self) -> usize {
        self.succeeded + self.failed + self.ignored + self.cancelled
    }

    fn failures(&self) -> String {
        let all = self.failed + self.ignored;
        match self.ignored {
            0 => format!("Failed: {all}, Cancelled {}", self.cancelled),
            ignored => format!("Failed: {all} (Ignored: {ignored}), Cancelled {}", self.cancelled),
        }
    }

    /// `is_last` says that no task of `finally` is still to come.
    pub fn condition(&self, wish: Wish, is_last: bool) -> (PipelineRunReason, String) {
        let (completed, failures) = (self.completed(), self.failures());
        if self.incomplete > 0 {
            let reason = match wish {
                Wish::Cancel => PipelineRunReason::CancelledRunningFinally,
                Wish::Stop => PipelineRunReason::StoppedRunningFinally,
                Wish::None if self.cancelled > 0 || (self.failed > 0 && is_last) => {
                    PipelineRunReason::PipelineRunStopping
                }
                Wish::None => PipelineRunReason::Running,
            };
            let message = format!(
                "Tasks Completed: {completed} ({failures}), Incomplete: {}, Skipped: {}",
                self.incomplete, self.skipped
            );
            return (reason, message);
        }
        let reason = if self.failed > 0 || self.skipped_by_timeout > 0 {
            PipelineRunReason::Failed
        } else if wish != Wish::None || self.cancelled > 0 {
            PipelineRunReason::Cancelled
        } else if self.skipped > 0 {
            PipelineRunReason::Completed
        } else {
            PipelineRunReason::Succeeded
        };
        (reason, format!("Tasks Completed: {completed} ({failures}), Skipped: {}", self.skipped))
    }
}

fn is_timeout(reason: SkippingReason) -> bool {
    matches!(
        reason,
        SkippingReason::PipelineTimeout | SkippingReason::TasksTimeout | SkippingReason::FinallyTimeout
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NONE: Counts = Counts {
        succeeded: 0,
        failed: 0,
        ignored: 0,
        cancelled: 0,
        skipped: 0,
        skipped_by_timeout: 0,
        incomplete: 0,
    };

    #[rstest]
    #[case::well(Counts { succeeded: 3, ..NONE }, Wish::None, "Succeeded", "Tasks Completed: 3 (Failed: 0, Cancelled 0), Skipped: 0")]
    #[case::some_skipped(Counts { succeeded: 2, skipped: 1, ..NONE }, Wish::None, "Completed", "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 1")]
    #[case::failed(Counts { succeeded: 1, failed: 1, skipped: 1, ..NONE }, Wish::None, "Failed", "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 1")]
    #[case::ignored(Counts { succeeded: 1, ignored: 1, ..NONE }, Wish::None, "Succeeded", "Tasks Completed: 2 (Failed: 1 (Ignored: 1), Cancelled 0), Skipped: 0")]
    #[case::late(Counts { succeeded: 1, skipped: 1, skipped_by_timeout: 1, ..NONE }, Wish::None, "Failed", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 1")]
    #[case::cancelled(Counts { succeeded: 1, cancelled: 1, ..NONE }, Wish::None, "Cancelled", "Tasks Completed: 2 (Failed: 0, Cancelled 1), Skipped: 0")]
    #[case::stopped(Counts { succeeded: 1, skipped: 1, ..NONE }, Wish::Stop, "Cancelled", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Skipped: 1")]
    #[case::stopped_and_failed(Counts { failed: 1, ..NONE }, Wish::Stop, "Failed", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Skipped: 0")]
    #[case::goes_on(Counts { succeeded: 1, incomplete: 2, ..NONE }, Wish::None, "Running", "Tasks Completed: 1 (Failed: 0, Cancelled 0), Incomplete: 2, Skipped: 0")]
    #[case::stopping(Counts { failed: 1, incomplete: 2, ..NONE }, Wish::None, "PipelineRunStopping", "Tasks Completed: 1 (Failed: 1, Cancelled 0), Incomplete: 2, Skipped: 0")]
    #[case::cancelling(Counts { cancelled: 1, incomplete: 1, ..NONE }, Wish::Cancel, "CancelledRunningFinally", "Tasks Completed: 1 (Failed: 0, Cancelled 1), Incomplete: 1, Skipped: 0")]
    fn says(#[case] counts: Counts, #[case] wish: Wish, #[case] reason: &str, #[case] message: &str) {
        let (said, text) = counts.condition(wish, true);
        assert_eq!((said.to_string().as_str(), text.as_str()), (reason, message));
    }

    #[test]
    fn a_failure_before_finally_is_still_running() {
        let counts = Counts { failed: 1, incomplete: 1, ..NONE };
        assert_eq!(counts.condition(Wish::None, false).0, PipelineRunReason::Running);
    }
}
