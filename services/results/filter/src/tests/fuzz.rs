//! Filters are texts of strangers.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::{Bind, Filter, Row, Sql, Target, compile};

/// Pieces that make up filters, and what is almost one.
const PIECES: [&str; 60] = [
    "parent",
    "name",
    "data",
    "data_type",
    "uid",
    "annotations",
    "summary",
    ".status",
    ".type",
    ".a",
    "create_time",
    "[\"k\"]",
    "[0]",
    "[-1]",
    "[",
    "]",
    "(",
    ")",
    " == ",
    " != ",
    " < ",
    " >= ",
    " && ",
    " || ",
    "!",
    "-",
    " + ",
    " * ",
    " / ",
    " % ",
    " in ",
    "1",
    "0",
    "2.5",
    "1e300",
    "true",
    "null",
    "\"x\"",
    "'\u{e4}'",
    "\"a\\x00\"",
    "b'x'",
    ".matches(\"",
    ".matches(\"^a|[b-d]+$\")",
    ".contains(",
    ".endsWith(\"%\")",
    "timestamp(\"2024-05-01T12:00:00Z\")",
    "timestamp(",
    ".getDate()",
    ".getFullYear()",
    "PIPELINE_RUN",
    "SUCCESS",
    "[1, 2]",
    "[\"a\", name]",
    ",",
    "\"",
    "'",
    "\n",
    "?",
    ":",
    "{}",
];

fn filters() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat()),
    ]
}

fn patterns() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "B",
        "\\d",
        "\\W",
        "\\s",
        "[^a-c]",
        "[\\d_]",
        "[[:alpha:]&&[^b]]",
        ".",
        "(?i)",
        "(?s:.)",
        "(?m)^",
        "$",
        "\\b",
        "\\B",
        "\\z",
        "*",
        "+?",
        "{2,3}",
        "{0}",
        "(",
        ")",
        "(?:",
        "|",
        "\u{e9}",
        "\\x00",
        "\\pN",
        "^",
        "''",
        "(?-u)",
    ];
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())
    ]
}

/// Both uses of a filter, which cannot fail.
fn used(filter: &Filter) -> Sql {
    let data = json!({ "a": [1, "x", { "k": "2024-05-01T12:00:00Z" }], "k": 7 });
    let row = Row { parent: Some("a"), name: Some("x"), data: Some(&data), ..Row::default() };
    filter.matches(&row);
    filter.sql(1)
}

/// As many placeholders as binds, in their order, and no character that only a filter has.
fn is_sound(sql: &Sql) -> Result<(), TestCaseError> {
    let places: Vec<usize> = sql
        .text
        .split('$')
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .collect();
    prop_assert_eq!(&places, &(1..=sql.binds.len()).collect::<Vec<_>>(), "{}", &sql.text);
    prop_assert!(sql.text.is_ascii() && !sql.text.contains(['\\', ';', '\0', '\n']), "{}", &sql.text);
    for bind in &sql.binds {
        match bind {
            Bind::Text(text) => prop_assert!(!text.contains('\0')),
            Bind::Number(number) => prop_assert!(number.is_finite()),
            Bind::Integer(_) | Bind::Bool(_) | Bind::Time(_) | Bind::Json(_) => {}
        }
    }
    Ok(())
}

#[test]
fn never_panics_on_filters() {
    testkit::fuzz(file!(), &filters(), |text| {
        for target in [Target::Results, Target::Records] {
            match compile(&text, target) {
                Ok(filter) => is_sound(&used(&filter))?,
                Err(error) => {
                    prop_assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
                    prop_assert!(error.line <= text.split('\n').count(), "{}", error);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn never_panics_on_patterns() {
    testkit::fuzz(file!(), &patterns(), |pattern| {
        let text = format!("name.matches({})", json!(pattern));
        if let Ok(filter) = compile(&text, Target::Records) {
            is_sound(&used(&filter))?;
        }
        Ok(())
    });
}

proptest! {
    /// Whatever a text is, it is compared as it is, and only bound.
    #[test]
    fn texts_are_bound(text in "[^\\x00]{0,40}", key in "[^\\x00]{1,10}") {
        let quoted = json!(text).to_string();
        let filter = compile(&format!("parent == {quoted}"), Target::Results).unwrap();
        prop_assert_eq!(filter.matches(&Row { parent: Some(&text), ..Row::default() }), Some(true));
        prop_assert_eq!(filter.sql(1).text, "(parent = $1::text)");
        let annotations = json!({ key.as_str(): text });
        let filter = format!("annotations[{}] == {quoted}", json!(key));
        let filter = compile(&filter, Target::Results).unwrap();
        prop_assert_eq!(filter.matches(&Row { annotations: Some(&annotations), ..Row::default() }), Some(true));
        prop_assert_eq!(filter.sql(1).binds, vec![Bind::Json(annotations)]);
    }
}
