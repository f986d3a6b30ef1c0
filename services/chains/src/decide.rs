//! What is to be done about a run: the behaviour of the specification, section 4.1, without I/O.
//!
//! ```text
//! under way ──▶ ended ──▶ its TaskRuns are signed ──▶ signed: "true"
//!     │           │                                └▶ tried again for a while ──▶ signed: "failed"
//!  finalizer   (kept)                                                finalizer goes with the mark
//! ```

use fleet::{Decision, Event, Wake};
use jiff::{SignedDuration, Timestamp};

use crate::record::Record;
use crate::run::Run;

/// How long a deletion waits for a signature (specification, section 4.1).
const DELETION_LIMIT: SignedDuration = SignedDuration::from_mins(5);

/// All that the decision may look at.
pub(crate) struct Observed<'a, R> {
    pub(crate) now: Timestamp,
    pub(crate) run: &'a R,
    /// Of a PipelineRun; TaskRuns have none and wait for nobody.
    pub(crate) children: Children,
    /// Whether there are settings.
    pub(crate) is_configured: bool,
    /// After a failure: not earlier than this.
    pub(crate) not_before: Option<Timestamp>,
}

/// How far the TaskRuns of a PipelineRun are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Children {
    /// Each has been signed, or given up.
    Settled,
    /// This one has not.
    Unsettled(String),
    /// This one does not exist any more, and nobody knows what it has built.
    Gone(String),
}

/// Why nothing happens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(crate) enum Hold {
    /// It is a copy of a run of somebody else's.
    Elsewhere,
    NotEnded,
    Settled,
    /// Its TaskRuns come first: all of them write to the attestations of the same images.
    TaskRunsFirst,
    NoSettings,
    PausesAfterFailure,
    GivenUp,
}

impl fleet::Hold for Hold {}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Build, sign, store.
    Sign,
    /// These writes, if any, and then nothing for now.
    Rest(Decision<Hold>),
}

impl Next {
    fn rest(hold: Hold, record: Option<fleet::Write>) -> Self {
        let mut decision = Decision::from(hold);
        decision.push(record);
        Self::Rest(decision)
    }
}

pub(crate) fn decide<R: Run>(seen: &Observed<'_, R>) -> Next {
    let run = seen.run;
    let is_deleted = run.deleted_at().is_some();
    if run.is_elsewhere() {
        return Next::rest(Hold::Elsewhere, is_deleted.then(|| Record::release().write(run)).flatten());
    }
    if run.signed().is_some() {
        // Not before it is deleted: a cluster that the original has worked in holds thousands with a finalizer.
        return Next::rest(Hold::Settled, is_deleted.then(|| Record::release().write(run)).flatten());
    }
    if !run.is_done() {
        let record = if is_deleted { Record::release() } else { Record::hold() };
        return Next::rest(Hold::NotEnded, record.write(run));
    }
    let deadline = run.deleted_at().map(|deleted| deleted + DELETION_LIMIT);
    if deadline.is_some_and(|deadline| seen.now >= deadline) {
        return give_up(run, "it was deleted five minutes ago and could not be signed in that time");
    }
    let hold = match &seen.children {
        Children::Gone(name) => {
            let why =
                format!("TaskRun {name} was deleted before it was signed, so what it did cannot be attested");
            return give_up(run, &why);
        }
        Children::Unsettled(_) => Some((Hold::TaskRunsFirst, Wake::OnChange)),
        Children::Settled if !seen.is_configured => Some((Hold::NoSettings, Wake::OnChange)),
        Children::Settled => seen
            .not_before
            .filter(|not_before| seen.now < *not_before)
            .map(|not_before| (Hold::PausesAfterFailure, Wake::At(not_before))),
    };
    let Some((hold, wake)) = hold else { return Next::Sign };
    let limit = deadline.map_or(Wake::OnChange, Wake::At);
    Next::Rest(Decision { wake: wake.or(limit, seen.now), ..hold.into() })
}

/// Marks a run as failed for good, and says why.
fn give_up<R: Run>(run: &R, why: &str) -> Next {
    let mut decision = Decision::from(Hold::GivenUp);
    decision.push(Record::failed(why).write(run));
    decision.push(failure(run, why, true));
    Next::Rest(decision)
}

/// The Event about a failure.
pub(crate) fn failure<R: Run>(run: &R, why: &str, is_final: bool) -> Event {
    let what_next = if is_final {
        "given up; mend it, then remove the annotation chains.tekton.dev/signed to have it tried again"
    } else {
        "it is tried again"
    };
    Event::warning(run, "SigningFailed", "Sign", format!("{why} ({what_next})"))
}

#[cfg(test)]
mod tests;
