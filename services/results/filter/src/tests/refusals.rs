//! What is no filter, and where it is said to be wrong.

use rstest::rstest;

use crate::{Target, compile};

#[rstest]
#[case::syntax("name ==", 1, 8, "Syntax error")]
#[case::no_truth_value("name", 1, 1, "has to be true or false, and this is a text")]
#[case::data_alone("data.x", 1, 5, "this is a value of data")]
#[case::unknown_name(
    "name == \"a\" &&\n  uid == \"b\"",
    2,
    3,
    "undeclared reference to \"uid\"; the variables of Records are"
)]
#[case::column_in_characters(r#""ä" == uid"#, 1, 8, "undeclared")]
#[case::kinds("name == 1", 1, 6, "unsupported CEL: a text == a whole number")]
#[case::kinds_in_a_list(r#"name in ["a", 1]"#, 1, 6, "unsupported CEL: a text in a list like this")]
#[case::function("name.size() == 1", 1, 10, "unsupported CEL: function \"size\"")]
#[case::global_function("size(name) == 1", 1, 5, "unsupported CEL: function \"size\"")]
#[case::loops("data.x.exists(y, y == 1)", 1, 14, "unsupported CEL: function \"exists\"")]
#[case::has("has(data.x)", 1, 4, "unsupported CEL: function \"has\"")]
#[case::conditional("name == \"a\" ? true : false", 1, 13, "unsupported CEL: function \"_?_:_\"")]
#[case::optional("data.?x == 1", 1, 5, "unsupported syntax")]
#[case::null("data.x == null", 1, 11, "unsupported CEL: null")]
#[case::bytes("data.x == b'a'", 1, 11, "unsupported CEL: bytes")]
#[case::map("data.x == {}", 1, 11, "unsupported CEL: a map")]
#[case::message("data.x == a.B{}", 1, 14, "unsupported CEL: a message")]
#[case::zone("data.x.getDate(\"UTC\") == 1", 1, 15, "unsupported CEL: function \"getDate\" with 1 arguments")]
#[case::index_that_is_no_constant(
    "data[name] == 1",
    1,
    6,
    "unsupported CEL: an index that is not a constant"
)]
#[case::negative_index("data.x[-1] == 1", 1, 9, "an index is between 0 and")]
#[case::pattern(r#"name.matches("(")"#, 1, 14, "bad regular expression \"(\": unclosed group")]
#[case::pattern_that_is_no_constant("name.matches(name)", 1, 13, "that is not a constant")]
#[case::pattern_with_look_ahead(r#"name.matches("a(?!b)")"#, 1, 14, "look-around")]
#[case::pattern_with_reference(r#"name.matches("(a)\\1")"#, 1, 14, "backreferences are not supported")]
#[case::large_count(r#"name.matches("a{256}")"#, 1, 14, "may do so 255 times")]
#[case::large_pattern(r#"name.matches("(.{200}){200}")"#, 1, 14, "it is too large")]
#[case::all_letters(r#"name.matches("\\pL{99}")"#, 1, 14, "it is too large")]
#[case::timestamp(r#"data.x > timestamp("yesterday")"#, 1, 20, "bad timestamp \"yesterday\": write it like")]
#[case::timestamp_of_a_name("timestamp(name) == timestamp(name)", 1, 11, "a timestamp of a text")]
#[case::text_with_zero(r#"name == "a\x00""#, 1, 9, "U+0000")]
#[case::large_number("data.x == 9007199254740993", 1, 11, "a whole number can be at most 9007199254740992")]
#[case::overflow("9007199254740992 * 2 == 1", 1, 18, "could be too large")]
#[case::overflow_of_data(
    "data.x*data.x == 1 || data.a * 1.0 * data.a * data.a * data.a * data.a * data.a * data.a * data.a == 1.0",
    1,
    7,
    "unsupported CEL: a value of data * a value of data"
)]
#[case::overflow_of_numbers("data.a * 1e200 * 1e100 == 1.0", 1, 16, "could be too large, or too small")]
#[case::underflow("data.a * 1e-200 * 1e-100 == 1.0", 1, 17, "could be too large, or too small")]
#[case::remainder_of_fractions("1.5 % 2 == 1", 1, 5, "unsupported CEL: a number % a whole number")]
#[case::reserved("data.x == package", 1, 11, "reserved identifier: package")]
fn of_records(#[case] text: &str, #[case] line: usize, #[case] column: usize, #[case] message: &str) {
    let error = compile(text, Target::Records).unwrap_err();
    assert!(error.message.contains(message), "{error}");
    assert_eq!((error.line, error.column), (line, column), "{error}");
}

#[rstest]
#[case::whole_summary("summary == summary", "the whole summary == the whole summary")]
#[case::field("summary.foo == 1", "undefined field \"foo\"; a summary has record, type")]
#[case::field_as_key(r#"summary["type"] == "x""#, "an index of the whole summary")]
#[case::maps("annotations == annotations", "a map == a map")]
#[case::data(r#"data.x == "a""#, "the variables of Results are parent, uid")]
#[case::entry_with_number(r#"annotations["a"] == 1"#, "a text == a whole number")]
#[case::member_of_text(r#"parent.x == "a""#, "a member of a text")]
fn of_results(#[case] text: &str, #[case] message: &str) {
    let error = compile(text, Target::Results).unwrap_err();
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn says_where() {
    let error = compile("\nfoo", Target::Results).unwrap_err().to_string();
    assert!(error.ends_with(" at line 2, column 1"), "{error}");
}

#[rstest]
#[case::text(format!("name == \"{}\"", "x".repeat(20_000)), "bytes, and may have 16384")]
#[case::structure(format!("name == \"a\"{}", " || true".repeat(600)), "bytes outside of texts, and may have 4096")]
#[case::dots(format!("data{} == 1", ".a".repeat(600)), "600 dots outside of texts, and may have 512")]
#[case::path(format!("data{} == 1", ".a".repeat(150)), "more than 100 levels")]
#[case::brackets(format!("{}true{}", "(".repeat(500), ")".repeat(500)), "brackets in brackets, and may have 90")]
#[case::sum(format!("1{} == 1", "+1".repeat(1500)), "more than 100 levels")]
#[case::indexes(format!("data{} == 1", "[0]".repeat(1300)), "more than 100 levels")]
#[case::negations(format!("{}true", "!(".repeat(1000)), "brackets in brackets, and may have 90")]
#[case::literals(format!("name in [{}]", vec!["''"; 1001].join(",")), "more than 1000 constants")]
fn too_much(#[case] text: String, #[case] message: &str) {
    let error = compile(&text, Target::Records).unwrap_err();
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn long_lists_are_fine() {
    let text = format!("name in [{}]", vec!["'0123456789'"; 900].join(","));
    assert_eq!(compile(&text, Target::Records).unwrap().sql(1).binds.len(), 900);
}
