//! Which versions of tasks are trusted, and from when on: the records that `ec track bundle` keeps, and rules read as data.
//!
//! ```text
//! trusted_tasks:
//!   oci://registry.example/tasks/build:0.1:         # or git+https://git.example/tasks.git//build/task.yaml
//!   - {ref: sha256:…, effective_on: …}              # the newest first
//!   - {ref: sha256:…, effective_on: …, expires_on: …}   # until the one above is in effect
//! task-bundles: {registry.example/tasks/build: [{digest, tag, effective_on, expires_on}]}   # the older form
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const TRUSTED_TASKS: &str = "trusted_tasks";
const TASK_BUNDLES: &str = "task-bundles";
const DAY: i64 = 24 * 60 * 60;

/// A version of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    effective_on: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_on: Option<Timestamp>,
    /// Digest of a bundle, or commit.
    #[serde(rename = "ref")]
    reference: String,
}

/// A version of a task in the older form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BundleRecord {
    digest: String,
    effective_on: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_on: Option<Timestamp>,
    #[serde(default)]
    tag: String,
}

/// What is tracked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Records {
    tasks: BTreeMap<String, Vec<Record>>,
    bundles: BTreeMap<String, Vec<BundleRecord>>,
    /// What else the document says, which is nobody's business here.
    others: Map<String, Value>,
}

/// A task whose version is known by its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tracked {
    Bundle {
        /// Registry and repository.
        repository: String,
        tag: String,
    },
    Git {
        /// `https://host/repository`
        url: String,
        path: String,
    },
}

impl Tracked {
    /// Key in `trusted_tasks`.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Bundle { repository, tag } if tag.is_empty() => format!("oci://{repository}"),
            Self::Bundle { repository, tag } => format!("oci://{repository}:{tag}"),
            Self::Git { url, path } => format!("git+{url}//{path}"),
        }
    }

    /// What a key names; `None` for a key of another form.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        if let Some(name) = key.strip_prefix("oci://") {
            let (repository, tag) = match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => (repository, tag),
                _ => (name, ""),
            };
            return Some(Self::Bundle { repository: repository.to_owned(), tag: tag.to_owned() });
        }
        let (scheme, rest) = key.strip_prefix("git+")?.split_once("://")?;
        let (repository, path) = rest.split_once("//")?;
        Some(Self::Git { url: format!("{scheme}://{repository}"), path: path.to_owned() })
    }
}

impl Records {
    /// Of a document; an empty one has none. The error names the record.
    pub(crate) fn parse(document: Value) -> Result<Self, String> {
        let mut others = match document {
            Value::Null => Map::new(),
            Value::Object(document) => document,
            _ => return Err("records are an object with trusted_tasks".to_owned()),
        };
        let (tasks, bundles) = (read(&mut others, TRUSTED_TASKS)?, read(&mut others, TASK_BUNDLES)?);
        Ok(Self { tasks, bundles, others })
    }

    /// The tasks that there are records of.
    pub(crate) fn tracked(&self) -> impl Iterator<Item = Tracked> + '_ {
        self.tasks.keys().filter_map(|key| Tracked::parse(key))
    }

    /// Adds a version that is in effect from then on.
    pub(crate) fn add(&mut self, task: &Tracked, reference: &str, effective_on: Timestamp) {
        let record = Record { effective_on, expires_on: None, reference: reference.to_owned() };
        self.tasks.entry(task.key()).or_default().insert(0, record);
        if let Tracked::Bundle { repository, tag } = task {
            let record = BundleRecord {
                digest: reference.to_owned(),
                effective_on,
                expires_on: None,
                tag: tag.clone(),
            };
            self.bundles.entry(repository.clone()).or_default().insert(0, record);
        }
    }

    /// Brings all into order: what is said twice is said once, each expires when the next comes, and, if asked for, what has
    /// expired goes.
    #[must_use]
    pub(crate) fn tidied(mut self, now: Timestamp, prune: bool) -> Self {
        for records in self.tasks.values_mut() {
            tidy(records, now, prune);
        }
        for records in self.bundles.values_mut() {
            // Tags are versions of their own, one beside the other.
            let mut by_tag: BTreeMap<String, Vec<BundleRecord>> = BTreeMap::new();
            for record in records.drain(..) {
                by_tag.entry(record.tag.clone()).or_default().push(record);
            }
            for mut of_tag in by_tag.into_values() {
                tidy(&mut of_tag, now, prune);
                records.append(&mut of_tag);
            }
            records.sort_by(|one, other| (other.effective_on, &one.tag).cmp(&(one.effective_on, &other.tag)));
        }
        self
    }

    /// As a document.
    pub(crate) fn document(&self) -> Value {
        let mut document: BTreeMap<String, Value> = self.others.clone().into_iter().collect();
        if !self.bundles.is_empty() {
            document.insert(TASK_BUNDLES.to_owned(), json!(self.bundles));
        }
        document.insert(TRUSTED_TASKS.to_owned(), json!(self.tasks));
        json!(document)
    }
}

/// The day from which on a version is in effect that is added now.
pub(crate) fn effective_on(now: Timestamp, days: u16) -> Timestamp {
    let second = now.as_second() + i64::from(days) * DAY;
    let rounded = (second + DAY / 2).div_euclid(DAY) * DAY;
    Timestamp::from_second(rounded).unwrap_or(now)
}

fn read<R: for<'de> Deserialize<'de>>(
    document: &mut Map<String, Value>,
    key: &str,
) -> Result<BTreeMap<String, Vec<R>>, String> {
    let Some(tasks) = document.remove(key).filter(|tasks| !tasks.is_null()) else {
        return Ok(BTreeMap::new());
    };
    let tasks: BTreeMap<String, Vec<Value>> =
        serde_json::from_value(tasks).map_err(|error| format!("{key}: {error}"))?;
    let read = |(task, records): (String, Vec<Value>)| {
        let read = records.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
        read.map(|records| (task.clone(), records)).map_err(|error| format!("{key}: {task}: {error}"))
    };
    tasks.into_iter().map(read).collect()
}

/// What records of both forms have.
trait Dated {
    fn reference(&self) -> &str;
    fn effective_on(&self) -> Timestamp;
    fn expire(&mut self, on: Option<Timestamp>);
}

impl Dated for Record {
    fn reference(&self) -> &str {
        &self.reference
    }

    fn effective_on(&self) -> Timestamp {
        self.effective_on
    }

    fn expire(&mut self, on: Option<Timestamp>) {
        self.expires_on = on;
    }
}

impl Dated for BundleRecord {
    fn reference(&self) -> &str {
        &self.digest
    }

    fn effective_on(&self) -> Timestamp {
        self.effective_on
    }

    fn expire(&mut self, on: Option<Timestamp>) {
        self.expires_on = on;
    }
}

/// Of one task, the newest first.
fn tidy<R: Dated>(records: &mut Vec<R>, now: Timestamp, prune: bool) {
    // Stable: of two for one day, the one that was added later counts as newer.
    records.sort_by_key(|record| std::cmp::Reverse(record.effective_on()));
    // The same again says nothing new: it was in effect already.
    let mut kept: Vec<R> = Vec::with_capacity(records.len());
    for record in records.drain(..) {
        match kept.last_mut().filter(|newer| newer.reference() == record.reference()) {
            Some(newer) => *newer = record,
            None => kept.push(record),
        }
    }
    let mut newer: Option<Timestamp> = None;
    for record in &mut kept {
        record.expire(newer);
        newer = Some(record.effective_on());
    }
    if prune {
        let future = kept.iter().take_while(|record| record.effective_on() > now).count();
        kept.truncate(future + 1);
    }
    *records = kept;
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const NOW: &str = "2024-03-01T15:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn bundle() -> Tracked {
        Tracked::Bundle { repository: "r.test/task".to_owned(), tag: "0.1".to_owned() }
    }

    fn tasks(records: &Records) -> Value {
        records.document()[TRUSTED_TASKS].clone()
    }

    #[rstest]
    #[case("2024-03-01T11:59:59Z", "2024-03-31T00:00:00Z")]
    #[case("2024-03-01T12:00:00Z", "2024-04-01T00:00:00Z")]
    fn a_new_version_is_in_effect_in_thirty_days(#[case] now: &str, #[case] expected: &str) {
        assert_eq!(effective_on(at(now), 30), at(expected));
    }

    #[rstest]
    #[case("oci://r.test:5000/task:0.1", Some(Tracked::Bundle { repository: "r.test:5000/task".to_owned(), tag: "0.1".to_owned() }))]
    #[case("oci://r.test:5000/task", Some(Tracked::Bundle { repository: "r.test:5000/task".to_owned(), tag: String::new() }))]
    #[case("git+https://git.test/o/r.git//tasks/a.yaml", Some(Tracked::Git { url: "https://git.test/o/r.git".to_owned(), path: "tasks/a.yaml".to_owned() }))]
    #[case("https://git.test/o/r.git", None)]
    #[case("git+https://git.test/o/r.git", None)]
    fn reads_keys(#[case] key: &str, #[case] expected: Option<Tracked>) {
        assert_eq!(Tracked::parse(key), expected);
        if let Some(tracked) = expected {
            assert_eq!(tracked.key(), key);
        }
    }

    /// Scenario 19.
    #[test]
    fn the_same_version_again_changes_nothing() {
        let mut once = Records::default();
        once.add(&bundle(), "sha256:1", at("2024-03-31T00:00:00Z"));
        let once = once.tidied(at(NOW), true);
        let mut twice = Records::parse(once.document()).unwrap();
        twice.add(&bundle(), "sha256:1", at("2024-05-31T00:00:00Z"));
        assert_eq!(twice.tidied(at(NOW), true).document(), once.document());
    }

    #[test]
    fn each_expires_when_the_next_comes() {
        let mut records = Records::default();
        for (reference, on) in
            [("1", "2024-01-01T00:00:00Z"), ("2", "2024-02-01T00:00:00Z"), ("3", "2024-04-01T00:00:00Z")]
        {
            records.add(&bundle(), reference, at(on));
        }
        let expected = json!({"oci://r.test/task:0.1": [
            {"ref": "3", "effective_on": "2024-04-01T00:00:00Z"},
            {"ref": "2", "effective_on": "2024-02-01T00:00:00Z", "expires_on": "2024-04-01T00:00:00Z"},
            {"ref": "1", "effective_on": "2024-01-01T00:00:00Z", "expires_on": "2024-02-01T00:00:00Z"},
        ]});
        assert_eq!(tasks(&records.clone().tidied(at(NOW), false)), expected);
        // The one in effect stays, those before it go.
        let mut pruned = expected;
        pruned["oci://r.test/task:0.1"].as_array_mut().unwrap().pop();
        assert_eq!(tasks(&records.tidied(at(NOW), true)), pruned);
    }

    #[test]
    fn a_version_that_comes_back_is_a_version_of_its_own() {
        let mut records = Records::default();
        for (reference, on) in
            [("1", "2024-01-01T00:00:00Z"), ("2", "2024-02-01T00:00:00Z"), ("1", "2024-02-15T00:00:00Z")]
        {
            records.add(&bundle(), reference, at(on));
        }
        let records = records.tidied(at(NOW), false);
        let references: Vec<_> =
            records.tasks["oci://r.test/task:0.1"].iter().map(|record| record.reference.as_str()).collect();
        assert_eq!(references, ["1", "2", "1"]);
    }

    #[test]
    fn tags_of_one_repository_do_not_expire_each_other() {
        let mut records = Records::default();
        for (tag, on) in [("0.1", "2024-01-01T00:00:00Z"), ("0.2", "2024-02-01T00:00:00Z")] {
            let task = Tracked::Bundle { repository: "r.test/task".to_owned(), tag: tag.to_owned() };
            records.add(&task, &format!("sha256:{tag}"), at(on));
        }
        let document = records.tidied(at(NOW), true).document();
        let expected = json!({"r.test/task": [
            {"digest": "sha256:0.2", "effective_on": "2024-02-01T00:00:00Z", "tag": "0.2"},
            {"digest": "sha256:0.1", "effective_on": "2024-01-01T00:00:00Z", "tag": "0.1"},
        ]});
        assert_eq!(document[TASK_BUNDLES], expected);
    }

    #[test]
    fn what_else_is_there_stays() {
        let document = json!({"rule_data": {"x": 1}, "trusted_tasks": {"oci://r.test/t:1": [{"ref": "a", "effective_on": "2024-01-01T00:00:00Z"}]}});
        assert_eq!(Records::parse(document.clone()).unwrap().tidied(at(NOW), true).document(), document);
        for broken in
            [json!([]), json!({"trusted_tasks": []}), json!({"trusted_tasks": {"oci://x": [{"ref": 1}]}})]
        {
            Records::parse(broken).unwrap_err();
        }
    }
}
