//! The end of a run: the forge hears of it, the Repository remembers it, then the run is let go (spec section 4.11).
//!
//! ```text
//! run ─ended, or deleted─▶ Tell ─▶ (Tellings) ─▶ history of the Repository ─▶ one patch: state, finalizer
//! ```
//! Each step is found again by what the objects say, so that a crash repeats one step at most.

use fleet::{MetadataPatch, Wake, Write};
use jiff::{SignedDuration, Timestamp};
use pipelines_as_code_api::annotations::written as annotations;
use pipelines_as_code_api::pipeline_run::State;
use pipelines_as_code_api::{Repository, finalizers, labels};
use pipelines_engine_api::PipelineRun;

use super::telling::Telling;
use super::{history, run};

/// How long the number of a GitHub check run is waited for: it is written just after the run is made.
const CHECK_RUN_PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// How long the last news of a run's tasks are waited for: they come by a watch of their own.
const TASKS_PATIENCE: SignedDuration = SignedDuration::from_secs(5);

/// A run that has ended sooner is told of when it is as old as this: that it began is told just after it is made, and what is
/// told last stays.
const BEGINNING: SignedDuration = SignedDuration::from_secs(3);

/// How long the Repository is waited for to remember a run. A Repository that cannot be written to keeps no run from being closed.
const HISTORY_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// The same for a run that somebody deletes.
const SHORT_HISTORY_PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// All that the decision may look at.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    pub now: Timestamp,
    pub run: &'a PipelineRun,
    /// `None`: it is gone.
    pub repository: Option<&'a Repository>,
    /// All its tasks are known to have ended.
    pub tasks_are_final: bool,
    pub telling: Telling,
}

/// What is next.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Next {
    /// Nothing, for now.
    Hold(Hold, Wake),
    /// Let the forge know how it has ended.
    Tell,
    /// Nothing remains but this write.
    Write(Write),
    /// As `Write`, and the run counts as ended in this state from then on.
    Close(Write, State),
}

/// Why nothing happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Hold {
    /// It says nothing of our state.
    NotOurs,
    /// It came out of a backup.
    Restored,
    /// It waits for its turn, or goes on.
    Going,
    /// It is reported already.
    Closed,
    /// It was made a moment ago.
    JustMade,
    /// The number of its check run is not there yet.
    NoCheckRun,
    /// Some of its tasks still seem to go on.
    TasksGoing,
    /// The forge is being told.
    Telling,
    /// The Repository does not remember it yet.
    NotInHistory,
}

pub fn decide(seen: &Observed<'_>) -> Next {
    let run = seen.run;
    let state = run::state(run);
    let hold = match state {
        None => Some(Hold::NotOurs),
        Some(state) if run::is_final(state) => Some(Hold::Closed),
        Some(_) if run::is_restored(run) => Some(Hold::Restored),
        Some(_) => None,
    };
    if let Some(hold) = hold {
        // Nobody else takes the finalizer off, and the run could never go.
        let is_stuck = run::is_being_deleted(run) || hold == Hold::Closed;
        let release = MetadataPatch::of(run).without_finalizer(finalizers::PIPELINE_RUN).into_write();
        return release.filter(|_| is_stuck).map_or(Next::Hold(hold, Wake::OnChange), Next::Write);
    }
    let is_done = run::is_done(run);
    if !is_done && !run::is_being_deleted(run) {
        let keep = MetadataPatch::of(run).finalizer(finalizers::PIPELINE_RUN).into_write();
        // A run that waits gets it with its turn, unless it is deleted before.
        return keep.map_or(Next::Hold(Hold::Going, Wake::OnChange), Next::Write);
    }
    match &seen.telling {
        Telling::NotBegun => match not_yet(seen) {
            Some((hold, until)) => Next::Hold(hold, Wake::At(until)),
            None => Next::Tell,
        },
        Telling::UnderWay => Next::Hold(Hold::Telling, Wake::OnChange),
        Telling::Over(told) => {
            // One that was deleted before it ended is no result to remember.
            let is_missing = is_done
                && seen
                    .repository
                    .is_some_and(|repository| !history::is_in(&repository.spec.pipelinerun_status, run));
            let patience = if run::is_being_deleted(run) { SHORT_HISTORY_PATIENCE } else { HISTORY_PATIENCE };
            let until = told.at.checked_add(patience).ok().filter(|until| is_missing && *until > seen.now);
            if let Some(until) = until {
                return Next::Hold(Hold::NotInHistory, Wake::At(until));
            }
            let state = if told.error.is_none() { State::Completed } else { State::Failed };
            close(run, state)
                .map_or(Next::Hold(Hold::Closed, Wake::OnChange), |write| Next::Close(write, state))
        }
    }
}

/// Why the end of a run is not told yet, and until when.
fn not_yet(seen: &Observed<'_>) -> Option<(Hold, Timestamp)> {
    let run = seen.run;
    // Whoever deletes it does not wait for us.
    if run::is_being_deleted(run) {
        return None;
    }
    let ended_at = run::completed_at(run).unwrap_or_else(|| run::created_at(run));
    let is_of_app = run::is_of_app(run);
    let waits = [
        // A check run is continued by its number: its reports cannot overtake one another.
        (!is_of_app, Hold::JustMade, run::created_at(run), BEGINNING),
        (is_of_app && run::check_run(run).is_none(), Hold::NoCheckRun, ended_at, CHECK_RUN_PATIENCE),
        (!seen.tasks_are_final, Hold::TasksGoing, ended_at, TASKS_PATIENCE),
    ];
    let waits = waits.into_iter().filter(|(is_needed, ..)| *is_needed);
    let until =
        waits.filter_map(|(_, hold, since, patience)| Some((hold, since.checked_add(patience).ok()?)));
    until.filter(|(_, until)| *until > seen.now).max_by_key(|(_, until)| *until)
}

/// One write, so that the run is never without both: unsaid and unheld.
fn close(run: &PipelineRun, state: State) -> Option<Write> {
    let state: &str = state.into();
    MetadataPatch::of(run)
        .label(labels::STATE, Some(state))
        .annotation(annotations::STATE, Some(state))
        .without_finalizer(finalizers::PIPELINE_RUN)
        .into_write()
}

#[cfg(test)]
mod tests;
