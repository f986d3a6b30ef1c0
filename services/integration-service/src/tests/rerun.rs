//! Scenarios that are asked for again (spec, section 4.5; annex, L7).
//!
//! ```text
//! label ─▶ entry reset, attempt + 1 ─▶ conditions open again ─▶ run made, its name recorded and the label removed, in one write
//! ```
//! So the label is there until its wish is fulfilled, and a crash in between neither loses nor repeats it.

use application_service_api::Snapshot;
use fleet::{Event, Write};
use integration_service_api::labels;
use integration_service_api::status::TestStatus;
use kube::ResourceExt as _;

use super::observe::Seen;
use crate::record::{Record, scenarios_for};

/// What the label `run` of a Snapshot asks for, and whether that is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The value of the label.
    scenario: Option<String>,
    answer: Answer,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Answer {
    /// It cannot be started yet.
    #[default]
    None,
    Done,
    /// It never will, and this is what to tell.
    Refused(String),
}

/// What is asked of a Snapshot.
pub(super) fn of(snapshot: &Snapshot) -> Asked {
    Asked { scenario: labels::RUN.of(&snapshot.metadata.labels).map(str::to_owned), answer: Answer::None }
}

impl Asked {
    /// The label is to go.
    pub(super) fn is_answered(&self) -> bool {
        self.scenario.is_some() && self.answer != Answer::None
    }

    /// Something has become of the scenario `name`.
    pub(super) fn answered_by(mut self, name: &str) -> Self {
        if self.scenario.as_deref().is_some_and(|asked| asked == name || asked == labels::RUN_ALL) {
            self.answer = Answer::Done;
        }
        self
    }

    /// Nothing of this Snapshot is run any more.
    pub(super) fn refused(self) -> Self {
        let why =
            "It is superseded, cancelled or wrong, or what it is of is gone: nothing of it is run again"
                .to_owned();
        Self { answer: Answer::Refused(why), ..self }
    }

    /// Tells why nothing comes of it.
    pub(super) fn event(&self, snapshot: &Snapshot) -> Option<Write> {
        let (Some(_), Answer::Refused(why)) = (&self.scenario, &self.answer) else { return None };
        Some(Write::Event(Event::warning(snapshot, "RerunRefused", "Rerun", why.clone())))
    }

    fn with(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }
}

/// Resets what is asked for, if it has ended; `before` is what the Snapshot says.
pub(super) fn carry_out(seen: &Seen, asked: Asked, before: &Record, record: &mut Record) -> Asked {
    match asked.scenario.as_deref() {
        None => asked,
        // A scenario that happens to have this name is one of them.
        Some(labels::RUN_ALL) => all(seen, asked, before, record),
        Some(name) => {
            let name = name.to_owned();
            one(seen, asked, &name, before, record)
        }
    }
}

fn one(seen: &Seen, asked: Asked, name: &str, before: &Record, record: &mut Record) -> Asked {
    if seen.scenario(name).is_none() {
        let application = &seen.snapshot.spec.application;
        return asked.with(Answer::Refused(format!("Application {application} has no scenario {name}")));
    }
    if before.state(name) == Some(TestStatus::InProgress) {
        return asked.with(Answer::Done);
    }
    ask_again(name, before, record, seen);
    asked
}

fn all(seen: &Seen, asked: Asked, before: &Record, record: &mut Record) -> Asked {
    let mut is_waiting = false;
    for scenario in scenarios_for(&seen.snapshot, &seen.scenarios) {
        let name = scenario.name_any();
        if before.state(&name) != Some(TestStatus::InProgress) {
            is_waiting = true;
            ask_again(&name, before, record, seen);
        }
    }
    if is_waiting { asked } else { asked.with(Answer::Done) }
}

/// One that waits already is asked for as it is.
fn ask_again(name: &str, before: &Record, record: &mut Record, seen: &Seen) {
    if before.state(name).is_some_and(TestStatus::is_final) {
        record.reset(name, seen.now);
    } else if record.entry(name).is_none() {
        record.set(name, TestStatus::Pending, "Asked for", seen.now);
    }
}
