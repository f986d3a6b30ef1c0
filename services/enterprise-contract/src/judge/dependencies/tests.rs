use rstest::rstest;
use serde_json::json;

use super::*;

/// `code<dependency,dependency`.
fn findings(texts: &[&str]) -> Vec<Finding> {
    let finding = |text: &&str| {
        let (code, on) = text.split_once('<').unwrap_or((text, ""));
        let on: Vec<&str> = on.split(',').filter(|code| !code.is_empty()).collect();
        let metadata = json!({"code": code, "depends_on": on});
        Finding { metadata: metadata.as_object().unwrap().clone(), ..Finding::default() }
    };
    texts.iter().map(finding).collect()
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter_map(Finding::code).collect()
}

#[rstest]
#[case::nothing(&["a"], &["b"], &["c"], &["a"], &["b"], &["c"])]
#[case::on_a_violation(&["a", "b<a"], &["c<a"], &["d<a"], &["a"], &[], &[])]
#[case::on_a_warning(&["b<a"], &["a"], &["d<a"], &[], &["a"], &[])]
#[case::on_a_success(&["b<a"], &[], &["a"], &["b"], &[], &["a"])]
#[case::on_one_of_several(&["a", "b<x,a,y"], &[], &[], &["a"], &[], &[])]
#[case::in_a_row(&["c<b", "b<a", "a"], &[], &["d<c"], &["a"], &[], &[])]
#[case::on_itself(&["a<a"], &[], &[], &["a"], &[], &[])]
#[case::on_each_other(&["a<b", "b<a"], &[], &["c<a"], &["a", "b"], &[], &[])]
#[case::on_each_other_and_a_cause(&["a<b", "b<a,c", "c"], &[], &[], &["c"], &[], &[])]
fn leaves_out(
    #[case] violations: &[&str],
    #[case] warnings: &[&str],
    #[case] successes: &[&str],
    #[case] left_violations: &[&str],
    #[case] left_warnings: &[&str],
    #[case] left_successes: &[&str],
) {
    let mut verdict = Verdict {
        violations: findings(violations),
        warnings: findings(warnings),
        successes: findings(successes),
    };
    trim(&mut verdict);
    assert_eq!(codes(&verdict.violations), left_violations);
    assert_eq!(codes(&verdict.warnings), left_warnings);
    assert_eq!(codes(&verdict.successes), left_successes);
}
