use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn none() -> Variables<'static> {
    Variables::none("there is nothing to refer to")
}

#[rstest]
#[case::comparison("'main' == 'main'", json!(true))]
#[case::list("['a', 'b'].map(x, x + '!')", json!(["a!", "b!"]))]
#[case::map("{'a': 1}", json!({"a": 1}))]
#[case::text("'a' + 'b'", json!("ab"))]
#[case::regex(r"'release-1.2'.matches('^release-\\d+\\.\\d+$')", json!(true))]
#[case::regex_by_value("['a', 'b'].exists(x, 'b'.matches(x))", json!(true))]
#[case::function_of_two("matches('abc', 'b')", json!(true))]
fn is_evaluated(#[case] text: &str, #[case] expected: Value) {
    assert_eq!(check(text, &none()), Ok(()));
    assert_eq!(evaluate(text, &none()), Ok(expected));
}

#[rstest]
#[case::syntax("'a' ==", "Syntax error")]
#[case::variable("params.x == 'a'", "undeclared reference to \"params\": there is nothing to refer to")]
#[case::type_("google.protobuf.Duration{} == 1", "undeclared reference")]
#[case::empty("", "Syntax error")]
#[case::regex("'a'.matches('(((a{100}){100}){100})')", "it may take more than")]
#[case::long(&format!("'{}' == ''", "x".repeat(MAX_TEXT)), "may have 4096")]
fn is_refused(#[case] text: &str, #[case] expected: &str) {
    let error = check(text, &none()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(evaluate(text, &none()).unwrap_err().to_string(), error);
}

#[rstest]
#[case::no_boolean("'a' + 'b'", "not evaluated to a boolean, but to \"ab\"")]
#[case::a_type("type('a')", "not evaluated to a boolean")]
#[case::regex("'a'.matches('(')", "'matches'")]
#[case::key("{'a': 1}['b'] == 1", "No such key")]
fn has_no_truth(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(check(text, &none()), Ok(()), "it is an expression");
    let error = holds(text, &none()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

fn payload() -> Value {
    json!({
        "action": "opened",
        "number": 7,
        "large": 18_446_744_073_709_551_615_u64,
        "ratio": 1.5,
        "nothing": null,
        "commits": [
            { "id": "a", "added": ["docs/a.md"], "removed": [] },
            { "id": "b", "added": ["src/lib.rs", "src/main.rs"] },
        ],
    })
}

#[rstest]
#[case::field("body.action == 'opened'", json!(true))]
#[case::number("body.number > 6 && body.number == 7.0", json!(true))]
#[case::large("body.large", json!(18_446_744_073_709_551_615_u64))]
#[case::fraction("body.ratio", json!(1.5))]
#[case::null("body.nothing == null", json!(true))]
#[case::loops("body.commits.exists(c, c.added.exists(f, f.startsWith('docs/')))", json!(true))]
#[case::missing("has(body.pull_request)", json!(false))]
#[case::index("body['commits'][1].added[0]", json!("src/lib.rs"))]
#[case::keys("body.commits[0].all(k, k in ['id', 'added', 'removed'])", json!(true))]
#[case::filtered("body.commits.filter(c, c.added.size() > 1).map(c, c.id)", json!(["b"]))]
#[case::whole("body.commits[0]", json!({ "id": "a", "added": ["docs/a.md"], "removed": [] }))]
#[case::text("branch + '!'", json!("main!"))]
#[case::function("'x'.isLong() || 'xxxx'.isLong()", json!(true))]
#[case::function_called_so("isLong('xxxx')", json!(true))]
#[case::fact("isOpen() && !isDraft()", json!(true))]
fn sees_variables(#[case] text: &str, #[case] expected: Value) {
    let body = payload();
    let variables = Variables::new()
        .json("body", &body)
        .text("branch", "main")
        .function("isLong", 1, |text| Ok(text.len() > 3))
        .fact("isOpen", true)
        .fact("isDraft", false);
    assert_eq!(evaluate(text, &variables), Ok(expected));
}

#[test]
fn says_what_there_is_instead() {
    let variables =
        Variables::new().text("event", "push").text_beside("branch", "main", "refs/", "refs/heads/main");
    let error = holds("evnt == 'push'", &variables).unwrap_err().to_string();
    assert_eq!(error, "undeclared reference to \"evnt\": there are branch, event");
}

/// Each comparison sees the form that it is written for.
#[rstest]
#[case("branch == 'main'", true)]
#[case("branch == 'refs/heads/main'", true)]
#[case("branch == 'refs/heads/dev' || branch == 'main'", true)]
#[case("branch != 'refs/heads/dev' && branch != 'dev'", true)]
#[case("!(branch == 'main')", false)]
#[case("['refs/heads/main'].exists(b, b == branch)", true)]
#[case("['main'].exists(b, b == branch)", true)]
#[case("branch in ['refs/heads/main', 'dev'] ? branch == 'main' : false", true)]
#[case("branch.startsWith('refs/heads/')", true)]
#[case("{'x': branch}['x'] == 'main'", true)]
fn has_another_text_beside_a_mark(#[case] text: &str, #[case] expected: bool) {
    let variables = Variables::new().text_beside("branch", "main", "refs/heads/", "refs/heads/main");
    assert_eq!(holds(text, &variables), Ok(expected));
}

/// What is not known yet only matters where the answer depends on it.
#[rstest]
#[case::not_needed("event == 'push' && files.all.exists(f, f == 'a')", Some(false))]
#[case::not_needed_before("files.all.size() > 3 && event == 'push'", Some(false))]
#[case::enough("event == 'pull_request' || 'a'.pathChanged()", Some(true))]
#[case::needed("event == 'pull_request' && files.all.exists(f, f == 'a')", None)]
#[case::negated("!'a'.pathChanged()", None)]
fn unknown_variables(#[case] text: &str, #[case] expected: Option<bool>) {
    let variables =
        Variables::new()
            .text("event", "pull_request")
            .unknown("files")
            .function("pathChanged", 1, |_| Err("not asked yet".to_owned()));
    assert_eq!(holds(text, &variables).ok(), expected);
}

/// A push of many commits with many files each, as monorepos have them.
fn large_payload(commits: usize, files: usize) -> Value {
    let commit = |number: usize| {
        let files: Vec<String> =
            (0..files).map(|file| format!("components/part-{number}/src/file_{file}.rs")).collect();
        json!({ "id": format!("{number:040}"), "message": "Change it\n".repeat(20), "added": files, "distinct": true })
    };
    json!({ "commits": (0..commits).map(commit).collect::<Vec<_>>(), "ref": "refs/heads/main" })
}

#[rstest]
#[case::commits("body.commits.exists(c, c.added.exists(f, f.startsWith('docs/')))")]
#[case::messages("body.commits.exists(c, c.message.contains('[build]'))")]
#[case::regex("body.commits.exists(c, c.added.exists(f, f.matches('^docs/.*[.]md$')))")]
#[case::changed("files.all.exists(f, f.matches('^(docs|examples)/'))")]
#[case::every_file("!files.all.all(f, f.startsWith('components/'))")]
fn a_large_payload_is_no_obstacle(#[case] text: &str) {
    let body = large_payload(40, 60);
    let files =
        json!({ "all": (0..3000).map(|n| format!("components/part-{n}/src/lib.rs")).collect::<Vec<_>>() });
    let variables = Variables::new().json("body", &body).json("files", &files);
    let begun = Instant::now();
    assert_eq!(holds(text, &variables), Ok(false));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Loops over loops over what a payload may have.
#[rstest]
#[case::pairs("body.commits.all(a, body.commits.all(b, body.commits.all(c, a.id != b.id || b.id != c.id)))")]
#[case::files_by_files("files.all.all(a, files.all.all(b, a != b))")]
#[case::copies("body.commits.map(c, body.commits.map(d, body)).size() > 0")]
#[case::patterns("files.all.all(f, 'x'.matches(f))")]
#[case::functions("files.all.all(f, f.slow())")]
#[case::nested_sizes("files.all.all(a, files.all.map(b, a + b).size() > 0)")]
#[case::by_index("files.all.all(a, files[a].all(b, files.all.all(c, true)))")]
fn loops_over_variables_are_counted(#[case] text: &str) {
    let body = large_payload(300, 10);
    let files =
        json!({ "all": (0..3000).map(|n| format!("components/part-{n}/src/lib.rs")).collect::<Vec<_>>() });
    let variables =
        Variables::new().json("body", &body).json("files", &files).function("slow", 1000, |_| Ok(true));
    let error = check(text, &variables).unwrap_err().to_string();
    assert!(error.contains("it may take more than"), "{error}");
}

#[test]
fn a_variable_with_too_many_values_is_refused_only_where_it_is_used() {
    let body = json!({ "list": vec![0; 200_001] });
    let variables = Variables::new().json("body", &body).text("event", "push");
    let error = holds("body.list.size() > 0", &variables).unwrap_err().to_string();
    assert!(error.contains("\"body\" has more than 200000 values"), "{error}");
    assert_eq!(holds("event == 'push'", &variables), Ok(true));
}

#[test]
fn an_explanation_is_short() {
    let body = json!({ "text": "é".repeat(1_000_000) });
    let variables = Variables::new().json("body", &body);
    for text in ["body", "body.text", "body + 1", "body < body"] {
        let error = holds(text, &variables).unwrap_err().to_string();
        assert!(error.len() < MAX_REASON + 8, "{text}: {} bytes", error.len());
    }
}

/// Nested calls are estimated in a moment.
#[rstest]
#[case::sizes(&format!("{}[]{} == 0", "size(".repeat(500), ")".repeat(500)))]
#[case::indices(&format!("[]{}", "[0]".repeat(1000)))]
#[case::logic(&format!("true{}", "&&true".repeat(600)))]
#[case::selects(&format!("body{}", ".a".repeat(MAX_DOTS)))]
fn estimates_are_quick(#[case] text: &str) {
    let body = payload();
    let begun = Instant::now();
    let _ = check(text, &Variables::new().json("body", &body));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever somebody writes, it has an answer or a reason.
    #[test]
    fn nothing_panics(text in "[ -~]{0,60}|(body|files|event|'a'|[0-9]|[.]|[()]|[\\[\\]]|&&|[|][|]|==|in| |x|exists|all|,){0,30}") {
        let body = payload();
        let variables = Variables::new().json("body", &body).unknown("files").text("event", "push");
        match evaluate(&text, &variables) {
            Ok(_) => {}
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
