use std::time::Duration;

use fleet::{Wake, Write};
use rstest::rstest;
use serde_json::{Value, json};

use super::super::due::{Due, due};
use super::*;

const NOW: &str = "2024-03-01T12:00:00Z";
const INTERVALS: Intervals = Intervals { sources: Duration::from_mins(30), key: Duration::from_mins(2) };

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn policy(key: &str) -> EnterpriseContractPolicy {
    serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "EnterpriseContractPolicy",
        "metadata": {"name": "p", "namespace": "tenant", "uid": "u", "generation": 2, "resourceVersion": "1"},
        "spec": {"publicKey": key},
    }))
    .unwrap()
}

fn read(revision: &str, rules: usize) -> Resolution {
    let url = "oci::r.test/p".to_owned();
    Resolution::Read {
        urls: vec![Origin { url, revision: Some(revision.to_owned()), rules: Some(3) }],
        rules,
    }
}

fn unreachable(is_transient: bool) -> Resolution {
    Resolution::Unreachable { url: "oci::r.test/p".to_owned(), why: "HTTP 503".to_owned(), is_transient }
}

fn finding(sources: Resolution) -> Finding {
    let (uid, generation) = (Some("u".to_owned()), Some(2));
    Finding { uid, generation, sources, sources_at: now(), key: Ok(()), key_at: now() }
}

fn seen(policy: EnterpriseContractPolicy, finding: Finding) -> Observed {
    Observed { now: now(), policy: Arc::new(policy), finding, intervals: INTERVALS }
}

/// The status that is written, if one is.
fn written(seen: &Observed) -> Option<Value> {
    let decision = decide(seen);
    assert!(decision.writes.len() <= 1);
    decision.writes.first().map(|write| match write {
        Write::Status(apply) => json!(apply.fields),
        other => panic!("{other:?}"),
    })
}

#[rstest]
#[case::valid(read("1", 3), Ok(()), "True", "Valid")]
#[case::no_rules(read("1", 0), Ok(()), "False", "NoRules")]
#[case::key(read("1", 3), Err("no key".to_owned()), "False", "KeyUnreadable")]
#[case::unreachable(unreachable(true), Ok(()), "False", "SourceUnreachable")]
#[case::unreachable_comes_before_the_key(unreachable(true), Err("no key".to_owned()), "False", "SourceUnreachable")]
#[case::invalid(Resolution::Invalid("x.rego:3: error".to_owned()), Ok(()), "False", "InvalidSpec")]
fn says_what_stands_in_the_way(
    #[case] sources: Resolution,
    #[case] key: Result<(), String>,
    #[case] status: &str,
    #[case] reason: &str,
) {
    let written = written(&seen(policy(""), Finding { key, ..finding(sources) })).unwrap();
    let condition = &written["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"], &condition["reason"]),
        (&json!("Ready"), &json!(status), &json!(reason))
    );
    assert_eq!((&written["observedGeneration"], &condition["observedGeneration"]), (&json!(2), &json!(2)));
}

/// The policy with what was written of it.
fn after(seen: &Observed) -> EnterpriseContractPolicy {
    let mut policy = (*seen.policy).clone();
    if let Some(status) = written(seen) {
        policy.status = Some(serde_json::from_value(status).unwrap());
    }
    policy
}

#[test]
fn the_same_again_is_not_written() {
    let first = seen(policy(""), finding(read("1", 3)));
    let later = Observed {
        now: "2024-03-02T00:00:00Z".parse().unwrap(),
        ..seen(after(&first), finding(read("1", 3)))
    };
    assert_eq!(written(&later), None);
    let another = Observed { finding: finding(read("2", 3)), ..later };
    let written = written(&another).unwrap();
    assert_eq!(written["resolvedSources"][0]["revision"], "2");
    assert_eq!(written["resolvedSources"][0]["time"], "2024-03-02T00:00:00Z");
}

#[test]
fn what_cannot_be_reached_keeps_what_it_led_to() {
    let first = seen(policy(""), finding(read("1", 3)));
    let policy = after(&first);
    let later = written(&seen(policy.clone(), finding(unreachable(true)))).unwrap();
    assert_eq!(later["resolvedSources"][0]["revision"], "1");
    let invalid = written(&seen(policy, finding(Resolution::Invalid("x".to_owned())))).unwrap();
    assert!(invalid["resolvedSources"].is_null(), "{invalid}");
}

#[test]
fn a_long_cause_is_cut_between_characters() {
    let cause = "ä".repeat(3000);
    let written = written(&seen(policy(""), finding(Resolution::Invalid(cause)))).unwrap();
    let message = written["conditions"][0]["message"].as_str().unwrap();
    assert!(message.len() < 2100 && message.ends_with('…'), "{message}");
}

const KEY: &str = "k8s://ns/public-key";

#[rstest]
#[case::never_seen(policy(""), None, 0, Due::All)]
#[case::just_seen(policy(""), Some(finding(read("1", 3))), 0, Due::Nothing)]
#[case::new_generation(policy(""), Some(Finding { generation: Some(1), ..finding(read("1", 3)) }), 0, Due::All)]
#[case::made_anew(policy(""), Some(Finding { uid: Some("v".to_owned()), ..finding(read("1", 3)) }), 0, Due::All)]
#[case::long_ago(policy(""), Some(finding(read("1", 3))), 1800, Due::All)]
#[case::not_so_long_ago(policy(""), Some(finding(read("1", 3))), 1799, Due::Nothing)]
#[case::unreachable(policy(""), Some(finding(unreachable(true))), 60, Due::All)]
#[case::unreachable_for_good(policy(""), Some(finding(unreachable(false))), 60, Due::Nothing)]
#[case::wrong_until_it_changes(
    policy(""),
    Some(finding(Resolution::Invalid(String::new()))),
    10_000_000,
    Due::Nothing
)]
#[case::key_of_a_secret(policy(KEY), Some(finding(read("1", 3))), 120, Due::Key)]
#[case::key_of_the_spec(policy("-----BEGIN"), Some(finding(read("1", 3))), 120, Due::Nothing)]
fn looks_at_what_is_due(
    #[case] policy: EnterpriseContractPolicy,
    #[case] known: Option<Finding>,
    #[case] seconds: i64,
    #[case] expected: Due,
) {
    let at = now() + jiff::SignedDuration::from_secs(seconds);
    assert_eq!(due(&policy, known.as_ref(), at, INTERVALS), expected);
}

#[rstest]
#[case::sources(policy(""), read("1", 3), Some(1800))]
#[case::key_first(policy(KEY), read("1", 3), Some(120))]
#[case::soon(policy(""), unreachable(true), Some(60))]
#[case::never(policy(""), Resolution::Invalid(String::new()), None)]
fn wakes_when_something_is_due(
    #[case] policy: EnterpriseContractPolicy,
    #[case] sources: Resolution,
    #[case] seconds: Option<i64>,
) {
    let expected =
        seconds.map_or(Wake::OnChange, |seconds| Wake::At(now() + jiff::SignedDuration::from_secs(seconds)));
    assert_eq!(decide(&seen(policy, finding(sources))).wake, expected);
}
