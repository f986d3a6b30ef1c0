//! The SQL of filters: no text of a filter is in it.

use rstest::rstest;
use serde_json::json;

use crate::{Bind, Target, compile};

fn text(text: &str) -> Bind {
    Bind::Text(text.to_owned())
}

#[rstest]
#[case::nothing("", "(TRUE)", vec![])]
#[case::text(r#"parent == "o'brien""#, "(parent = $3::text)", vec![text("o'brien")])]
#[case::run_type("data_type == TASK_RUN", "(type IN ($3::text, $4::text))",
    vec![text("tekton.dev/v1beta1.TaskRun"), text("tekton.dev/v1.TaskRun")])]
#[case::name(r#"data.metadata.name == "x""#, "(((data -> 'metadata') ->> 'name') = $3::text)", vec![text("x")])]
#[case::path(r#"data.a["b'"][2] == "x""#,
    "((jsonb_path_query_first(((data -> $3::text) -> $4::text), 'strict $[$i]', $5::jsonb, TRUE) #>> '{}') = $6::text)",
    vec![text("a"), text("b'"), Bind::Json(json!({ "i": 2 })), text("x")])]
#[case::label(r#"data.metadata.labels["a"] == "' OR '1'='1""#,
    "(((data -> 'metadata') -> 'labels') @> $3::jsonb)", vec![Bind::Json(json!({ "a": "' OR '1'='1" }))])]
#[case::label_of_a_commit(r#"data.metadata.labels["sha"] == "0ab""#,
    "(((data -> 'metadata') -> 'labels') @> $3::jsonb)", vec![Bind::Json(json!({ "sha": "0ab" }))])]
#[case::label_that_may_be_a_number(r#"data.metadata.labels["a"] == "12""#,
    "((((data -> 'metadata') -> 'labels') @> $3::jsonb OR ((data -> 'metadata') -> 'labels') @> $4::jsonb) AND \
     (((data -> 'metadata') -> 'labels') ->> $5::text) = $6::text)",
    vec![Bind::Json(json!({ "a": "12" })), Bind::Json(json!({ "a": 12 })), text("a"), text("12")])]
#[case::label_as_a_value(r#"!(data.metadata.labels["a"] == "b")"#,
    "(NOT ((((data -> 'metadata') -> 'labels') ->> $3::text) = $4::text))", vec![text("a"), text("b")])]
#[case::pattern(r#"name.matches("\\d.")"#, r#"(name COLLATE "C" ~ $3::text)"#,
    vec![text(r"(?:[0-9][\U00000001-\U00000009\U0000000b-\U0010ffff])")])]
#[case::order(r#"name < "b""#, r#"(name COLLATE "C" < $3::text)"#, vec![text("b")])]
#[case::both(r#"name == "a" && (data.x > 1 || false)"#,
    "((name = $3::text) AND ((CASE WHEN (data ->> $4::text) COLLATE \"C\" ~ '^-?[0-9]{1,40}([.][0-9]{1,40})?$' THEN \
     (data ->> $5::text)::float8 END > ($6::int8)::float8) OR (FALSE)))",
    vec![text("a"), text("x"), text("x"), Bind::Integer(1)])]
fn of_records(#[case] filter: &str, #[case] expected: &str, #[case] binds: Vec<Bind>) {
    let sql = compile(filter, Target::Records).unwrap().sql(3);
    assert_eq!(sql.text, expected);
    assert_eq!(sql.binds, binds);
}

#[rstest]
#[case::entry(r#""v'" == annotations["k"]"#, "(annotations @> $1::jsonb)", vec![Bind::Json(json!({ "k": "v'" }))])]
#[case::entry_differs(r#"annotations["k"] != "v""#, "((annotations ->> $1::text) <> $2::text)", vec![text("k"), text("v")])]
#[case::key(r#""k" in annotations"#, "(annotations ? $1::text)", vec![text("k")])]
#[case::status("summary.status == SUCCESS", "(recordsummary_status::int8 = $1::int8)", vec![Bind::Integer(1)])]
#[case::time(r#"create_time > timestamp("2024-05-01T12:00:00+02:00")"#, "(created_time > $1::timestamptz)",
    vec![Bind::Time("2024-05-01T10:00:00Z".parse().unwrap())])]
#[case::day("summary.end_time.getDayOfMonth() == 0",
    "((EXTRACT(DAY FROM recordsummary_end_time AT TIME ZONE 'UTC')::int8 - 1) = $1::int8)", vec![Bind::Integer(0)])]
#[case::end(r#"uid.endsWith("%")"#, "(right(id, length($1::text)) = $2::text)", vec![text("%"), text("%")])]
fn of_results(#[case] filter: &str, #[case] expected: &str, #[case] binds: Vec<Bind>) {
    let sql = compile(filter, Target::Results).unwrap().sql(1);
    assert_eq!(sql.text, expected);
    assert_eq!(sql.binds, binds);
}
