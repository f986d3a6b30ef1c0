//! Outputs and inputs of a run, from all places that tell of them.

use super::artifact::{self, Artifact};
use super::hints::{self, Hint, Output};
use super::run::Run;

/// What went out of a run and what went in.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) outputs: Vec<Output>,
    pub(super) inputs: Vec<Artifact>,
    /// About hints that were left out, each naming the run and the result.
    pub(super) notes: Vec<String>,
}

impl Facts {
    pub(super) fn of_task(run: &Run<'_>) -> Self {
        Self::of(run, &run.results)
    }

    /// Of a TaskRun, from the results of its steps too.
    pub(super) fn of_steps(run: &Run<'_>) -> Self {
        let all: Vec<Hint<'_>> = run.step_results.iter().chain(&run.results).copied().collect();
        Self::of(run, &all)
    }

    /// Of a PipelineRun; with `deep` of its TaskRuns before its own.
    pub(super) fn of_pipeline(run: &Run<'_>, children: &[Run<'_>], deep: bool) -> Self {
        let children = if deep { children } else { &[] };
        Self::all(children.iter().map(Self::of_task).chain([Self::of_task(run)]))
    }

    /// The same, from the results of steps too.
    pub(super) fn of_pipeline_and_steps(run: &Run<'_>, children: &[Run<'_>], deep: bool) -> Self {
        let children = if deep { children } else { &[] };
        Self::all(children.iter().map(Self::of_steps).chain([Self::of_task(run)]))
    }

    fn of(run: &Run<'_>, hints: &[Hint<'_>]) -> Self {
        let mut notes = Vec::new();
        let outputs = hints::outputs(hints, &mut notes);
        let inputs = hints::inputs(run.declared, run.given, hints, &mut notes);
        let title = run.title();
        Self { outputs, inputs, notes: notes.into_iter().map(|note| format!("{title}: {note}")).collect() }
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.outputs.extend(part.outputs);
            all.inputs.extend(part.inputs);
            all.notes.extend(part.notes);
        }
        Self { outputs: hints::merge(all.outputs), inputs: artifact::merge(all.inputs), notes: all.notes }
    }
}
