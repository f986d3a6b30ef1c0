//! What a module looks like after it was rewritten.

use super::*;
use crate::rego::Module;

fn rewritten(text: &str) -> String {
    let parsed = Parsed::new(Module { path: "m.rego".to_owned(), text: text.to_owned() }).unwrap();
    let names = Names::new(std::slice::from_ref(&parsed));
    rewrite(&parsed, &names, 0).text
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let header = "package p\n\nimport rego.v1\nimport data.lib\nimport data.lib.image as pictures\n\n";
    let blank = "package p\n\n\n\n\n\n";
    let found = rewritten(&format!("{header}{text}\n"));
    assert_eq!(found, format!("{blank}{expected}\n"));
    // It is still Rego.
    Parsed::new(Module { path: "m.rego".to_owned(), text: found }).unwrap();
}

#[rstest::rstest]
#[case::import("a := lib.b(lib.c)", "a := data.lib.b(data.lib.c)")]
#[case::alias("a if pictures.b[lib.c]", "a if data.lib.image.b[data.lib.c]")]
#[case::local_of_an_alias("a if { lib := 1; lib == 1 }", "a if { lib := 1; lib == 1 }")]
#[case::local_in_a_comprehension(
    "a := [lib.x, [lib | some lib in [1]]]",
    "a := [data.lib.x, [lib | some lib in [1]]]"
)]
#[case::argument("f(lib) := lib.x", "f(lib) := lib.x")]
#[case::key_of_a_set("a contains lib.x", "a contains data.lib.x")]
#[case::no_alias_in_a_text(r#"a := "lib.x""#, r#"a := "lib.x""#)]
#[case::builtin("a := ec.oci.blob(lib.x)", "a := data.__ec.builtin.ec.oci.blob(data.lib.x)")]
#[case::annotations("a := rego.metadata.chain()", "a := __ec.metadata_chain(0)")]
#[case::walk("a if [p, v] := walk(input)", "a if [p, v] := __ec.walk(input)[_]")]
#[case::walk_with_output("a if walk(input, [p, v])", "a if walk(input, [p, v])")]
#[case::collection("a if some x in input.y", "a if some x in __ec.collection(input.y)")]
#[case::collection_written_out("a if some x in [1]", "a if some x in [1]")]
#[case::own_function("f(x) := x\na := f(1)", "f(x) := x\na := data.p.f(1)")]
#[case::local_of_a_rule("a if some x in [1]\nx := 2", "a if some __ec_x in [1]\nx := 2")]
#[case::replaced(
    "f(x) := x\ng(x) := 1\na if f(1) with f as g",
    "f(x) := x\ng(x) := 1\na if data.p.f(1) with data.p.f as g"
)]
#[case::replaced_builtin(
    "g(x) := 1\na if b with ec.oci.blob as g",
    "g(x) := 1\na if b with data.__ec.builtin.ec.oci.blob as g"
)]
#[case::not_call("a if not f(input.x)\nf(x) := x", "a if {_ = input.x; not data.p.f(input.x)}\nf(x) := x")]
#[case::not_call_of_local(
    "a if { x := 1; not f(x) }\nf(x) := x",
    "a if { x := 1; not data.p.f(x) }\nf(x) := x"
)]
#[case::not_in(r#"a if not "x" in input.y"#, r#"a if {_ = input.y; not "x" in input.y}"#)]
#[case::not_equal_to(r#"a if not input.y == "x""#, r#"a if not input.y == "x""#)]
#[case::not_greater("a if not input.y > 3", "a if {_ = input.y; not input.y > 3}")]
#[case::not_after_others(
    "a if { b; not f(lib.x) }\nf(x) := x",
    "a if { b; _ = data.lib.x; not data.p.f(data.lib.x) }\nf(x) := x"
)]
#[case::else_of_undefined(
    r#"a := input.x if input.y != "" else := 2"#,
    r#"a := input.x if {input.y != ""; _ = input.x} else := 2"#
)]
fn changes(#[case] text: &str, #[case] expected: &str) {
    check(text, expected);
}

#[test]
fn a_rule_for_a_with_is_evaluated_before() {
    let found = rewritten("package p\nb := 1\na if c with input.x as {\"y\": b}\nc if input.x");
    let text = found.lines().nth(2).unwrap();
    let (name, rest) = text.strip_prefix("a if {").unwrap().split_once(" := b; ").unwrap();
    assert_eq!(rest, format!("c with input.x as {{\"y\": {name}}}}}"));
}

#[test]
fn lines_stay() {
    let text = "package p\nimport data.a\nimport data.b as\n  c\nd if {\n  not a.f(\n    input.x,\n    c\n  )\n}\ne := 1\n";
    assert_eq!(rewritten(text).lines().position(|line| line == "e := 1"), Some(10));
}
