//! `ec validate input` and `policy`: what ends with which code, and what is written.

use rstest::rstest;
use serde_json::Value;

use crate::program::Workplace;

const RULES: &str = r#"
package policy.release.sample

import rego.v1

# METADATA
# title: Not bad
# custom:
#   short_name: not_bad
#   solution: Be good.
deny contains result if {
	input.bad
	result := {"code": "sample.not_bad", "msg": "it is bad"}
}

# METADATA
# title: Not odd
# custom:
#   short_name: not_odd
warn contains result if {
	input.odd
	result := {"code": "sample.not_odd", "msg": "it is odd"}
}

# METADATA
# title: Not old
# custom:
#   short_name: not_old
#   effective_on: "2024-06-01T00:00:00Z"
deny contains result if {
	input.old
	result := {"code": "sample.not_old", "msg": "it is old"}
}
"#;

const POLICY: &str = "sources:\n- policy: [rules]\n";

fn workplace() -> anyhow::Result<Workplace> {
    Workplace::with(&[
        ("rules/sample.rego", RULES),
        ("policy.yaml", POLICY),
        ("good.json", "{}"),
        ("bad.json", r#"{"bad": true}"#),
        ("odd.yaml", "odd: true"),
        ("old.json", r#"{"old": true}"#),
    ])
}

#[rstest]
#[case::good(&["--file", "good.json"], 0, "SUCCESS")]
#[case::bad(&["--file", "bad.json"], 1, "FAILURE")]
#[case::not_strict(&["--file", "bad.json", "--strict=false"], 0, "FAILURE")]
#[case::one_of_two(&["--file", "good.json,bad.json"], 1, "FAILURE")]
#[case::scenario_15_only_warnings(&["--file", "odd.yaml"], 0, "WARNING")]
#[case::text(&["--file", "{\"bad\": true}"], 1, "FAILURE")]
#[case::scenario_5_before_its_time(&["--file", "old.json", "--effective-time", "2024-05-01"], 0, "WARNING")]
#[case::scenario_5_after_its_time(&["--file", "old.json", "--effective-time", "2024-07-01T00:00:00Z"], 1, "FAILURE")]
#[tokio::test]
async fn ends_as_it_was_judged(
    #[case] flags: &[&str],
    #[case] code: i32,
    #[case] result: &str,
) -> anyhow::Result<()> {
    let arguments =
        [&["validate", "input", "--policy", "policy.yaml", "--output", "appstudio"], flags].concat();
    let ended = workplace()?.ec(&arguments).await?;
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let output: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(output["result"], result, "{output}");
    Ok(())
}

/// Each ends with 1, and says on standard error why; there is no report.
#[rstest]
#[case::no_such_file(&["--file", "gone.json", "--policy", "policy.yaml"], "gone.json")]
#[case::broken_file(&["--file", "broken.json", "--policy", "policy.yaml"], "broken.json")]
#[case::no_such_policy(&["--file", "good.json", "--policy", "gone.yaml"], "gone.yaml")]
#[case::unknown_key(&["--file", "good.json", "--policy", "{\"sourcez\": []}"], "sourcez")]
#[case::scenario_16_no_source(&["--file", "good.json", "--policy", "{\"name\": \"x\"}"], "no sources")]
#[case::scenario_16_no_rule(&["--file", "good.json", "--policy", "{\"sources\": [{\"policy\": [\"rules\"], \"config\": {\"exclude\": [\"*\", \"sample\"]}}]}"], "nothing was checked")]
#[case::scenario_10_network(&["--file", "good.json", "--policy", "{\"sources\": [{\"policy\": [\"forbidden\"]}]}"], "forbidden/a.rego:5")]
#[case::broken_rego(&["--file", "good.json", "--policy", "{\"sources\": [{\"policy\": [\"broken\"]}]}"], "broken/a.rego:")]
#[case::no_rego(&["--file", "good.json", "--policy", "{\"sources\": [{\"policy\": [\"empty\"]}]}"], "has no Rego")]
#[case::plain_http(&["--file", "good.json", "--policy", "{\"sources\": [{\"policy\": [\"http://h.test/p\"]}]}"], "insecure")]
#[case::conflict(&["--file", "good.json", "--policy", "{\"sources\": [{\"policy\": [\"rules\"], \"data\": [\"one.yaml\", \"two.yaml\"]}]}"], "\"a.b\"")]
#[tokio::test]
async fn no_doubt_ends_well(#[case] flags: &[&str], #[case] expected: &str) -> anyhow::Result<()> {
    let workplace = workplace()?;
    for (path, content) in [
        ("broken.json", "{\"a\": "),
        ("forbidden/a.rego", "package a\n\nimport rego.v1\n\ndeny contains http.send({}).body if true\n"),
        ("broken/a.rego", "package a\n\nimport rego.v1\n\ndeny contains {\n"),
        ("empty/README", ""),
        ("one.yaml", "a: {b: 1}"),
        ("two.yaml", "a: {b: 2}"),
    ] {
        workplace.write(path, content)?;
    }
    for strict in ["--strict=true", "--strict=false"] {
        let ended = workplace.ec(&[&["validate", "input", strict], flags].concat()).await?;
        assert_eq!(ended.code, Some(1), "{strict}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
    Ok(())
}

/// Scenario 22, and a target that cannot be written.
#[tokio::test]
async fn outputs_go_where_they_are_wanted_and_one_that_cannot_is_told() -> anyhow::Result<()> {
    let workplace = workplace()?;
    let ended = workplace
        .ec(&[
            "validate",
            "input",
            "--policy",
            "policy.yaml",
            "--file",
            "good.json",
            "--show-successes",
            "--output",
            "json=report.json",
            "--output",
            "yaml=report.yaml?show-successes=false",
            "--output",
            "text",
            "--output",
            "json=no/such/folder",
            "--output",
            "xml",
        ])
        .await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("no/such/folder") && ended.stderr.contains("\"xml\" is unknown"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("Result: SUCCESS"), "{ended:?}");
    let report: Value = serde_json::from_str(&workplace.read("report.json")?)?;
    assert_eq!(report["success"], true);
    assert_eq!(report["filepaths"][0]["successes"].as_array().map(Vec::len), Some(3), "{report}");
    assert!(!workplace.read("report.yaml")?.contains("successes"));
    Ok(())
}

#[tokio::test]
async fn a_policy_is_checked_without_its_sources() -> anyhow::Result<()> {
    let workplace = workplace()?;
    workplace.works(&["validate", "policy", "--policy", "{\"sources\": [{\"policy\": [\"gone\"]}]}"]).await?;
    let ended =
        workplace.ec(&["validate", "policy", "--policy", "{\"sources\": [{\"policies\": []}]}"]).await?;
    assert!(ended.code == Some(1) && ended.stderr.contains("policies"), "{ended:?}");
    Ok(())
}
