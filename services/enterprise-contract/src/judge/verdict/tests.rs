use enterprise_contract_api::policy::{Source, SourceConfiguration};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::rego::{Host, Module, Offline, Policy};
use crate::select::Selection;

/// Two rules that fail and warn as the input says, and one that never does.
const RULES: &str = r#"
package policy.release.test
import rego.v1

# METADATA
# title: No failures
# description: Nothing has failed
# custom:
#   short_name: no_failures
#   failure_msg: "%s has failed"
#   solution: Repair it.
#   collections: [minimal]
#   depends_on: test.found
deny contains result if {
	some result in input.failures
}

# METADATA
# title: No remarks
# custom:
#   short_name: no_remarks
#   collections: minimal
warn contains result if {
	some result in input.remarks
}

# METADATA
# title: Found
# description: There is something.
# custom:
#   short_name: found
deny contains {"msg": "nothing is there", "code": "test.found"} if {
	input.is_empty
}
"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn judged_by(
    rules: &str,
    input: &Value,
    include: &[&str],
    exclude: &[&str],
) -> Result<Verdict, NothingChecked> {
    let modules = vec![Module { path: "test.rego".to_owned(), text: rules.to_owned() }];
    let policy = Policy::compile(modules, json!({})).unwrap();
    let host: std::sync::Arc<dyn Host> = std::sync::Arc::new(Offline);
    let outcomes = policy.evaluate(input, &json!({}), &host).unwrap();
    let texts = |items: &[&str]| items.iter().map(ToString::to_string).collect();
    let config = SourceConfiguration { include: texts(include), exclude: texts(exclude) };
    let source = Source { config: Some(config), ..Source::default() };
    let time = at("2024-03-01T00:00:00Z");
    judge(policy.rules(), outcomes, &Selection::new(&source, None).at(time, None), time)
}

fn judged(input: &Value, include: &[&str], exclude: &[&str]) -> Verdict {
    judged_by(RULES, input, include, exclude).unwrap()
}

fn failure(more: &Value) -> Value {
    let mut failure = json!({"msg": "a has failed", "code": "test.no_failures"});
    failure.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"failures": [failure]})
}

/// `code:term` of each finding, or its message.
fn names(findings: &[Finding]) -> Vec<String> {
    let name = |finding: &Finding| match (finding.code(), finding.term()) {
        (Some(code), Some(term)) => format!("{code}:{term}"),
        (Some(code), None) => code.to_owned(),
        _ => finding.msg.clone(),
    };
    findings.iter().map(name).collect()
}

#[test]
fn results_are_described_by_their_rule() {
    let verdict = judged(&failure(&json!({"term": "a"})), &[], &[]);
    assert_eq!(
        json!(verdict.violations),
        json!([{
            "msg": "a has failed",
            "metadata": {
                "code": "test.no_failures",
                "term": "a",
                "title": "No failures",
                "description": "Nothing has failed. To pass over it, list \"test.no_failures:a\" under `exclude` in the configuration of the policy.",
                "solution": "Repair it.",
                "collections": ["minimal"],
                "depends_on": ["test.found"],
            },
        }])
    );
    assert_eq!(names(&verdict.successes), ["test.no_remarks", "test.found"]);
    let found = &verdict.successes[1];
    assert_eq!((found.msg.as_str(), found.metadata.get("solution")), (PASS, None));
    assert_eq!(found.metadata["description"], "There is something.");
}

#[rstest]
#[case::always(json!({}), true)]
#[case::later(json!({"effective_on": "2024-03-02T00:00:00Z"}), false)]
#[case::from_this_moment(json!({"effective_on": "2024-03-01T00:00:00Z"}), false)]
#[case::before(json!({"effective_on": "2024-02-29T23:59:59Z"}), true)]
#[case::no_time(json!({"effective_on": "some day"}), true)]
#[case::no_text(json!({"effective_on": 5}), true)]
#[case::lowered(json!({"severity": "warning"}), false)]
#[case::other_severity(json!({"severity": "mild"}), true)]
fn failures_are_violations_once_they_are_effective(#[case] more: Value, #[case] is_violation: bool) {
    let verdict = judged(&failure(&more), &[], &[]);
    let expected: (&[&str], &[&str]) =
        if is_violation { (&["test.no_failures"], &[]) } else { (&[], &["test.no_failures"]) };
    assert_eq!(
        (names(&verdict.violations), names(&verdict.warnings)),
        (
            expected.0.iter().map(ToString::to_string).collect(),
            expected.1.iter().map(ToString::to_string).collect()
        )
    );
}

#[test]
fn a_warning_may_be_raised() {
    let input = json!({"remarks": [{"msg": "m", "code": "test.no_remarks", "severity": "failure"}]});
    assert_eq!(names(&judged(&input, &[], &[]).violations), ["test.no_remarks"]);
}

#[rstest]
#[case::long_ago("2023-12-01T00:00:00Z", false)]
#[case::lately("2023-12-03T00:00:00Z", true)]
fn old_dates_are_left_out(#[case] date: &str, #[case] is_shown: bool) {
    let verdict = judged(&failure(&json!({"effective_on": date})), &[], &[]);
    assert_eq!(verdict.violations[0].metadata.contains_key("effective_on"), is_shown);
}

#[test]
fn what_is_excluded_counts_neither_as_found_nor_as_missing() {
    let verdict = judged(&failure(&json!({"term": "a"})), &[], &["test.no_failures:a"]);
    assert!(verdict.violations.is_empty());
    assert_eq!(names(&verdict.successes), ["test.no_failures", "test.no_remarks", "test.found"]);
    let verdict = judged(&failure(&json!({})), &[], &["test.no_failures"]);
    assert_eq!(names(&verdict.successes), ["test.no_remarks", "test.found"]);
}

#[test]
fn nothing_selected_is_an_error() {
    assert_eq!(judged_by(RULES, &failure(&json!({})), &["other"], &[]), Err(NothingChecked));
    assert_eq!(
        judged_by("package policy.release.empty\nimport rego.v1\n", &json!({}), &[], &[]),
        Err(NothingChecked)
    );
}

#[test]
fn an_included_item_without_rule_is_a_warning() {
    let verdict = judged(&json!({}), &["@minimal", "test.fond"], &[]);
    assert_eq!(verdict.warnings.len(), 1);
    assert!(verdict.warnings[0].msg.contains("\"test.fond\""), "{:?}", verdict.warnings);
    assert_eq!(names(&verdict.successes), ["test.no_failures", "test.no_remarks"]);
}

#[test]
fn what_depends_on_something_found_is_left_out() {
    let mut input = failure(&json!({}));
    input["is_empty"] = json!(true);
    let verdict = judged(&input, &[], &[]);
    assert_eq!(names(&verdict.violations), ["test.found"]);
    assert_eq!(names(&judged(&json!({"is_empty": true}), &[], &[]).successes), ["test.no_remarks"]);
}

#[test]
fn results_without_a_code_count() {
    let verdict = judged(&json!({"failures": ["just a text"]}), &[], &[]);
    assert_eq!(names(&verdict.violations), ["just a text"]);
    assert!(judged(&json!({"failures": ["just a text"]}), &["test"], &[]).violations.is_empty());
}

#[test]
fn findings_are_sorted_and_cut() {
    let finding = |code: &str, term: &str, msg: &str| Finding {
        msg: msg.to_owned(),
        metadata: json!({"code": code, "term": term, "title": "t", "effective_on": "x"})
            .as_object()
            .unwrap()
            .clone(),
        ..Finding::default()
    };
    let violations =
        vec![finding("b", "", "1"), finding("a", "y", "1"), finding("a", "x", "2"), finding("a", "x", "1")];
    let verdict = Verdict { violations, ..Verdict::default() };
    assert_eq!(names(&verdict.clone().finished(true).violations), ["a:x", "a:x", "a:y", "b:"]);
    let cut = verdict.finished(false).violations;
    assert_eq!(cut[0].msg, "1");
    assert_eq!(json!(cut[0].metadata), json!({"code": "a", "effective_on": "x"}));
}
