//! `TEST_OUTPUT`: how a check says what it found (build-pipelines spec, 5.1).
//!
//! A check never fails its task by what it finds, nor by an error of its own: the error becomes the result `ERROR`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::results;

/// Bytes of a note: other results of the task have to fit beside it.
const MAX_NOTE: usize = 600;
const DEFAULT_NOTE: &str = "For details, check Tekton task log.";

/// How a check ended; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    Success,
    Skipped,
    Warning,
    Failure,
    Error,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestOutput {
    pub result: Outcome,
    pub timestamp: Timestamp,
    pub note: String,
    pub namespace: String,
    pub successes: u64,
    pub failures: u64,
    pub warnings: u64,
}

impl TestOutput {
    /// With the default note and no counts.
    pub fn new(result: Outcome, now: Timestamp) -> Self {
        Self {
            result,
            timestamp: whole_seconds(now),
            note: DEFAULT_NOTE.to_owned(),
            namespace: "default".to_owned(),
            successes: 0,
            failures: 0,
            warnings: 0,
        }
    }

    /// Counted: failures are worse than warnings, and nothing of both is a success.
    pub fn counted(successes: u64, failures: u64, warnings: u64, now: Timestamp) -> Self {
        let result = match (failures, warnings) {
            (0, 0) => Outcome::Success,
            (0, _) => Outcome::Warning,
            _ => Outcome::Failure,
        };
        Self { successes, failures, warnings, ..Self::new(result, now) }
    }

    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The result over several images: the worst one with its note, counts added up. `None` of nothing.
    pub fn aggregate(outputs: impl IntoIterator<Item = Self>) -> Option<Self> {
        outputs.into_iter().reduce(|one, other| {
            let counts = (
                one.successes.saturating_add(other.successes),
                one.failures.saturating_add(other.failures),
                one.warnings.saturating_add(other.warnings),
            );
            let worst = if other.result > one.result { other } else { one };
            Self { successes: counts.0, failures: counts.1, warnings: counts.2, ..worst }
        })
    }

    /// One line of JSON of at most `limit` bytes as a result carries it, for which the note is cut.
    fn line(&self, limit: usize) -> anyhow::Result<String> {
        let mut room = MAX_NOTE;
        loop {
            let output = Self { note: cut(&self.note, room), ..self.clone() };
            let line = serde_json::to_string(&output)?;
            // Quotes are escaped once more on the way.
            let size = line.len() + line.matches(['"', '\\']).count();
            if size <= limit || room == 0 {
                return Ok(line);
            }
            room = room.saturating_sub((size - limit).max(1));
        }
    }
}

/// Runs a check and writes its `TEST_OUTPUT`. An error of it becomes the result `ERROR`, and the task goes on.
pub async fn report(
    path: &Path,
    name: &str,
    now: Timestamp,
    check: impl Future<Output = anyhow::Result<TestOutput>>,
) -> anyhow::Result<()> {
    let output = check.await.unwrap_or_else(|error| {
        eprintln!("toolbox: {name}: {error:#}");
        let note = format!("Task {name} failed: {error:#}. {DEFAULT_NOTE}");
        TestOutput::new(Outcome::Error, now).note(note)
    });
    write(path, &output)
}

/// Writes the result and shows it in the log.
pub fn write(path: &Path, output: &TestOutput) -> anyhow::Result<()> {
    let line = output.line(results::room(path))?;
    crate::context::say(&line);
    results::write(path, &line)
}

/// `IMAGES_PROCESSED`: which images a check looked at (spec, 5.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImagesProcessed {
    image: Processed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Processed {
    pullspec: String,
    digests: Vec<String>,
}

impl ImagesProcessed {
    pub fn new(image_url: &str, digests: impl IntoIterator<Item = impl ToString>) -> Self {
        let digests = digests.into_iter().map(|digest| digest.to_string()).collect();
        Self { image: Processed { pullspec: image_url.to_owned(), digests } }
    }

    /// Writes the result, if the task has one.
    pub fn write(&self, path: Option<&PathBuf>) -> anyhow::Result<()> {
        let Some(path) = path else { return Ok(()) };
        results::write(path, &serde_json::to_string(self).context("encode IMAGES_PROCESSED")?)
    }
}

/// RFC 3339 with fractions is refused by some readers.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// On one line, with at most this many bytes.
fn cut(note: &str, limit: usize) -> String {
    let note = note.split_whitespace().collect::<Vec<_>>().join(" ");
    if note.len() <= limit {
        return note;
    }
    let end = (0..=limit.saturating_sub('…'.len_utf8())).rev().find(|end| note.is_char_boundary(*end));
    match end {
        Some(end) if limit >= '…'.len_utf8() => format!("{}…", &note[..end]),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn now() -> Timestamp {
        "2024-03-01T12:00:00.123456Z".parse().unwrap()
    }

    #[test]
    fn is_one_line_with_all_that_readers_need() {
        let line = TestOutput::counted(3, 0, 1, now()).note("one\ntwo").line(4096).unwrap();
        let expected = concat!(
            r#"{"result":"WARNING","timestamp":"2024-03-01T12:00:00Z","note":"one two","namespace":"default","#,
            r#""successes":3,"failures":0,"warnings":1}"#
        );
        assert_eq!(line, expected);
    }

    #[rstest]
    #[case::error_is_worst(&[Outcome::Success, Outcome::Error, Outcome::Failure], Outcome::Error)]
    #[case::failure(&[Outcome::Failure, Outcome::Warning], Outcome::Failure)]
    #[case::warning(&[Outcome::Skipped, Outcome::Warning], Outcome::Warning)]
    #[case::skipped(&[Outcome::Success, Outcome::Skipped], Outcome::Skipped)]
    #[case::success(&[Outcome::Success], Outcome::Success)]
    fn the_worst_of_several_wins_and_counts_add_up(#[case] outcomes: &[Outcome], #[case] expected: Outcome) {
        let outputs = outcomes.iter().map(|outcome| TestOutput {
            successes: 1,
            failures: 2,
            warnings: 3,
            ..TestOutput::new(*outcome, now()).note(format!("{outcome:?}"))
        });
        let count = u64::try_from(outcomes.len()).unwrap();
        let total = TestOutput::aggregate(outputs).unwrap();
        assert_eq!((total.result, total.note), (expected, format!("{expected:?}")));
        assert_eq!((total.successes, total.failures, total.warnings), (count, 2 * count, 3 * count));
        assert_eq!(TestOutput::aggregate([]), None);
    }

    #[test]
    fn a_long_note_is_cut_to_what_fits() {
        let output = TestOutput::counted(0, 1, 0, now()).note("\"é".repeat(3000));
        for limit in [4096, 400, 250] {
            let line = output.line(limit).unwrap();
            assert!(line.len() + line.matches(['"', '\\']).count() <= limit, "{limit}: {line}");
            let read: TestOutput = serde_json::from_str(&line).unwrap();
            assert_eq!(read.failures, 1);
        }
        assert_eq!(cut("é", 1), "");
        assert_eq!(cut("ééé", 5), "é…");
    }

    #[tokio::test]
    async fn an_error_of_the_check_is_a_result_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("TEST_OUTPUT");
        report(&path, "clamav-scan", now(), async { anyhow::bail!("clamscan ended with 2") }).await.unwrap();
        let read: TestOutput = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((read.result, read.failures), (Outcome::Error, 0));
        assert!(read.note.contains("clamav-scan failed: clamscan ended with 2"), "{}", read.note);
    }
}
