//! What became of deliveries, for people who ask.
//!
//! Files of records that are only appended to, `outcomes/<unix second of its beginning>`; whole files go when they are too
//! old or there are too many bytes. A search reads them all: it is asked for by people, not by programs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::record;

/// What became of one delivery (at one consumer). Its user chooses the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub at: Timestamp,
    /// The key that the delivery was accepted under.
    pub delivery: String,
    /// Who took it or did not.
    pub consumer: String,
    /// A word from a closed set, as `started`, `skipped`, `refused`; the spool's own are `gave_up` and `too_old`.
    pub result: String,
    /// For a person: what happened, and what to do.
    pub text: String,
    /// What it can be found by beside the delivery, as `repository`, `commit`, `event`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Which outcomes. All that is given has to fit; nothing given means all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pub delivery: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// The newest so many; 0 means 100.
    pub limit: usize,
}

impl Query {
    fn fits(&self, outcome: &Outcome) -> bool {
        self.delivery.as_ref().is_none_or(|delivery| *delivery == outcome.delivery)
            && self.labels.iter().all(|(key, value)| outcome.labels.get(key) == Some(value))
    }
}

/// How long outcomes are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub age: Duration,
    /// Of all files together; the oldest goes first.
    pub bytes: u64,
}

impl Default for Retention {
    /// A week, 256 MiB.
    fn default() -> Self {
        Self { age: Duration::from_hours(7 * 24), bytes: 256 * 1024 * 1024 }
    }
}

/// A file is closed at this size or age, so that what is too old can go bit by bit.
const FILE_BYTES: u64 = 4 * 1024 * 1024;
const FILE_AGE: SignedDuration = SignedDuration::from_hours(6);

/// Most outcomes that a search returns when it names no limit.
const LIMIT: usize = 100;

/// The record of outcomes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outcomes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    retention: Retention,
    open: Mutex<Option<Segment>>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    begun: Timestamp,
    bytes: u64,
}

impl Outcomes {
    /// Makes the folder. Blocks.
    pub fn open(folder: &Path, retention: Retention) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self(Arc::new(Inner { folder: folder.to_owned(), retention, open: Mutex::default() })))
    }

    /// Keeps an outcome. Survives the death of the process. Blocks for a moment, as writing to a log does.
    pub fn record(&self, outcome: &Outcome) -> io::Result<()> {
        let json = serde_json::to_vec(outcome)?;
        let mut bytes = Vec::with_capacity(record::HEADER + json.len());
        record::encode(&mut bytes, &[&json]).ok_or_else(|| io::Error::other("more than 4 GiB"))?;
        let mut open = self.0.open.lock();
        let is_usable = |segment: &&mut Segment| {
            segment.bytes < FILE_BYTES && outcome.at.duration_since(segment.begun) < FILE_AGE
        };
        let segment = match open.as_mut().filter(is_usable) {
            Some(segment) => segment,
            None => open.insert(self.0.begin(outcome.at)?),
        };
        let written = segment.file.write_all(&bytes);
        segment.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if written.is_err() {
            // What follows half a record could not be read.
            *open = None;
        }
        written
    }

    /// The newest outcomes that fit, newest first. Blocks: reads everything that is kept.
    pub fn search(&self, query: &Query) -> io::Result<Vec<Outcome>> {
        let limit = if query.limit == 0 { LIMIT } else { query.limit };
        let mut found = Vec::new();
        for (path, _) in self.0.files()?.into_iter().rev() {
            let bytes = match fs::read(&path) {
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read?,
            };
            let mut rest = bytes.as_slice();
            let mut here = Vec::new();
            while let Some((content, next)) = record::decode(rest) {
                here.extend(serde_json::from_slice(content).ok().filter(|outcome| query.fits(outcome)));
                rest = next;
            }
            found.extend(here.into_iter().rev());
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Removes what is too old or too much. Blocks.
    pub fn clean(&self, now: Timestamp) -> io::Result<()> {
        let age = SignedDuration::try_from(self.0.retention.age).unwrap_or(SignedDuration::MAX);
        let mut bytes = 0;
        for (path, begun) in self.0.files()?.into_iter().rev() {
            // The newest file always stays: it may be the one that is written to.
            let is_newest = bytes == 0;
            bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len()).max(1);
            let is_old = now.duration_since(begun) > age.saturating_add(FILE_AGE);
            if !is_newest && (is_old || bytes > self.0.retention.bytes) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

impl Inner {
    /// A new file each time: what an earlier process left may end in half a record.
    fn begin(&self, at: Timestamp) -> io::Result<Segment> {
        let mut number = at.as_second().max(0);
        loop {
            let path = self.folder.join(format!("{number:012}"));
            match File::options().append(true).create_new(true).open(path) {
                Ok(file) => return Ok(Segment { file, begun: at, bytes: 0 }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The oldest first, with the time of its beginning.
    fn files(&self) -> io::Result<Vec<(PathBuf, Timestamp)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let begun = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(begun) = begun.and_then(|second| Timestamp::from_second(second).ok()) {
                files.push((entry.path(), begun));
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(second: i64, delivery: &str, repository: &str) -> Outcome {
        Outcome {
            at: Timestamp::from_second(1_709_294_400 + second).unwrap(),
            delivery: delivery.to_owned(),
            consumer: "self".to_owned(),
            result: "skipped".to_owned(),
            text: "no run matches".to_owned(),
            labels: [("repository".to_owned(), repository.to_owned())].into(),
        }
    }

    fn found(outcomes: &Outcomes, query: &Query) -> Vec<String> {
        outcomes.search(query).unwrap().into_iter().map(|outcome| outcome.delivery).collect()
    }

    #[test]
    fn finds_by_delivery_and_by_label_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        for run in 0..3 {
            let outcomes = Outcomes::open(folder.path(), Retention::default()).unwrap();
            outcomes.record(&outcome(run, &format!("a{run}"), "one")).unwrap();
            outcomes.record(&outcome(run, &format!("b{run}"), "two")).unwrap();
        }
        let outcomes = Outcomes::open(folder.path(), Retention::default()).unwrap();
        assert_eq!(found(&outcomes, &Query::default()), ["b2", "a2", "b1", "a1", "b0", "a0"], "newest first");
        let one = Query {
            labels: [("repository".to_owned(), "one".to_owned())].into(),
            limit: 2,
            ..Query::default()
        };
        assert_eq!(found(&outcomes, &one), ["a2", "a1"]);
        let delivery = Query { delivery: Some("b1".to_owned()), ..Query::default() };
        assert_eq!(outcomes.search(&delivery).unwrap(), [outcome(1, "b1", "two")]);
    }

    #[test]
    fn goes_on_after_half_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let outcomes = Outcomes::open(folder.path(), Retention::default()).unwrap();
        outcomes.record(&outcome(0, "whole", "r")).unwrap();
        outcomes.record(&outcome(0, "torn", "r")).unwrap();
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let length = fs::metadata(&path).unwrap().len();
        File::options().write(true).open(path).unwrap().set_len(length - 3).unwrap();
        let outcomes = Outcomes::open(folder.path(), Retention::default()).unwrap();
        outcomes.record(&outcome(0, "after", "r")).unwrap();
        assert_eq!(found(&outcomes, &Query::default()), ["after", "whole"]);
    }

    #[test]
    fn forgets_what_is_too_old_or_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let hours = |hours: i64| hours * 3600;
        let retention = Retention { age: Duration::from_hours(24), bytes: u64::MAX };
        let outcomes = Outcomes::open(folder.path(), retention).unwrap();
        for (at, delivery) in [(0, "first"), (hours(10), "second"), (hours(40), "third")] {
            outcomes.record(&outcome(at, delivery, "r")).unwrap();
        }
        outcomes.clean(outcome(hours(41), "", "").at).unwrap();
        // 41 hours is more than a day and the six hours that a file may be written to, 31 would be as well.
        assert_eq!(found(&outcomes, &Query::default()), ["third"]);
        let outcomes = Outcomes::open(folder.path(), Retention { bytes: 1, ..retention }).unwrap();
        outcomes.record(&outcome(hours(41), "fourth", "r")).unwrap();
        outcomes.clean(outcome(hours(41), "", "").at).unwrap();
        assert_eq!(found(&outcomes, &Query::default()), ["fourth"], "the newest file stays");
    }
}
