//! What is to become of a PipelineRun.

use serde_json::Value;

/// What becomes of a run. By default it ends as its tasks do, and they succeed.
///
/// Its tasks are those of its inline `pipelineSpec`, and those that the script names: of a pipeline that is only
/// referred to, nobody else says which it has.
#[derive(Clone, Debug, Default)]
pub struct RunScript {
    pub(super) ending: Ending,
    pub(super) tasks: Vec<(String, TaskScript)>,
    pub(super) skipped: Vec<(String, String)>,
    pub(super) results: Vec<(String, Value)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Ending {
    /// Failed if a task failed, Completed if one was skipped, else Succeeded.
    #[default]
    AsTasks,
    Fails {
        reason: String,
        message: String,
    },
    /// Before it has a TaskRun.
    Refused {
        reason: String,
        message: String,
    },
    Cancelled,
    TimesOut,
    NeverEnds,
    NeverStarts,
}

impl RunScript {
    pub fn new() -> Self {
        Self::default()
    }

    /// Its tasks end as they do, and it fails with this reason, such as `CouldntGetPipelineResult`.
    ///
    /// A run with a task that [fails](TaskScript::fails) does so by itself.
    pub fn fails(reason: &str, message: &str) -> Self {
        Self::ends(Ending::Fails { reason: reason.to_owned(), message: message.to_owned() })
    }

    /// It cannot be started, so it has no TaskRun: `CouldntGetPipeline`, `ParameterMissing` and the like.
    pub fn is_refused(reason: &str, message: &str) -> Self {
        Self::ends(Ending::Refused { reason: reason.to_owned(), message: message.to_owned() })
    }

    /// It ends as if somebody had cancelled it while its tasks ran, but for those in the script. One that somebody does
    /// cancel, by `spec.status`, ends so under any script.
    pub fn is_cancelled() -> Self {
        Self::ends(Ending::Cancelled)
    }

    /// It ends as if its time were over while its tasks ran, but for those in the script.
    pub fn times_out() -> Self {
        Self::ends(Ending::TimesOut)
    }

    /// It runs, and so do its tasks but for those in the script, until it is cancelled or another script is played.
    pub fn never_ends() -> Self {
        Self::ends(Ending::NeverEnds)
    }

    /// It gets no status, as with no engine there.
    pub fn never_starts() -> Self {
        Self::ends(Ending::NeverStarts)
    }

    fn ends(ending: Ending) -> Self {
        Self { ending, ..Self::default() }
    }

    /// A result of the run: a string, a list of strings or an object of strings.
    #[must_use]
    pub fn result(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.results.push((name.to_owned(), value.into()));
        self
    }

    /// What becomes of a task of its pipeline.
    #[must_use]
    pub fn task(mut self, name: &str, task: TaskScript) -> Self {
        self.tasks.push((name.to_owned(), task));
        self
    }

    /// A task that is not run, and why: `When Expressions evaluated to false`, for one.
    #[must_use]
    pub fn skips(mut self, name: &str, reason: &str) -> Self {
        self.skipped.push((name.to_owned(), reason.to_owned()));
        self
    }

    /// The script of a task that may not be named here.
    pub(super) fn of(&self, task: &str) -> TaskScript {
        let named = self.tasks.iter().find(|(name, _)| name == task);
        named.map_or_else(|| self.default_task(), |(_, script)| script.clone())
    }

    fn default_task(&self) -> TaskScript {
        match self.ending {
            // Something has to be cut off.
            Ending::Cancelled | Ending::TimesOut | Ending::NeverEnds => TaskScript::never_ends(),
            _ => TaskScript::succeeds(),
        }
    }
}

/// What becomes of a task's TaskRun.
#[derive(Clone, Debug)]
pub struct TaskScript {
    pub(super) ending: TaskEnding,
    pub(super) results: Vec<(String, Value)>,
    pub(super) is_finally: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskEnding {
    Succeeds,
    Fails { reason: String, message: String },
    NeverEnds,
}

impl TaskScript {
    pub fn succeeds() -> Self {
        Self::ends(TaskEnding::Succeeds)
    }

    /// It fails with this reason, such as `Failed` or `TaskRunImagePullFailed`.
    pub fn fails(reason: &str, message: &str) -> Self {
        Self::ends(TaskEnding::Fails { reason: reason.to_owned(), message: message.to_owned() })
    }

    /// It runs until its run is cancelled or another script is played.
    pub fn never_ends() -> Self {
        Self::ends(TaskEnding::NeverEnds)
    }

    fn ends(ending: TaskEnding) -> Self {
        Self { ending, results: Vec::new(), is_finally: false }
    }

    /// A result: a string, a list of strings or an object of strings. Tasks that fail may have some, too.
    #[must_use]
    pub fn result(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.results.push((name.to_owned(), value.into()));
        self
    }

    /// One of `finally`, if the pipeline does not say so itself.
    #[must_use]
    pub fn finally(self) -> Self {
        Self { is_finally: true, ..self }
    }
}
