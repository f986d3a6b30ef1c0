use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use rstest::rstest;
use serde_json::json;

use super::*;

fn values(text: &str) -> Vec<Value> {
    documents(text).unwrap().into_iter().map(|document| document.value).collect()
}

#[rstest]
#[case::one("a: 1", &[json!({"a": 1})])]
#[case::several("a: 1\n---\nb: [x, {c: null}]\n", &[json!({"a": 1}), json!({"b": ["x", {"c": null}]})])]
#[case::empty_ones("---\n---\n# nothing\n---\na: 1\n---\n", &[json!({"a": 1})])]
#[case::nothing("", &[])]
#[case::comments("# only\n", &[])]
#[case::json(r#"{"a": [true, 1.5]}"#, &[json!({"a": [true, 1.5]})])]
#[case::words_are_words("a: on\nb: 0644\nc: 'true'\nd: -7", &[json!({"a": "on", "b": "0644", "c": "true", "d": -7})])]
#[case::alias("a: &x {b: 1}\nc: *x", &[json!({"a": {"b": 1}, "c": {"b": 1}})])]
#[case::merge("a: &x {b: 1, d: 2}\nc: {<<: *x, d: 3}", &[json!({"a": {"b": 1, "d": 2}, "c": {"b": 1, "d": 3}})])]
#[case::number_as_name("1: a", &[json!({"1": "a"})])]
#[case::byte_order_mark("\u{feff}a: 1\n", &[json!({"a": 1})])]
#[case::lines_of_windows("a: 1\r\n---\r\nb: 2\r\n", &[json!({"a": 1}), json!({"b": 2})])]
#[case::block("a: |\n  x\n  y\n", &[json!({"a": "x\ny\n"})])]
fn reads_documents(#[case] text: &str, #[case] expected: &[Value]) {
    assert_eq!(values(text), expected);
}

const FILE: &str = "# first
kind: Task
spec:
  steps:
  - image: i
  - name: x
    image: 5
---

kind: Pipeline
metadata:
  labels:
    a.b/c: {}
    a: 1
";

#[rstest]
#[case::document(0, "", 2)]
#[case::field(0, "kind", 2)]
#[case::list(0, "spec.steps", 5)]
#[case::item(0, "spec.steps[1]", 6)]
#[case::field_of_an_item(0, "spec.steps[1].image", 7)]
#[case::missing_field(0, "spec.steps[0].name", 5)]
#[case::missing_item(0, "spec.steps[7].image", 5)]
#[case::below_a_scalar(0, "kind.x", 2)]
#[case::second_document(1, "", 10)]
#[case::name_with_dots(1, "metadata.labels.a.b/c", 13)]
#[case::name_before_a_dot(1, "metadata.labels.a", 14)]
#[case::no_path(1, "[[.", 10)]
fn knows_lines(#[case] document: usize, #[case] path: &str, #[case] line: u32) {
    assert_eq!(documents(FILE).unwrap()[document].line_of(path), line);
}

#[rstest]
#[case::open_list("a: 1\nb: [\n", &[2, 3])]
#[case::twice("a: 1\nb: 1\na: 2\n", &[3])]
#[case::tab("a:\n\tb: 1\n", &[2])]
#[case::second_document("a: 1\n---\nb: 'x\n", &[3, 4])]
#[case::unknown_alias("a: 1\nb: *x\n", &[2])]
#[case::not_a_number("a: 1\nb: .nan\n", &[2])]
fn says_where_it_is_no_yaml(#[case] text: &str, #[case] lines: &[u32]) {
    let error = documents(text).unwrap_err();
    assert!(lines.contains(&error.line().unwrap()), "{error:?}");
    assert!(!error.to_string().contains(['\n', '0', '1', '2', '3']), "the place is told beside it: {error}");
}

/// Each line multiplies the one before by ten.
fn bomb(levels: usize) -> String {
    let mut lines = vec!["a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned()];
    for level in 1..levels {
        let many = vec![format!("*a{}", level - 1); 10].join(", ");
        lines.push(format!("a{level}: &a{level} [{many}]"));
    }
    lines.join("\n")
}

#[test]
fn refuses_bombs() {
    assert!(documents(&bomb(3)).is_ok());
    assert!(matches!(documents(&bomb(9)), Err(Error::Yaml { .. })), "aliases of aliases");
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(documents(&deep(50)).is_ok());
    assert!(matches!(documents(&deep(10_000)), Err(Error::Yaml { .. })), "depth");
    assert!(matches!(documents(&"- a\n".repeat(300_000)), Err(Error::Yaml { .. })), "values");
    assert_eq!(documents(&" ".repeat(LONGEST + 1)), Err(Error::TooLong(LONGEST + 1)));
}

/// Text that is YAML more often than not.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,3}: ",
        "[ \n\t\r-]{1,4}",
        Just("---\n".to_owned()),
        Just("&x ".to_owned()),
        Just("*x ".to_owned()),
        Just("<<: ".to_owned()),
        "[\\[\\]{},|>'\"#%@!?]",
        "\\PC{0,6}",
        Just("kind: Task\napiVersion: tekton.dev/v1\n".to_owned()),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Whatever it is, it is read or refused. By `FUZZ_SECONDS=60` for that long.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no Args")]
fn never_panics() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(0));
    loop {
        let mut runner = TestRunner::new(Config {
            source_file: Some(file!()),
            failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel(
                "proptest-regressions",
            ))),
            ..Config::default()
        });
        let read = |text: String| {
            for document in documents(&text).into_iter().flatten() {
                document.line_of(&text);
                _ = crate::decode::object::<pipelines_engine_api::Task>(document.value);
            }
            Ok(())
        };
        runner.run(&any_text(), read).unwrap();
        if Instant::now() >= until {
            break;
        }
    }
}
