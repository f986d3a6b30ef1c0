//! One report in every format.

use rstest::rstest;
use serde_json::{Map, json};

use super::*;
use crate::report::AttestationReport;

const IMAGE: &str = "r.test/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn finding(code: &str, msg: &str, more: &Value) -> Finding {
    let mut metadata: Map<String, Value> = [("code".to_owned(), json!(code))].into_iter().collect();
    metadata.extend(more.as_object().cloned().unwrap_or_default());
    Finding { msg: msg.to_owned(), metadata, outputs: Vec::new() }
}

fn component(violations: usize, warnings: usize, successes: usize) -> ComponentReport {
    let findings = |kind: &str, count: usize| {
        (0..count)
            .map(|at| {
                finding(&format!("p.{kind}"), &format!("{kind} {at}"), &json!({"term": at.to_string()}))
            })
            .collect()
    };
    ComponentReport {
        name: "app".to_owned(),
        container_image: IMAGE.to_owned(),
        source: json!({}),
        violations: findings("violated", violations),
        warnings: findings("warned", warnings),
        successes: findings("passed", successes),
        success: violations == 0,
        signatures: vec![json!({"keyid": "k", "sig": "s", "metadata": {"Issuer": "CN=x"}})],
        attestations: vec![AttestationReport {
            statement: json!({"_type": "t"}),
            ..AttestationReport::default()
        }],
        effective_time: None,
        policy_input: json!({"image": {"ref": IMAGE}}),
    }
}

fn report(components: Vec<ComponentReport>) -> Report {
    Report {
        success: !components.is_empty() && components.iter().all(|component| component.success),
        components,
        key: "PEM\n".to_owned(),
        policy: json!({"sources": []}),
        ec_version: "1".to_owned(),
        effective_time: "2024-01-01T00:00:00Z".to_owned(),
        data: vec![json!({"a": 1}), json!({"b": [2]})],
        ..Report::default()
    }
}

const PLAIN: Style = Style { show_successes: false, color: false };
const FULL: Style = Style { show_successes: true, color: false };

fn shown(report: &Report, format: Format, style: Style) -> String {
    render(report, format, style, "2024-02-03T04:05:06Z".parse().unwrap()).unwrap()
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[rstest]
#[case::failure(vec![component(1, 1, 1)], "FAILURE")]
#[case::warning(vec![component(0, 1, 1)], "WARNING")]
#[case::success(vec![component(0, 0, 1)], "SUCCESS")]
#[case::nothing(vec![component(0, 0, 0)], "SKIPPED")]
#[case::one_of_two(vec![component(0, 0, 1), component(2, 0, 0)], "FAILURE")]
#[case::failed_without_a_violation(vec![ComponentReport { success: false, ..component(0, 0, 3) }], "FAILURE")]
#[case::nothing_at_all(vec![], "FAILURE")]
fn test_output_says_how_it_ended(#[case] components: Vec<ComponentReport>, #[case] expected: &str) {
    let output = read(&shown(&report(components), Format::Appstudio, PLAIN));
    assert_eq!(output["result"], expected, "{output}");
    assert_eq!((&output["timestamp"], &output["namespace"]), (&json!("1706933106"), &json!("")));
}

#[test]
fn test_output_tells_of_each_rule_what_is_wrong_first() {
    let mut first = component(2, 1, 1);
    first.violations[0].msg = "a \"quoted\" \\ message\nof two lines".to_owned();
    let output = read(&shown(&report(vec![first, component(1, 0, 3)]), Format::Appstudio, PLAIN));
    let note = "violated p.violated: a 'quoted' / message of two lines (and 2 more)\nwarning p.warned: warned 0\nmet p.passed";
    assert_eq!(output["note"], note);

    let unchecked = ComponentReport { success: false, ..component(0, 0, 1) };
    let output = read(&shown(&report(vec![unchecked]), Format::Appstudio, PLAIN));
    let note = output["note"].as_str().unwrap();
    assert!(note.starts_with("Nothing was violated") && note.ends_with("\nmet p.passed"), "{note}");
    assert_eq!(read(&shown(&report(vec![component(0, 0, 0)]), Format::Appstudio, PLAIN)).get("note"), None);
}

#[test]
fn test_output_stays_small_whatever_is_found() {
    let mut hostile = component(0, 0, 0);
    hostile.violations = (0..40)
        .map(|at| finding(&format!("p.rule_{at:02}"), &"\"\\\u{1}ü".repeat(500), &json!({})))
        .collect();
    let text = shown(&report(vec![hostile]), Format::Appstudio, PLAIN);
    let output = read(&text);
    let note = output["note"].as_str().unwrap();
    assert!(note.contains("violated p.rule_00: ") && note.ends_with(" rules more"), "{note}");
    // As the engine hands it on: JSON in JSON.
    let quoted = serde_json::to_string(&text).unwrap();
    assert!(quoted.len() < 2048, "{} bytes", quoted.len());
}

/// Scenario 22.
#[test]
fn all_formats_count_alike() {
    let report = report(vec![component(2, 3, 4), component(1, 0, 5)]);
    let json = read(&shown(&report, Format::Json, FULL));
    let count = |key: &str| -> usize {
        let components = json["components"].as_array().unwrap();
        components.iter().map(|component| component[key].as_array().map_or(0, Vec::len)).sum()
    };
    let counts = (count("violations"), count("warnings"), count("successes"));
    assert_eq!(counts, (3, 3, 9));
    let output = read(&shown(&report, Format::Appstudio, PLAIN));
    assert_eq!(
        (&output["failures"], &output["warnings"], &output["successes"]),
        (&json!(3), &json!(3), &json!(9))
    );
    let junit = shown(&report, Format::Junit, PLAIN);
    let count = |element: &str| junit.matches(element).count();
    assert_eq!((count("<failure "), count("<skipped "), count("<testcase ")), (3, 3, 15));
    let summary = read(&shown(&report, Format::Summary, FULL));
    let totals = |key: &str| -> u64 {
        summary["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component[key].as_u64().unwrap())
            .sum()
    };
    assert_eq!((totals("total_violations"), totals("total_warnings"), totals("total_successes")), (3, 3, 9));
    assert_eq!(summary["success"], false);
    let text = shown(&report, Format::Text, FULL);
    assert!(text.contains("Violations: 3, Warnings: 3, Successes: 9"), "{text}");
    assert_eq!(text.matches("[Success]").count(), 9);
}

#[test]
fn successes_are_shown_where_they_are_wanted() {
    let report = report(vec![component(0, 0, 1)]);
    for format in [Format::Json, Format::Yaml, Format::Summary, Format::Text] {
        assert!(!shown(&report, format, PLAIN).contains("passed 0"), "{format:?}");
        assert!(shown(&report, format, FULL).contains("passed 0"), "{format:?}");
    }
}

#[test]
fn yaml_says_what_json_says() {
    let report = report(vec![component(1, 1, 1)]);
    let yaml = crate::yaml::parse(shown(&report, Format::Yaml, FULL).as_bytes()).unwrap();
    assert_eq!(yaml, read(&shown(&report, Format::Json, FULL)));
}

#[test]
fn summary_shows_the_first_of_many() {
    let summary = read(&shown(&report(vec![component(3, 2, 0)]), Format::Summary, PLAIN));
    let component = &summary["components"][0];
    assert_eq!(
        component["violations"]["p.violated"],
        json!(["violated 0", "There are 2 more \"p.violated\" messages"])
    );
    assert_eq!(
        component["warnings"]["p.warned"],
        json!(["warned 0", "There is 1 more \"p.warned\" message"])
    );
}

#[test]
fn junit_is_xml_whatever_strangers_write() {
    let mut hostile = component(0, 1, 0);
    hostile.violations = vec![finding("p.x", "<&\"'>]]>\u{0}\u{1b}[31m\n", &json!({"term": "a\u{8}b"}))];
    let text = shown(&report(vec![hostile]), Format::Junit, PLAIN);
    let mut reader = quick_xml::Reader::from_str(&text);
    let mut names = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Eof => break,
            quick_xml::events::Event::Start(start) | quick_xml::events::Event::Empty(start) => {
                for attribute in start.attributes() {
                    attribute.unwrap();
                }
                names.push(start.name().as_ref().to_owned());
            }
            _ => {}
        }
    }
    assert_eq!(names.iter().filter(|name| *name == "testcase").count(), 2, "{text}");
    assert!(!text.contains(['\u{0}', '\u{1b}', '\u{8}']), "{text}");
    assert!(text.contains(r#"name="metadata.Issuer" value="CN=x""#), "{text}");
}

#[test]
fn markdown_keeps_its_table() {
    let mut hostile = component(0, 0, 0);
    hostile.violations = vec![finding("p.x", "a | b\nc <script>", &json!({}))];
    hostile.success = false;
    let text = shown(&report(vec![hostile]), Format::SummaryMarkdown, PLAIN);
    assert!(text.contains(r"| p.x | a \| b c &lt;script> |"), "{text}");
    assert!(text.contains("| Result | FAILURE | :x: |"), "{text}");
}

#[test]
fn text_does_not_command_a_terminal() {
    let mut hostile = component(0, 0, 0);
    hostile.violations = vec![finding("p.x", "a\u{1b}[2Jb\nc", &json!({"title": "t\u{7}"}))];
    let text = shown(&report(vec![hostile.clone()]), Format::Text, PLAIN);
    assert!(text.contains("Reason: a\u{fffd}[2Jb\n    c") && !text.contains('\u{1b}'), "{text}");
    let color = shown(&report(vec![hostile]), Format::Text, Style { color: true, ..PLAIN });
    assert!(color.contains("\u{1b}[31m"), "{color}");
}

#[test]
fn records_are_complete() {
    let report = report(vec![
        component(0, 0, 1),
        ComponentReport { policy_input: Value::Null, attestations: Vec::new(), ..component(1, 0, 0) },
    ]);
    assert_eq!(shown(&report, Format::Data, PLAIN), "a: 1\n---\nb:\n- 2\n");
    assert_eq!(shown(&report, Format::Attestation, PLAIN), "{\"_type\":\"t\"}\n");
    assert_eq!(shown(&report, Format::PolicyInput, PLAIN).lines().count(), 1);
    let vsa = read(&shown(&report, Format::Vsa, PLAIN));
    assert_eq!(vsa["predicateType"], "https://enterprisecontract.dev/verification_summary/v1");
    assert_eq!(vsa["subject"][0]["name"], "r.test/app");
    assert_eq!(vsa["predicate"]["success"], false);
}

#[rstest]
#[case::format("json", Some((Format::Json, None, None)))]
#[case::old_name("hacbs=o", Some((Format::Appstudio, Some("o"), None)))]
#[case::empty_path("yaml=", Some((Format::Yaml, None, None)))]
#[case::option("text=out.txt?show-successes=false", Some((Format::Text, Some("out.txt"), Some(false))))]
#[case::option_alone("text?show-successes=true", Some((Format::Text, None, Some(true))))]
#[case::unknown("xml", None)]
#[case::unknown_option("json?x=y", None)]
#[case::no_bool("json?show-successes=maybe", None)]
fn understands_targets(#[case] text: &str, #[case] expected: Option<(Format, Option<&str>, Option<bool>)>) {
    let expected = expected.map(|(format, path, show_successes)| Target {
        format,
        path: path.map(Into::into),
        show_successes,
    });
    assert_eq!(text.parse().ok(), expected);
}

#[test]
fn a_bad_target_does_not_spoil_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    let targets = [
        "xml=x".to_owned(),
        format!("json={}", folder.path().join("no/such").display()),
        format!("json={}", good.display()),
    ];
    let error = write(&targets, PLAIN, |_, _| Ok::<_, String>("text".to_owned())).unwrap_err().to_string();
    assert_eq!(std::fs::read_to_string(good).unwrap(), "text");
    assert_eq!(error.lines().count(), 2, "{error}");
    assert!(error.contains("\"xml\" is unknown") && error.contains("No such file"), "{error}");
}
