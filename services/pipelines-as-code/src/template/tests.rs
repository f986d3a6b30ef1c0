use std::collections::BTreeMap;

use forge::ChangedFiles;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::event::Payload;

fn lookup(key: &str) -> Option<Filled> {
    let text = |text: &str| Some(Filled::Text(text.to_owned()));
    match key {
        "revision" => text("8cc5aef"),
        "retries" => text("3"),
        "flag" => text("true"),
        "zeros" => text("007"),
        "title" => text("x\n  injected: \"yes\" # {{ revision }}"),
        "body.commits" => Some(Filled::Json(json!(["a", "b"]))),
        "body.title" => Some(Filled::Json(json!("from the payload"))),
        _ => None,
    }
}

fn filled(template: &Template, decoded: Value) -> Value {
    let mut decoded = decoded;
    template.fill(&mut decoded, &mut lookup);
    decoded
}

#[rstest]
#[case::plain("a: {{ revision }}", true)]
#[case::comment("a: {{ revision }} # why", true)]
#[case::item("- {{ revision }}", true)]
#[case::flow("[{{ revision }}, b]", true)]
#[case::quoted("a: \"{{ revision }}\"", false)]
#[case::within("a: v{{ revision }}", false)]
#[case::before_text("a: {{ revision }}.x", false)]
#[case::tight("a:{{ revision }}", false)]
fn knows_whole_values(#[case] text: &str, #[case] is_plain: bool) {
    assert_eq!(Template::new(text).placeholders[0].is_plain, is_plain);
}

#[rstest]
#[case::number("a: {{ retries }}", json!(3))]
#[case::truth("a: {{flag}}", json!(true))]
#[case::zeros_stay("a: {{ zeros }}", json!("007"))]
#[case::quoted_number("a: '{{ retries }}'", json!("3"))]
#[case::list("a: {{ body.commits }}", json!(["a", "b"]))]
#[case::list_in_text("a: '{{ body.commits }}'", json!(r#"["a","b"]"#))]
#[case::payload("a: t {{ body.title }}", json!("t from the payload"))]
#[case::unknown("a: {{ what }}", json!("{{ what }}"))]
#[case::unknown_in_text("a: 'x{{ what }}y {{revision}}'", json!("x{{ what }}y 8cc5aef"))]
fn fills_values(#[case] text: &str, #[case] expected: Value) {
    let template = Template::new(text);
    // What YAML makes of it: the rest of the line, without quotes.
    let value = template.yaml().strip_prefix("a: ").unwrap_or_default().trim_matches('\'');
    assert_eq!(filled(&template, json!({ "a": value })), json!({ "a": expected }));
}

#[test]
fn a_value_is_text_whatever_it_looks_like() {
    let template = Template::new("a: \"{{ title }}\"");
    let word = template.yaml().trim_start_matches("a: ").trim_matches('"').to_owned();
    assert_eq!(
        filled(&template, json!({ "a": word })),
        json!({ "a": "x\n  injected: \"yes\" # {{ revision }}" }),
        "neither YAML nor further placeholders come of a value"
    );
}

#[test]
fn fills_names_of_fields() {
    let template = Template::new("l-{{ revision }}: x");
    let name = template.yaml().trim_end_matches(": x").to_owned();
    assert_eq!(filled(&template, json!({ name: "x" })), json!({ "l-8cc5aef": "x" }));
}

#[test]
fn words_are_nowhere_else_in_the_file() {
    let template = Template::new("paa0z paaa{{ revision }}");
    assert_eq!(
        filled(&template, json!(template.yaml())),
        json!("paa0z paaa8cc5aef"),
        "what looks like our word stays"
    );
    assert_eq!(template.restored(template.yaml()), "paa0z paaa{{ revision }}");
}

#[rstest]
#[case::one_character("{{ }}")]
#[case::open("{{ revision")]
#[case::lines("{{ revi\nsion }}")]
fn leaves_what_is_no_placeholder(#[case] text: &str) {
    let template = Template::new(text);
    assert_eq!((template.yaml(), template.keys().count()), (text, 0));
}

#[test]
fn expands_what_is_decoded_already() {
    let mut decoded = json!({ "a": ["{{ secret }} {{ other }}"] });
    expand(&mut decoded, &|key| (key == "secret").then(|| "pac-gitauth-abc".to_owned()));
    assert_eq!(decoded, json!({ "a": ["pac-gitauth-abc {{ other }}"] }));
}

fn payload() -> Payload {
    Payload {
        body: json!({
            "pull_request": { "title": "Fix it", "number": 7, "draft": false, "labels": [{ "name": "bug" }], "body": null },
            "odd key": { "it's": 1 },
            "large": "x".repeat(5 << 20),
        }),
        headers: vec![("x-github-event".to_owned(), "push".to_owned())],
    }
}

fn changed() -> ChangedFiles {
    ChangedFiles { added: ["docs/a.md".to_owned()].into(), ..ChangedFiles::default() }
}

#[rstest]
#[case::variable("revision", Some(json!("8cc5aef")))]
#[case::variable_before_payload("body.pull_request.number", Some(json!(7)))]
#[case::text("body.pull_request.title", Some(json!("Fix it")))]
#[case::truth("body.pull_request.draft", Some(json!(false)))]
#[case::list("body.pull_request.labels", Some(json!([{ "name": "bug" }])))]
#[case::index("body.pull_request.labels[0].name", Some(json!("bug")))]
#[case::null("body.pull_request.body", Some(json!(null)))]
#[case::quoted("body['odd key'][\"it's\"]", Some(json!(1)))]
#[case::beyond_the_end("body.pull_request.labels[1].name", None)]
#[case::missing("body.nothing.there", None)]
#[case::not_a_map("body.pull_request.title.x", None)]
#[case::not_a_path("body.pull_request.", None)]
#[case::expression("body.pull_request.number > 3", Some(json!(true)))]
#[case::expression_of_body("body.pull_request.title + '!'", Some(json!("Fix it!")))]
#[case::bad_expression("body.pull_request.title + 1", None)]
#[case::header("headers['x-github-event']", Some(json!("push")))]
#[case::header_as_github_writes_it("headers['X-GitHub-Event']", Some(json!("push")))]
#[case::header_in_an_expression("headers['x-github-event'] + headers['X-Github-Event']", Some(json!("pushpush")))]
#[case::header_in_cel("cel: headers['x-github-event'] + headers['X-Github-Event']", Some(json!("pushpush")))]
#[case::no_header("headers['x-nothing']", None)]
#[case::files("files.all", Some(json!(["docs/a.md"])))]
#[case::files_of_a_kind("files.deleted", Some(json!([])))]
#[case::cel("cel: pac.revision == '8cc5aef' ? 'yes' : 'no'", Some(json!("yes")))]
#[case::cel_tight("cel:1+1", Some(json!(2)))]
#[case::cel_with_files("cel: files.all.size()", Some(json!(1)))]
#[case::bad_cel("cel: what", None)]
#[case::unknown("what", None)]
#[case::too_large("body.large", None)]
fn knows_values(#[case] key: &str, #[case] expected: Option<Value>) {
    let (payload, changed) = (payload(), changed());
    let variables = BTreeMap::from([("revision".to_owned(), "8cc5aef".to_owned())]);
    let mut values = Values::new(variables, &payload, Some(&changed));
    assert_eq!(
        values.get(key).map(|filled| match filled {
            Filled::Text(text) => json!(text),
            Filled::Json(value) => value,
        }),
        expected
    );
}

#[test]
fn a_variable_hides_the_payload() {
    let payload = payload();
    let variables = BTreeMap::from([("body.pull_request.title".to_owned(), "mine".to_owned())]);
    let mut values = Values::new(variables, &payload, None);
    assert_eq!(values.get("body.pull_request.title"), Some(Filled::Text("mine".to_owned())));
}

#[test]
fn files_are_not_there_before_they_are_asked_for() {
    let payload = payload();
    let mut values = Values::new(BTreeMap::new(), &payload, None);
    for key in ["files.all", "files.all.size()", "cel: files.all.size()"] {
        assert!(wants_files(key), "{key}");
        assert_eq!(values.get(key), None, "{key}");
    }
    for key in ["body.files", "cel: body.number", "revision", "pathChanged"] {
        assert!(!wants_files(key), "{key}");
    }
}

/// A payload of megabytes in a thousand places would be gigabytes.
#[test]
fn what_is_filled_in_has_a_limit() {
    let payload = Payload { body: json!({ "text": "x".repeat(1 << 20) }), headers: Vec::new() };
    let variables = BTreeMap::from([("long".to_owned(), "x".repeat(1 << 20))]);
    let mut values = Values::new(variables, &payload, None);
    let filled =
        ["body.text", "long", "cel: body.text", "body.text", "long"].map(|key| values.get(key).is_some());
    assert_eq!(filled, [true, true, true, false, false]);
}

#[test]
fn expressions_have_a_limit() {
    let payload = Payload::default();
    let mut values = Values::new(BTreeMap::new(), &payload, None);
    let found = (0..300).filter(|number| values.get(&format!("cel: {number}")).is_some()).count();
    assert_eq!(found, 200);
    assert!(values.get("cel: 7").is_some(), "what was evaluated is remembered");
}

mod params {
    use pipelines_as_code_api::events::EventReason;
    use pipelines_as_code_api::repository::{Param, SecretReference};

    use super::*;

    fn param(name: &str, value: Option<&str>, secret: Option<&str>, filter: Option<&str>) -> Param {
        Param {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            secret_ref: secret.map(|name| SecretReference { name: name.to_owned(), key: None }),
            filter: filter.map(str::to_owned),
        }
    }

    fn of(params: &[Param]) -> (Vec<(String, String)>, Vec<EventReason>) {
        let (payload, changed) = (payload(), changed());
        let standard = BTreeMap::from([("revision".to_owned(), "8cc5aef".to_owned())]);
        let secret = |reference: &SecretReference| (reference.name == "there").then(|| "hunter2".to_owned());
        let (variables, problems) =
            super::super::params::of(params, &secret, &payload, Some(&changed), &standard);
        for problem in &problems {
            assert!(!problem.text.contains("hunter2"), "{problem:?}");
        }
        (variables.into_iter().collect(), problems.into_iter().map(|problem| problem.reason).collect())
    }

    #[rstest]
    #[case::value(param("a", Some("1"), None, None), Some("1"), None)]
    #[case::empty_value(param("a", Some(""), None, None), Some(""), None)]
    #[case::secret(param("a", None, Some("there"), None), Some("hunter2"), None)]
    #[case::no_secret(param("a", None, Some("gone"), None), None, Some(EventReason::ParamsError))]
    #[case::both(
        param("a", Some("1"), Some("there"), None),
        Some("1"),
        Some(EventReason::ParamsFilterUsedValue)
    )]
    #[case::empty_value_and_secret(param("a", Some(""), Some("there"), None), Some("hunter2"), None)]
    #[case::neither(param("a", None, None, None), None, Some(EventReason::ParamsError))]
    #[case::no_name(param("", Some("1"), None, None), None, Some(EventReason::ParamsError))]
    #[case::holds(param("a", Some("1"), None, Some("body.pull_request.number == 7")), Some("1"), None)]
    #[case::standard(param("a", Some("1"), None, Some("pac.revision == '8cc5aef'")), Some("1"), None)]
    #[case::header(param("a", Some("1"), None, Some("headers['x-github-event'] == 'push'")), Some("1"), None)]
    #[case::files(
        param("a", Some("1"), None, Some("files.added.exists(f, f.endsWith('.md'))")),
        Some("1"),
        None
    )]
    #[case::empty_filter(param("a", Some("1"), None, Some(" ")), Some("1"), None)]
    #[case::fails(
        param("a", Some("1"), None, Some("body.nothing == 1")),
        None,
        Some(EventReason::ParamsFilterError)
    )]
    #[case::is_false(
        param("a", Some("1"), None, Some("false")),
        None,
        Some(EventReason::ParamsFilterSkipped)
    )]
    #[case::no_boolean(
        param("a", Some("1"), None, Some("'x'")),
        None,
        Some(EventReason::ParamsFilterSkipped)
    )]
    fn single(#[case] param: Param, #[case] value: Option<&str>, #[case] problem: Option<EventReason>) {
        let expected = value.map(|value| ("a".to_owned(), value.to_owned()));
        assert_eq!(of(&[param]), (expected.into_iter().collect(), problem.into_iter().collect()));
    }

    #[test]
    fn the_first_that_holds_wins() {
        let params = [
            param("a", Some("1"), None, Some("false")),
            param("a", Some("2"), None, Some("true")),
            param("a", Some("3"), None, Some("true")),
            param("a", Some("4"), None, None),
            param("b", Some("5"), None, None),
        ];
        let (variables, problems) = of(&params);
        assert_eq!(variables, [("a".to_owned(), "2".to_owned()), ("b".to_owned(), "5".to_owned())]);
        assert_eq!(problems, [EventReason::ParamsFilterSkipped]);
    }

    #[test]
    fn a_filter_that_fails_leaves_none() {
        let params = [param("a", Some("1"), None, None), param("b", Some("2"), None, Some("body."))];
        assert_eq!(of(&params), (Vec::new(), vec![EventReason::ParamsFilterError]));
    }
}
