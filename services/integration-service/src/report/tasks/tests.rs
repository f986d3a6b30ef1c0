use rstest::rstest;
use serde_json::{Value, json};

use super::super::links::Links;
use super::super::options::Options;
use super::*;
use clap::Parser as _;

#[derive(clap::Parser)]
struct Parsed {
    #[command(flatten)]
    options: Options,
}

fn links() -> Links {
    let flags =
        ["test", "--console-url=https://c/{{ pr }}", "--console-url-tasklog=https://c/{{ pr }}/{{ task }}"];
    Links::new(&Parsed::parse_from(flags).options)
}

fn task_run(task: &str, started: Option<&str>, status: &str, output: Option<&Value>) -> TaskRun {
    let results: Vec<Value> =
        output.iter().map(|output| json!({"name": "TEST_OUTPUT", "value": output.to_string()})).collect();
    let ended = started.map(|_| "2024-01-01T00:01:05Z");
    serde_json::from_value(json!({
        "metadata": {"name": format!("r-{task}"), "labels": {"tekton.dev/pipelineTask": task}},
        "spec": {},
        "status": {
            "startTime": started, "completionTime": ended, "results": results,
            "conditions": [{"type": "Succeeded", "status": status}],
        },
    }))
    .unwrap()
}

fn output(result: &str, note: &str) -> Value {
    json!({
        "result": result, "timestamp": "1700000000", "successes": 2, "failures": 1, "warnings": 0,
        "namespace": "suite", "note": note,
    })
}

fn shown(task_runs: &[TaskRun]) -> String {
    table(&of("n", "r", task_runs, &links()))
}

#[test]
fn rows_are_in_the_order_of_their_beginning() {
    let found = shown(&[
        task_run("waits", None, "Unknown", None),
        task_run("second", Some("2024-01-01T00:00:05Z"), "True", Some(&output("WARNING", ""))),
        task_run("first", Some("2024-01-01T00:00:00Z"), "False", None),
    ]);
    let rows: Vec<&str> = found.lines().skip(2).collect();
    assert_eq!(
        rows,
        [
            "| [first](https://c/r/first) | 1m 5s | - | :x: Failed | - |",
            "| [second](https://c/r/second) | 1m | suite | :warning: WARNING | \
             :heavy_check_mark: 2 success(es)<br>:x: 1 failure(s) |",
            "| [waits](https://c/r/waits) | - | - | - | - |",
        ]
    );
}

#[rstest]
#[case::one_line("fine", "(note 1)", "\n\n**Note 1**, scan: fine")]
#[case::rule_by_rule(
    "violated a.b: no\n\nmet c.d",
    "(note 1)",
    "\n\n**Note 1**, scan:\n\n- violated a.b: no\n- met c.d"
)]
#[case::markup("<img src=x> @all", "(note 1)", "&lt;img src=x&gt; @\u{200b}all")]
fn notes_are_below(#[case] note: &str, #[case] reference: &str, #[case] shown_note: &str) {
    let found =
        shown(&[task_run("scan", Some("2024-01-01T00:00:00Z"), "True", Some(&output("SUCCESS", note)))]);
    assert!(found.contains(reference) && found.ends_with(shown_note), "{found}");
}

#[test]
fn a_result_that_is_none_is_shown_as_such() {
    let mut wrong = output("SUCCESS", "");
    wrong["failures"] = json!(-1);
    let found = shown(&[task_run("scan", Some("2024-01-01T00:00:00Z"), "True", Some(&wrong))]);
    assert!(
        found.contains(":question: INVALID | task scan: result TEST\\_OUTPUT: failures must be"),
        "{found}"
    );
}

#[test]
fn what_is_long_is_cut() {
    let note = vec!["met a"; MAX_LINES + 3].join("\n");
    let one = task_run("scan", Some("2024-01-01T00:00:00Z"), "True", Some(&output("SUCCESS", &note)));
    let found = shown(&vec![one; MAX_ROWS + 2]);
    assert_eq!(found.matches("\n| [scan]").count(), MAX_ROWS);
    assert!(found.contains("… and 3 lines more") && found.ends_with("… and 2 tasks more."), "{found}");
}

#[rstest]
#[case(0, "0s")]
#[case(-5, "0s")]
#[case(60, "1m")]
#[case(3723, "1h 2m 3s")]
fn says_how_long(#[case] seconds: i64, #[case] text: &str) {
    assert_eq!(duration(seconds), text);
}
