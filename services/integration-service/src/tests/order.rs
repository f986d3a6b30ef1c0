//! Which scenarios are run before which (annex, L11): [`RUN_AFTER`] names those that have to pass first.

use std::collections::BTreeSet;
use std::sync::Arc;

use integration_service_api::IntegrationTestScenario;
use integration_service_api::annotations::RUN_AFTER;
use kube::ResourceExt as _;

use crate::record::Record;

/// Whether a scenario may be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// One before it has not ended.
    Later,
    /// Not before somebody mends what is in the way.
    Never {
        why: String,
    },
}

/// The turn of `scenario`. Those of `scenarios` that the record does not hold do not test this Snapshot, so nobody waits for them.
pub(super) fn turn(
    scenario: &IntegrationTestScenario,
    scenarios: &[Arc<IntegrationTestScenario>],
    record: &Record,
) -> Turn {
    if comes_after_itself(scenario, scenarios) {
        return Turn::Never { why: format!("Not run: by annotation {RUN_AFTER} it is run after itself") };
    }
    let mut turn = Turn::Now;
    for before in before(scenario) {
        match record.state(before) {
            Some(state) if !state.is_final() => turn = Turn::Later,
            Some(state) if !state.is_passed() => {
                let why =
                    format!("Not run: scenario {before}, after which it is run, did not pass ({state:?})");
                return Turn::Never { why };
            }
            _ => {}
        }
    }
    turn
}

fn before(scenario: &IntegrationTestScenario) -> impl Iterator<Item = &str> {
    let names = RUN_AFTER.of(&scenario.metadata.annotations).unwrap_or_default();
    names.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn comes_after_itself(
    scenario: &IntegrationTestScenario,
    scenarios: &[Arc<IntegrationTestScenario>],
) -> bool {
    let own = scenario.name_any();
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = before(scenario).collect();
    while let Some(name) = open.pop() {
        if name == own {
            return true;
        }
        if seen.insert(name) {
            let found = scenarios.iter().find(|scenario| scenario.name_any() == name);
            open.extend(found.into_iter().flat_map(|scenario| before(scenario)));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use integration_service_api::status::TestStatus;
    use jiff::Timestamp;
    use rstest::rstest;

    fn scenario(name: &str, after: &str) -> Arc<IntegrationTestScenario> {
        let mut scenario = IntegrationTestScenario::default();
        scenario.metadata.name = Some(name.to_owned());
        if !after.is_empty() {
            scenario.metadata.annotations = Some([(RUN_AFTER.as_str().to_owned(), after.to_owned())].into());
        }
        Arc::new(scenario)
    }

    fn never(why: &str) -> Turn {
        Turn::Never { why: why.to_owned() }
    }

    #[rstest]
    #[case::nothing_before("", Some(TestStatus::Pending), Turn::Now)]
    #[case::waits("a", Some(TestStatus::InProgress), Turn::Later)]
    #[case::passed(" a ,", Some(TestStatus::TestPassed), Turn::Now)]
    #[case::passed_with_warnings("a", Some(TestStatus::TestWarning), Turn::Now)]
    #[case::failed(
        "a",
        Some(TestStatus::TestFail),
        never("Not run: scenario a, after which it is run, did not pass (TestFail)")
    )]
    #[case::does_not_test_this_snapshot("a", None, Turn::Now)]
    fn decides(#[case] after: &str, #[case] a: Option<TestStatus>, #[case] expected: Turn) {
        let mut record = Record::default();
        if let Some(a) = a {
            record.set("a", a, "", Timestamp::UNIX_EPOCH);
        }
        let scenarios = [scenario("a", ""), scenario("b", after)];
        assert_eq!(turn(&scenarios[1], &scenarios, &record), expected);
    }

    #[test]
    fn a_circle_is_never_run() {
        let scenarios = [scenario("a", "c"), scenario("b", "a"), scenario("c", "b,d"), scenario("d", "")];
        let record = Record::default();
        for circular in &scenarios[..3] {
            assert!(matches!(turn(circular, &scenarios, &record), Turn::Never { .. }));
        }
        assert_eq!(turn(&scenarios[3], &scenarios, &record), Turn::Now);
        let behind_a_circle = scenario("e", "a");
        assert_eq!(
            turn(&behind_a_circle, &scenarios, &record),
            Turn::Now,
            "its predecessors are told themselves"
        );
    }
}
