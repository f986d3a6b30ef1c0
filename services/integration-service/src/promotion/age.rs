//! The order of the builds of a Component.

use application_service_api::{Component, Snapshot};
use fleet_api::LabelKey;
use integration_service_api::annotations::{BUILD_START, PROMOTED_BUILD};
use integration_service_api::labels::{self, PIPELINE_RUN_FINISH_TIME, snapshot_type};
use jiff::Timestamp;
use kube::ResourceExt as _;

/// Later than any time in seconds: what is larger is in milliseconds.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// When a build began and ended, in seconds since 1970. The later one is the one that began later: a commit that took long to
/// build does not become newer by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Age {
    began: i64,
    ended: i64,
}

impl Age {
    /// That of the build that a Snapshot was made for. What was not built is of the time when the Snapshot was made, and so is what a
    /// user wants to be in the list.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let metadata = &snapshot.metadata;
        let created = metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        if labels::TYPE.of(&metadata.labels) == Some(snapshot_type::OVERRIDE) {
            return Self { began: created, ended: created };
        }
        let ended = labelled(snapshot, PIPELINE_RUN_FINISH_TIME).unwrap_or(created);
        let began = BUILD_START.of(&metadata.annotations).and_then(seconds).unwrap_or(ended);
        Self { began, ended }
    }

    /// That of the image that is in the candidate list, if it was put there by this service.
    pub(crate) fn promoted(component: &Component) -> Option<Self> {
        let text = PROMOTED_BUILD.of(&component.metadata.annotations)?;
        let (began, ended) = text.split_once('/')?;
        Some(Self { began: seconds(began)?, ended: seconds(ended)? })
    }

    /// When the build began.
    pub(crate) fn began(self) -> Timestamp {
        Timestamp::from_second(self.began).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The value of [`PROMOTED_BUILD`].
    pub(crate) fn to_annotation(self) -> String {
        format!("{}/{}", self.began, self.ended)
    }
}

fn labelled(snapshot: &Snapshot, label: LabelKey) -> Option<i64> {
    snapshot.labels().get(label.as_str()).and_then(|text| seconds(text))
}

fn seconds(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    Some(if number >= MILLISECONDS_FROM { number / 1000 } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    fn age(type_: &str, began: Option<&str>, ended: &str) -> Age {
        let mut snapshot: Snapshot = serde_json::from_value(json!({
            "metadata": {"name": "s", "creationTimestamp": "2023-11-14T22:13:20Z"}, "spec": {"application": "app"},
        }))
        .unwrap();
        let labels = [(labels::TYPE, type_), (PIPELINE_RUN_FINISH_TIME, ended)];
        snapshot.metadata.labels = Some(labels.map(|(key, value)| (key.into(), value.to_owned())).into());
        snapshot.metadata.annotations = began.map(|began| [(BUILD_START.into(), began.to_owned())].into());
        Age::of(&snapshot)
    }

    #[rstest]
    #[case::of_a_build("component", Some("100"), "200", (100, 200))]
    #[case::in_milliseconds("component", Some("1700000000123"), "1700000009", (1_700_000_000, 1_700_000_009))]
    #[case::of_an_older_program("component", None, "200", (200, 200))]
    #[case::by_hand("component", Some("soon"), "x", (1_700_000_000, 1_700_000_000))]
    #[case::over("override", Some("100"), "200", (1_700_000_000, 1_700_000_000))]
    fn reads(
        #[case] type_: &str,
        #[case] began: Option<&str>,
        #[case] ended: &str,
        #[case] expected: (i64, i64),
    ) {
        assert_eq!(age(type_, began, ended), Age { began: expected.0, ended: expected.1 });
    }

    #[test]
    fn the_later_one_began_later() {
        let (slow, quick) = (Age { began: 1, ended: 9 }, Age { began: 2, ended: 3 });
        assert!(quick > slow);
    }

    proptest! {
        #[test]
        fn is_kept_by_the_component(began in 0..MILLISECONDS_FROM, ended in 0..MILLISECONDS_FROM) {
            let age = Age { began, ended };
            let mut component = Component::default();
            component.metadata.annotations = Some([(PROMOTED_BUILD.into(), age.to_annotation())].into());
            prop_assert_eq!(Age::promoted(&component), Some(age));
        }
    }
}
