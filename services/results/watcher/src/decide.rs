//! What is to be done about a run: the behaviour of the specification, sections 4.2 to 4.4, without I/O.
//!
//! ```text
//! seen ─▶ held ─▶ archived, again and again ─▶ ended ─▶ archived ─▶ log ─▶ marked ─▶ deleted, when due
//!                                                                                      │
//!                           somebody deletes it ─▶ archived ─▶ others let go ─▶ let go ◀┘
//! ```

use fleet::{Wake, Write};
use jiff::{SignedDuration, Timestamp};
use kube::core::Selector;

use crate::keys;
use crate::marks;
use crate::memory::Memory;
use crate::names::Place;
use crate::prune::prune;
use crate::run::{Kind, Run};
use crate::waits::WaitFor;

/// How often the state of a run that has not ended is archived at most.
pub(crate) const PAUSE: SignedDuration = SignedDuration::from_secs(2);

/// All that the decision may look at.
pub(crate) struct Observed<'a, K> {
    pub(crate) now: Timestamp,
    pub(crate) run: &'a Run<K>,
    pub(crate) place: &'a Place,
    pub(crate) memory: &'a Memory,
    pub(crate) children: Children,
    pub(crate) settings: &'a Settings,
}

/// How far the TaskRuns of a PipelineRun are. TaskRuns have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Children {
    /// Each that exists is archived with its log.
    Ready,
    /// This one is not.
    Waits(String),
}

/// What the command line says.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags are independent of each other")]
pub(crate) struct Settings {
    /// Whether runs are kept until they are archived.
    pub(crate) finalizers: bool,
    pub(crate) logs: bool,
    /// Whether a run is archived only when it has ended.
    pub(crate) only_ended: bool,
    /// How long after its end a run is deleted. Absent: never.
    pub(crate) grace: Option<SignedDuration>,
    /// Whether a run with an owner is left to that.
    pub(crate) check_owner: bool,
    pub(crate) selector: Selector,
    pub(crate) waits: Vec<WaitFor>,
    /// How long a run that was deleted waits to be archived, for others, and for its log.
    pub(crate) store_deadline: SignedDuration,
}

/// Why nothing happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(crate) enum Hold {
    NotEnded,
    /// Its state was archived a moment ago.
    Pauses,
    /// Its log is made of theirs, and they go with it.
    TaskRunsFirst,
    /// Chains, integration-service and others have to see the end of it.
    OthersFirst,
    /// It is deleted, and nobody waits for us.
    Going,
    KeptForEver,
    LeftToPipelineRun,
    Owned,
    NoCompletionTime,
    NotDue,
    NotSelected,
    AwaitsAnnotation,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Finalizer and names; then look again.
    Hold(Write),
    /// Tell the archive; then look again.
    Archive,
    /// Store the log; then look again.
    Log,
    /// The log is given up for this reason; then look again.
    NoLog(&'static str),
    /// Say that all is stored; then look again.
    Mark(Write),
    Delete(Write),
    /// The finalizer goes, with the archive complete or given up.
    Release {
        write: Write,
        is_archived: bool,
    },
    Rest(Hold, Wake),
}

pub(crate) fn decide<K: Kind>(seen: &Observed<'_, K>) -> Next {
    let (run, memory, settings) = (seen.run, seen.memory, seen.settings);
    let deadline = run.deleted_at().map(|deleted| deleted + settings.store_deadline);
    let is_late = deadline.is_some_and(|deadline| seen.now >= deadline);
    let is_deleted = deadline.is_some();
    if !is_deleted && let Some(write) = marks::hold(run, seen.place, settings.finalizers) {
        return Next::Hold(write);
    }
    let digest = run.digest();
    let is_archived = memory.archived == Some(digest);
    // Enough to leave it alone, not enough to let it go.
    let says_archived =
        !is_deleted && run.says_stored() && run.annotation(keys::ARCHIVED) == Some(&*digest.to_string());
    if !is_archived && !says_archived {
        if is_late && memory.failed {
            return release(run, false);
        }
        if let Some(rest) = pause(seen, is_deleted) {
            return rest;
        }
        return Next::Archive;
    }
    if run.is_done() && !marks::is_stored(run, seen.place, settings.logs) {
        if settings.logs && memory.log.is_none() {
            return log(seen, is_late, deadline);
        }
        // One that goes now is not written to once more than necessary.
        if !is_deleted && let Some(write) = marks::stored(run, seen.place, memory.log.as_ref()) {
            return Next::Mark(write);
        }
    }
    match deadline {
        Some(deadline) if run.is_held() && run.is_held_by_others() && !is_late => {
            Next::Rest(Hold::OthersFirst, Wake::At(deadline))
        }
        Some(_) => release(run, true),
        None if !run.is_done() => Next::Rest(Hold::NotEnded, Wake::OnChange),
        None => prune(seen, is_archived),
    }
}

/// A run that goes on is not archived at each of its steps.
fn pause<K: Kind>(seen: &Observed<'_, K>, is_deleted: bool) -> Option<Next> {
    if seen.run.is_done() || is_deleted {
        return None;
    }
    if seen.settings.only_ended {
        return Some(Next::Rest(Hold::NotEnded, Wake::OnChange));
    }
    let next = seen.memory.archived_at? + PAUSE;
    (seen.now < next).then_some(Next::Rest(Hold::Pauses, Wake::At(next)))
}

fn log<K: Kind>(seen: &Observed<'_, K>, is_late: bool, deadline: Option<Timestamp>) -> Next {
    let given_up =
        seen.memory.log_since.is_some_and(|since| seen.now >= since + seen.settings.store_deadline);
    if is_late || given_up {
        return Next::NoLog("it could not be stored in time");
    }
    if let Children::Waits(_) = seen.children {
        return Next::Rest(Hold::TaskRunsFirst, deadline.map_or(Wake::OnChange, Wake::At));
    }
    Next::Log
}

fn release<K: Kind>(run: &Run<K>, is_archived: bool) -> Next {
    match marks::release(run) {
        Some(write) => Next::Release { write, is_archived },
        None => Next::Rest(Hold::Going, Wake::OnChange),
    }
}

#[cfg(test)]
mod tests;
