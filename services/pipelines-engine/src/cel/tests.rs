use expression::{MAX_DOTS, MAX_REASON, MAX_TEXT};
use rstest::rstest;

use super::*;
use crate::substitution::Replacements;

#[rstest]
#[case::comparison("'main' == 'main'", true)]
#[case::list("'a' in ['b', 'c']", false)]
#[case::method("'release-1.2'.startsWith('release-')", true)]
#[case::regex(r"'release-1.2'.matches('^release-\\d+\\.\\d+$')", true)]
#[case::macro_("['a.go', 'b.md'].exists(f, f.endsWith('.md'))", true)]
#[case::loops("[[1, 2], [3]].all(l, l.all(x, x < 3))", false)]
#[case::numbers("int('3') * 2 > 5 && size('abc') == 3", true)]
#[case::choice("'x' == 'y' ? false : true", true)]
#[case::types("type('a') == string", true)]
fn is_evaluated(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(check(text), Ok(()));
    assert_eq!(holds(text), Ok(expected));
}

#[rstest]
#[case::syntax("'a' ==", "Syntax error")]
#[case::reference("$(params.x) == 'a'", "Syntax error")]
#[case::variable("params.x == 'a'", "undeclared reference to \"params\"")]
#[case::type_("google.protobuf.Duration{} == 1", "undeclared reference")]
#[case::empty("", "Syntax error")]
fn what_is_no_expression_is_refused_when_it_is_written(#[case] text: &str, #[case] expected: &str) {
    let error = check(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(holds(text).unwrap_err().to_string(), error);
}

#[rstest]
#[case::no_boolean("'a' + 'b'", "not evaluated to a boolean")]
#[case::division("1 / 0 == 1", "ivision by zero")]
#[case::types("'a' < 1", "no matching overload")]
#[case::function("none('a')", "none")]
#[case::regex("'a'.matches('(')", "matches")]
#[case::index("[1][3] == 1", "out of bounds")]
#[case::number("int('x') == 1", "int")]
#[case::key("{'a': 1}['b'] == 1", "No such key")]
fn what_cannot_be_evaluated_says_why(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(check(text), Ok(()), "it is an expression");
    let error = holds(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

/// What would take hours, or a stack deeper than there is. An answer in a moment is all that is asked for.
#[rstest]
#[case::loops(&format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, true))))", list = list(200)))]
#[case::growing(&format!("{list}.map(a, {list}.map(b, {list})).size() > 0", list = list(300)))]
#[case::nested("[1].all(a, [1].all(b, [1].all(c, [1].all(d, [1].all(e, [1].all(f, [1].all(g, true)))))))")]
#[case::regexes(&format!("{}.all(a, 'x'.matches('(((a{{100}}){{100}}){{100}})'))", list(100)))]
#[case::parentheses(&format!("{}true{}", "(".repeat(4000), ")".repeat(4000)))]
#[case::open(&"(".repeat(MAX_TEXT))]
#[case::lists(&"[".repeat(MAX_TEXT))]
#[case::dots(&format!("{{}}{}", ".a".repeat(MAX_DOTS + 1)))]
#[case::text(&format!("'{}' == ''", "x".repeat(MAX_TEXT)))]
fn what_could_take_long_is_refused(#[case] text: &str) {
    let begun = std::time::Instant::now();
    assert!(check(text).is_err());
    assert!(holds(text).is_err());
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// As deep as a text can be.
#[rstest]
#[case::comparisons(&format!("true{}", "==true".repeat(MAX_TEXT / 6 - 4)), Some(true))]
#[case::operators(&format!("1{} > 0", "+1".repeat(MAX_TEXT / 2 - 4)), None)]
#[case::some_operators(&format!("1{} > 0", "+1".repeat(200)), Some(true))]
#[case::logic(&format!("true{}", "||true".repeat(MAX_TEXT / 6 - 4)), Some(true))]
#[case::nots(&format!("{}true", "!".repeat(MAX_TEXT - 4)), None)]
#[case::selects(&format!("{{}}{}", ".a".repeat(MAX_DOTS)), None)]
#[case::calls(&format!("'a'{}", ".a()".repeat(MAX_DOTS)), None)]
#[case::indices(&format!("[]{}", "[0]".repeat(MAX_TEXT / 3 - 1)), None)]
#[case::choices(&format!("{}true", "true?true:".repeat(MAX_TEXT / 10 - 1)), None)]
fn a_deep_one_harms_nobody(#[case] text: &str, #[case] expected: Option<bool>) {
    let holds = holds(text);
    if let Some(expected) = expected {
        assert_eq!(holds, Ok(expected));
    }
}

fn list(length: usize) -> String {
    format!("[{}]", vec!["1"; length].join(","))
}

#[test]
fn an_explanation_is_short() {
    let error = holds(&format!("'{}'", "é".repeat(2000))).unwrap_err().to_string();
    assert!(error.len() < MAX_REASON + 8 && error.ends_with('…'), "{error}");
}

/// A value is a value, whatever it has.
#[rstest]
#[case("main")]
#[case("' || true || '")]
#[case("\\' || true || \\'")]
#[case("\" + \"")]
#[case("a\nb\\")]
fn a_value_between_quotes_is_no_code(#[case] value: &str) {
    let mut with = Replacements::default();
    with.set_param("p", &value.into());
    for text in ["'$(params.p)' == 'no'", "\"$(params.p)\" == 'no'", "'''$(params.p)''' == 'no'"] {
        let mut text = text.to_owned();
        in_text(&mut text, &with);
        assert_eq!(holds(&text), Ok(false), "{text}");
        let mut same = "'$(params.p)'.size() > 0 && '$(params.p)' == \"$(params['p'])\"".to_owned();
        in_text(&mut same, &with);
        assert_eq!(holds(&same), Ok(true), "{same}");
    }
}

#[rstest]
#[case::outside("$(params.n) > 1", "3 > 1")]
#[case::raw(r"'a'.matches(r'$(params.re)')", r"'a'.matches(r'\d')")]
#[case::plain(r"'a'.matches('$(params.re)')", r"'a'.matches('\\d')")]
#[case::comment("1 > 0 // don't\n && '$(params.re)' == 'x'", "1 > 0 // don't\n && '\\\\d' == 'x'")]
#[case::escaped_quote(r"'it\'s $(params.re)'", r"'it\'s \\d'")]
#[case::unknown("'$(params.none)'", "'$(params.none)'")]
#[case::open("'$(params.n)", "'3")]
fn values_are_put_in(#[case] text: &str, #[case] expected: &str) {
    let mut with = Replacements::default();
    with.set_param("n", &"3".into());
    with.set_param("re", &r"\d".into());
    let mut text = text.to_owned();
    in_text(&mut text, &with);
    assert_eq!(text, expected);
}
