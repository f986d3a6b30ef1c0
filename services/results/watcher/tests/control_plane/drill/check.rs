//! What was made against what is archived: all of it, once, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::ListParams;
use pipelines_engine_api::{PipelineRun, TaskRun};
use results_api::client::Transport;
use results_api::v1alpha2::GetLogRequest;
use serde_json::{Value, json};

use super::archive::{Archive, RecordRow};
use super::load::{Fate, Made};
use super::world::World;

/// How many faults are told in full.
const TOLD: usize = 12;
const LOG: &str = "results.tekton.dev/v1alpha2.Log";

/// What was found to be right.
pub(super) struct Checked {
    runs: usize,
    results: usize,
    logs: usize,
    bytes: usize,
    pruned: usize,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, results, logs, bytes, pruned } = self;
        write!(
            f,
            "{runs} runs in {results} Results, {pruned} of them pruned, {logs} logs of {bytes} bytes: nothing lost, doubled or left over"
        )
    }
}

pub(super) async fn check(world: &World, runs: &[Made], archive: &Archive) -> anyhow::Result<Checked> {
    let mut check =
        Check { world, runs, archive, live: live(world).await?, faults: Vec::new(), known: BTreeSet::new() };
    check.results();
    let mut checked = Checked {
        runs: runs.len(),
        results: archive.results.len(),
        logs: 0,
        bytes: 0,
        pruned: runs.iter().filter(|run| matches!(run.fate, Fate::GoesWith(_))).count(),
    };
    let transport = world.transport()?;
    let mut files = BTreeSet::new();
    for run in runs {
        check.run(run);
        let Some(text) = &run.log else { continue };
        if let Some(path) = check.log(run, text, &transport).await? {
            checked.logs += 1;
            checked.bytes += text.len();
            files.insert(path);
        }
    }
    check.writes();
    check.orphans(&files)?;
    let faults = check.faults;
    let told = faults[..faults.len().min(TOLD)].join("\n");
    ensure!(faults.is_empty(), "{} faults in {} runs:\n{told}", faults.len(), runs.len());
    ensure!(checked.logs > 0 && checked.pruned > 0, "nothing was shown: {checked}");
    Ok(checked)
}

/// The runs that are there, by uid.
async fn live(world: &World) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut live = BTreeMap::new();
    for (api, kind) in [(world.whole::<PipelineRun>(), "PipelineRun"), (world.whole::<TaskRun>(), "TaskRun")]
    {
        for run in api.list(&ListParams::default()).await? {
            let uid = run.uid().unwrap_or_default();
            let mut run = serde_json::to_value(run)?;
            // What is in a list does not say so itself.
            run["apiVersion"] = json!("tekton.dev/v1");
            run["kind"] = json!(kind);
            live.insert(uid, run);
        }
    }
    Ok(live)
}

struct Check<'a> {
    world: &'a World,
    runs: &'a [Made],
    archive: &'a Archive,
    live: BTreeMap<String, Value>,
    faults: Vec<String>,
    /// Names of records that belong to a run.
    known: BTreeSet<&'a str>,
}

impl<'a> Check<'a> {
    /// Each has one, which tells of its end.
    fn results(&mut self) {
        let wanted: BTreeSet<&str> = self.runs.iter().map(|run| &*run.result).collect();
        let there: Vec<&str> = self.archive.results.iter().map(|row| &*row.name).collect();
        let once: BTreeSet<&str> = there.iter().copied().collect();
        if once != wanted || there.len() != once.len() {
            let differing: Vec<_> = once.symmetric_difference(&wanted).collect();
            self.faults.push(format!("{} Results for {} groups: {differing:?}", there.len(), wanted.len()));
        }
        for row in &self.archive.results {
            let about = row.about.clone().unwrap_or_default();
            let run = self
                .runs
                .iter()
                .find(|run| about == format!("{}/results/{}/records/{}", row.parent, run.result, run.uid));
            let Some(run) = run.filter(|run| run.is_top_level && run.result == row.name) else {
                self.faults
                    .push(format!("Result {} tells of {about:?}, which is none of its runs", row.name));
                continue;
            };
            let ended: Option<Timestamp> =
                run.last["status"]["completionTime"].as_str().and_then(|time| time.parse().ok());
            let status = match run.last["status"]["conditions"][0]["status"].as_str() {
                Some("True") => 1,
                Some("False") => 2,
                _ => 0,
            };
            if row.status != Some(status) || row.ended != ended || row.parent != *self.world.tenant {
                self.faults.push(format!(
                    "the Result of {} says {:?}, {:?} in {}; expected {status}, {ended:?}",
                    run.name, row.status, row.ended, row.parent
                ));
            }
        }
    }

    /// Its one Record is what it was last, and it is where it should be.
    fn run(&mut self, run: &'a Made) {
        let records: Vec<_> = self.archive.records.iter().filter(|record| record.name == run.uid).collect();
        self.known.insert(&run.uid);
        let [record] = records[..] else {
            self.faults.push(format!("{} has {} Records", run.name, records.len()));
            return;
        };
        let kind = format!("tekton.dev/v1.{}", run.last["kind"].as_str().unwrap_or_default());
        if (&record.result, &record.kind, &*record.parent) != (&run.result, &kind, &*self.world.tenant) {
            self.faults.push(format!("{} is a {} in Result {}", run.name, record.kind, record.result));
        }
        let (archived, expected) = match (self.live.get(&run.uid), &run.fate) {
            (Some(live), Fate::Stays) => (lasting(&record.data, false), lasting(live, false)),
            (None, Fate::GoesWith(_) | Fate::Deleted) => {
                (lasting(&record.data, true), lasting(&run.last, true))
            }
            (live, fate) => {
                self.faults.push(format!("{} is there: {}; expected {fate:?}", run.name, live.is_some()));
                return;
            }
        };
        if archived != expected {
            self.faults.push(format!("{} is archived as {archived}, and was {expected}", run.name));
        }
        if let Fate::GoesWith(uid) = &run.fate {
            self.before_deletion(run, uid, &run.uid, |note| note.is_final, "its end");
        }
    }

    /// Its one Log is what it printed: by the size in its Record, as a file, and as the API shows it. Answers the file.
    async fn log(
        &mut self,
        run: &'a Made,
        text: &str,
        transport: &Transport,
    ) -> anyhow::Result<Option<String>> {
        let is_its = |record: &&RecordRow| {
            record.kind == LOG && record.data["spec"]["resource"]["uid"] == json!(run.uid)
        };
        let records: Vec<_> = self.archive.records.iter().filter(is_its).collect();
        self.known.extend(records.iter().map(|record| &*record.name));
        let [record] = records[..] else {
            self.faults.push(format!("{} has {} Logs", run.name, records.len()));
            return Ok(None);
        };
        let size = record.data["status"]["size"].as_u64().unwrap_or(0);
        if size != text.len() as u64 || record.result != run.result {
            self.faults.push(format!(
                "the Log of {} in {} has {size} bytes, not {}",
                run.name,
                record.result,
                text.len()
            ));
        }
        let name = format!("{}/results/{}/logs/{}", record.parent, record.result, record.name);
        if let Some(live) = self.live.get(&run.uid) {
            let annotations = &live["metadata"]["annotations"];
            let told = annotations["results.tekton.dev/log"].as_str();
            if told != Some(&name) || annotations["results.tekton.dev/stored"] != "true" {
                self.faults.push(format!("{} says its log is {told:?}, not {name}", run.name));
            }
        }
        if text.is_empty() {
            return Ok(None);
        }
        if let Fate::GoesWith(uid) = &run.fate {
            self.before_deletion(run, uid, &record.name, |note| note.size > Some(0), "its log");
        }
        let path = record.data["status"]["path"].as_str().unwrap_or_default().to_owned();
        let file = std::fs::read(self.world.logs().join(&path)).unwrap_or_default();
        self.compare(run, text, &file, "as a file");
        match read(transport, &name).await {
            Ok(read) => self.compare(run, text, &read, "as the API shows it"),
            Err(status) => self.faults.push(format!("the log of {} is not shown: {status}", run.name)),
        }
        Ok(Some(path))
    }

    fn compare(&mut self, run: &Made, text: &str, bytes: &[u8], where_: &str) {
        if text.as_bytes() == bytes {
            return;
        }
        let same = text.bytes().zip(bytes).take_while(|(expected, byte)| expected == *byte).count();
        let (wanted, found) = (text.lines().count(), bytes.split(|byte| *byte == b'\n').count() - 1);
        self.faults.push(format!(
            "the log of {} {where_}: {found} lines instead of {wanted}, differing after {same} bytes",
            run.name
        ));
    }

    /// That a run, or its log, was stored for good before the run that it went with was deleted.
    fn before_deletion(
        &mut self,
        run: &Made,
        went_with: &str,
        record: &str,
        is_stored: impl Fn(&super::archive::Note) -> bool,
        what: &str,
    ) {
        let deleted = self.world.deletions.lock().get(went_with).copied();
        let stored = self.archive.notes.iter().find(|note| note.name == record && is_stored(note));
        let stored = stored.map(|note| note.at);
        let is_right = stored.zip(deleted).is_some_and(|(stored, deleted)| stored < deleted);
        if !is_right {
            self.faults.push(format!(
                "{}: {what} was stored at {stored:?}, deleted it was at {deleted:?}",
                run.name
            ));
        }
    }

    /// Everything was made once and never deleted, and no older state came after a newer one.
    fn writes(&mut self) {
        let mut inserts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
        for note in &self.archive.notes {
            match &*note.operation {
                "INSERT" => *inserts.entry((&note.of, &note.name)).or_default() += 1,
                "DELETE" => self.faults.push(format!("{} {} was deleted", note.of, note.name)),
                _ => {}
            }
            let Some(version) = note.version else { continue };
            let last = versions.insert(&note.name, version).unwrap_or(0);
            if last > version {
                self.faults.push(format!("{} was archived at {version} after {last}", note.name));
            }
        }
        let twice = inserts.iter().filter(|(_, count)| **count != 1);
        self.faults.extend(twice.map(|(row, count)| format!("{row:?} was made {count} times")));
        let rows = self.archive.results.len() + self.archive.records.len();
        if inserts.len() != rows {
            self.faults.push(format!("{rows} rows, of which {} were made", inserts.len()));
        }
    }

    /// Nothing is there that belongs to no run.
    fn orphans(&mut self, expected: &BTreeSet<String>) -> anyhow::Result<()> {
        let strange = self.archive.records.iter().filter(|record| !self.known.contains(&*record.name));
        self.faults.extend(strange.map(|record| format!("a Record of nobody: {}", record.data)));
        let folder = self.world.logs();
        let mut files = BTreeSet::new();
        walk(&folder, &folder, &mut files)?;
        for file in files.symmetric_difference(expected) {
            self.faults.push(format!("the folder of logs: {file} is no log, or missing"));
        }
        let made: BTreeSet<&String> = self.runs.iter().map(|run| &run.uid).collect();
        for (uid, run) in self.live.iter().filter(|(uid, _)| !made.contains(uid)) {
            self.faults.push(format!("a run of nobody: {uid} {}", run["metadata"]["name"]));
        }
        Ok(())
    }
}

/// A log, as the API shows it.
async fn read(transport: &Transport, name: &str) -> Result<Vec<u8>, tonic::Status> {
    let request = GetLogRequest { name: name.to_owned() };
    let mut pieces = transport.logs().get_log(request).await?.into_inner();
    let mut read = Vec::new();
    while let Some(piece) = pieces.message().await? {
        read.extend_from_slice(&piece.data);
    }
    Ok(read)
}

/// The files below a folder, relative to the first.
fn walk(first: &Path, folder: &Path, files: &mut BTreeSet<String>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(first, &path, files)?;
        } else {
            let relative = path.strip_prefix(first).context("it lies below")?;
            files.insert(relative.display().to_string());
        }
    }
    Ok(())
}

/// All of an object but what differs from one moment to the next; of one that went, but what that changed.
fn lasting(object: &Value, is_gone: bool) -> Value {
    let mut object = object.clone();
    let Some(metadata) = object["metadata"].as_object_mut() else { return object };
    let passing = ["managedFields", "resourceVersion"];
    let going = ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "finalizers"];
    for field in passing.iter().chain(going.iter().filter(|_| is_gone)) {
        metadata.remove(*field);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.contains("results."));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    object
}
