//! What forges know of a Snapshot: its annotation
//! [`GIT_REPORTER_STATUS`](integration_service_api::annotations::GIT_REPORTER_STATUS) (spec, section 3).

use std::collections::BTreeMap;

use application_service_api::Snapshot;
use integration_service_api::annotations::{GIT_REPORTER_STATUS, PR_LAST_UPDATE};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The annotation: `{"scenarios": {"<key>": {"lastUpdateTime": "<RFC 3339>"}}}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reported {
    #[serde(default)]
    scenarios: BTreeMap<String, Entry>,
    /// What newer programs keep here.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// That of the scenario's status which was reported.
    #[serde(default)]
    last_update_time: String,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Reported {
    /// That of a Snapshot, of whose scenarios the older annotation may tell all at once. One that somebody made unreadable counts as
    /// absent: then all is said once more, which changes nothing at the forge.
    pub(crate) fn read<'a>(snapshot: &Snapshot, scenarios: impl Iterator<Item = &'a str>) -> Self {
        let annotations = snapshot.annotations();
        let mut reported: Self = annotations
            .get(GIT_REPORTER_STATUS.as_str())
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        if let Some(last) = annotations.get(PR_LAST_UPDATE.as_str()) {
            for scenario in scenarios {
                let entry = || Entry { last_update_time: last.clone(), ..Entry::default() };
                reported.scenarios.entry(scenario.to_owned()).or_insert_with(entry);
            }
        }
        reported
    }

    /// Whether this state of a scenario, or a later one, is recorded under one of these keys.
    pub(crate) fn knows(&self, keys: &Keys, updated: &str) -> bool {
        [&keys.own, &keys.other].into_iter().any(|key| {
            self.scenarios.get(key).is_some_and(|entry| !is_newer(updated, &entry.last_update_time))
        })
    }

    /// Records a state.
    pub(crate) fn record(&mut self, keys: &Keys, updated: &str) {
        updated.clone_into(&mut self.scenarios.entry(keys.own.clone()).or_default().last_update_time);
    }

    /// The value of the annotation.
    pub(crate) fn to_annotation(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// Under what a scenario is recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Keys {
    own: String,
    /// What others write in its place.
    other: String,
}

impl Keys {
    /// Of a Snapshot's own pull request: the scenario. Late versions of the original add the Snapshot.
    pub(crate) fn of_snapshot(scenario: &str, snapshot: &str) -> Self {
        Self { own: scenario.to_owned(), other: format!("{scenario}-{snapshot}") }
    }

    /// Of the pull request of one of a group's members, by the member's Snapshot.
    pub(crate) fn of_member(scenario: &str, member: &str) -> Self {
        let key = format!("{scenario}-{member}");
        Self { own: key.clone(), other: key }
    }

    /// That a group has no Snapshot, at the pull request of one of its members. No scenario has such a name.
    pub(crate) fn of_failed_group(scenario: &str) -> Self {
        let key = format!("group/{scenario}");
        Self { own: key.clone(), other: key }
    }
}

/// By time, where both are times.
fn is_newer(updated: &str, known: &str) -> bool {
    match (updated.parse::<Timestamp>(), known.parse::<Timestamp>()) {
        (Ok(updated), Ok(known)) => updated > known,
        _ => updated != known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn snapshot(annotations: &Value) -> Snapshot {
        serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "n", "annotations": annotations},
            "spec": {"application": "shop"},
        }))
        .unwrap()
    }

    fn read(annotations: &Value) -> Reported {
        Reported::read(&snapshot(annotations), ["lint", "e2e"].into_iter())
    }

    const AT: &str = "2024-01-01T00:00:05Z";

    #[rstest]
    #[case::same("lint", AT, true)]
    #[case::in_another_zone("lint", "2024-01-01T01:00:05+01:00", true)]
    #[case::later("lint", "2024-01-01T00:00:06Z", false)]
    #[case::earlier("lint", "2024-01-01T00:00:04Z", true)]
    #[case::other_form("e2e", AT, true)]
    #[case::absent("scan", AT, false)]
    fn knows(#[case] scenario: &str, #[case] updated: &str, #[case] expected: bool) {
        let text = json!({"scenarios": {
            "lint": {"lastUpdateTime": AT}, "e2e-s": {"lastUpdateTime": AT}, "scan-t": {"lastUpdateTime": AT},
        }});
        let reported = read(&json!({(GIT_REPORTER_STATUS.as_str()): text.to_string()}));
        assert_eq!(reported.knows(&Keys::of_snapshot(scenario, "s"), updated), expected);
    }

    #[test]
    fn takes_over_the_older_annotation() {
        let reported = read(&json!({(PR_LAST_UPDATE.as_str()): AT}));
        assert!(reported.knows(&Keys::of_snapshot("lint", "s"), AT));
        assert!(reported.knows(&Keys::of_snapshot("e2e", "s"), AT));
        assert!(!reported.knows(&Keys::of_snapshot("scan", "s"), AT));
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let text = json!({"by": "x", "scenarios": {"lint": {"lastUpdateTime": "", "url": "y"}}});
        let mut reported = read(&json!({(GIT_REPORTER_STATUS.as_str()): text.to_string()}));
        reported.record(&Keys::of_snapshot("lint", "s"), AT);
        let written: Value = serde_json::from_str(&reported.to_annotation()).unwrap();
        assert_eq!(written, json!({"by": "x", "scenarios": {"lint": {"lastUpdateTime": AT, "url": "y"}}}));
    }

    #[test]
    fn what_cannot_be_read_is_said_again() {
        let reported = read(&json!({(GIT_REPORTER_STATUS.as_str()): "["}));
        assert_eq!(reported, Reported::default());
    }
}
