//! What the supervisor tells the other commands, by `<state>/report.json`.
use std::{fs, path::PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::layout::Layout;

/// So many ends are no accident.
const HOPELESS: u32 = 5;

/// The state of all parts, in the order in which they start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the cluster was started from; another one means that it has to be started again.
    pub fingerprint: String,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub state: State,
    /// How often it ended and was started again.
    pub restarts: u32,
    /// What it waits for, or why it ended.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// Others come first.
    Pending,
    /// Runs, but does not answer yet.
    Starting,
    Ready,
    /// Ended; will be started again.
    Down,
}

impl Report {
    pub fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.report()).ok()?).ok()
    }

    /// Nothing is being waited for.
    pub fn is_ready(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|part| part.state == State::Ready)
    }

    /// Trying on is of no use: somebody has to mend something, or start anew.
    pub fn is_broken(&self) -> bool {
        self.parts.iter().any(Part::is_broken)
    }

    /// The first part that others may be waiting for.
    pub fn unready(&self) -> Option<&Part> {
        let late = |part: &&Part| part.state != State::Ready;
        self.parts
            .iter()
            .filter(late)
            .find(|part| part.state != State::Pending)
            .or(self.parts.iter().find(late))
    }
}

impl Part {
    /// Ended again and again.
    pub fn is_broken(&self) -> bool {
        self.state == State::Down && self.restarts >= HOPELESS
    }
}

/// The supervisor's side: every change is written at once.
pub struct Reporter {
    path: PathBuf,
    report: Mutex<Report>,
}

impl Reporter {
    pub fn new(layout: &Layout, fingerprint: String, parts: &[&str]) -> Self {
        let part = |name: &&str| Part {
            name: (*name).to_owned(),
            state: State::Pending,
            restarts: 0,
            detail: String::new(),
        };
        let report = Report { fingerprint, parts: parts.iter().map(part).collect() };
        let reporter = Self { path: layout.report(), report: Mutex::new(report) };
        reporter.save(&reporter.report.lock());
        reporter
    }

    /// Changes what is reported of a part; one that was not announced is ignored.
    pub fn set(&self, name: &str, state: State, detail: &str) {
        let mut report = self.report.lock();
        let before = report.clone();
        if let Some(part) = report.parts.iter_mut().find(|part| part.name == name) {
            part.restarts += u32::from(state == State::Down);
            part.state = state;
            detail.clone_into(&mut part.detail);
        }
        if *report != before {
            self.save(&report);
        }
    }

    /// A report that cannot be written must not end the cluster; readers see an old one.
    fn save(&self, report: &Report) {
        let partial = self.path.with_extension("partial");
        let written = serde_json::to_vec_pretty(report)
            .map_err(std::io::Error::other)
            .and_then(|text| fs::write(&partial, text))
            .and_then(|()| fs::rename(&partial, &self.path));
        if let Err(error) = written {
            tracing::warn!(%error, "Could not write the report");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_see_each_change() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().to_owned());
        assert_eq!(Report::read(&layout), None);
        let reporter = Reporter::new(&layout, "f".into(), &["etcd", "kubelet"]);
        let report = || Report::read(&layout).unwrap();
        assert!(!report().is_ready());
        assert_eq!(report().unready().unwrap().name, "etcd");

        reporter.set("etcd", State::Ready, "");
        reporter.set("kubelet", State::Down, "exit status 1");
        assert_eq!(report().unready().unwrap().name, "kubelet");
        assert_eq!(report().unready().unwrap().restarts, 1);

        reporter.set("kubelet", State::Ready, "");
        assert!(report().is_ready());
        assert_eq!(report().parts[1].restarts, 1);
    }

    #[test]
    fn a_part_that_is_down_is_named_before_those_that_wait_for_it() {
        let part = |name: &str, state| Part { name: name.into(), state, restarts: 0, detail: String::new() };
        let report = Report {
            fingerprint: String::new(),
            parts: vec![part("a", State::Pending), part("b", State::Down)],
        };
        assert_eq!(report.unready().unwrap().name, "b");
    }
}
