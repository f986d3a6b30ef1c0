//! Policies from their text to their answers.

use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn module(path: &str, text: &str) -> Module {
    Module { path: path.to_owned(), text: text.to_owned() }
}

fn compile(text: &str) -> Result<Policy, LoadError> {
    Policy::compile(vec![module("p.rego", text)], json!({}))
}

fn host() -> Arc<dyn Host> {
    Arc::new(Offline)
}

/// What the package `p` says of an input.
#[expect(clippy::needless_pass_by_value, reason = "reads well with json!")]
fn outcome(text: &str, input: Value) -> Result<PackageOutcome, EvalError> {
    let policy = compile(&format!("package p\nimport rego.v1\n{text}\n")).unwrap();
    let mut found = policy.evaluate(&input, &Value::Null, &host())?;
    assert_eq!(found.len(), 1);
    Ok(found.remove(0))
}

fn messages(results: &[RawResult]) -> Vec<&str> {
    results.iter().map(|result| result.msg.as_str()).collect()
}

/// The value of `data.p.a`.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads well with json!")]
fn value(text: &str, input: Value) -> Value {
    let policy = compile(&format!("package p\nimport rego.v1\n{text}\n")).unwrap();
    let found = policy.query("data.p.a", Some(&input), &Value::Null, &host()).unwrap();
    found["result"][0]["expressions"][0]["value"].clone()
}

mod loading {
    use super::*;

    #[rstest]
    #[case::syntax("package p\n\na := {\n", 4)]
    #[case::unsafe_variable("package p\nimport rego.v1\na if {\n\tx == 1\n}\n", 4)]
    #[case::recursion("package p\nimport rego.v1\na if b\nb if a\n", 3)]
    fn mistakes_are_placed(#[case] text: &str, #[case] line: u32) {
        // Some show when the rule is reached.
        let at = match compile(text) {
            Err(LoadError::Rego { at, .. }) => at,
            Err(other) => unreachable!("{other}"),
            Ok(policy) => match policy.query("data.p.a", None, &Value::Null, &host()) {
                Err(EvalError::Rego { at, .. }) => at,
                other => unreachable!("{other:?}"),
            },
        };
        assert_eq!(at.file, "p.rego");
        assert!(at.line.abs_diff(line) <= 1, "{at}");
    }

    #[rstest]
    #[case::http("http.send({})", "http.send")]
    #[case::lookup("net.lookup_ip_addr(\"a\")", "net.lookup_ip_addr")]
    #[case::runtime("opa.runtime()", "opa.runtime")]
    #[case::in_a_comprehension("[x | some y in [1]; x := opa.runtime()[y]]", "opa.runtime")]
    #[case::as_an_argument("count(opa.runtime())", "opa.runtime")]
    fn the_network_and_the_process_are_out_of_reach(#[case] call: &str, #[case] name: &str) {
        let error = compile(&format!("package p\n\nb := 1\na := {call}\n")).unwrap_err();
        let at = Location { file: "p.rego".to_owned(), line: 4 };
        assert_eq!(error, LoadError::Forbidden { at, name: name.to_owned() });
    }

    #[test]
    fn a_forbidden_function_cannot_be_put_in_the_place_of_another() {
        let text = "package p\nimport rego.v1\na := x if x := count([]) with count as opa.runtime\n";
        assert!(compile(text).is_err());
    }

    #[rstest]
    #[case::builtin("nosuch.function(1)", "nosuch.function")]
    #[case::own("f(1)", "f")]
    #[case::of_a_package("data.lib.f(1)", "data.lib.f")]
    #[case::of_ours("__ec.call.ec.oci.blob(\"a\")", "__ec.call.ec.oci.blob")]
    fn unknown_functions_are_refused(#[case] call: &str, #[case] name: &str) {
        let error = compile(&format!("package p\n\na := {call}\n")).unwrap_err();
        let at = Location { file: "p.rego".to_owned(), line: 3 };
        assert_eq!(error, LoadError::UnknownFunction { at, name: name.to_owned() });
    }

    #[rstest]
    #[case::number("deny contains 1 if true")]
    #[case::boolean("deny if input.x")]
    #[case::text("deny := \"no\"")]
    #[case::object("deny := {\"msg\": \"no\"}")]
    #[case::default("default deny := false")]
    #[case::of_a_longer_name("warn_of_it contains [1] if true")]
    #[case::a_key_each("deny[x] := 1 if x := \"a\"")]
    fn rules_that_can_yield_no_results_are_refused(#[case] rule: &str) {
        let error = compile(&format!("package p\nimport rego.v1\n{rule}\n")).unwrap_err();
        assert!(matches!(&error, LoadError::UnsupportedValue { at, .. } if at.line == 3), "{error}");
    }

    #[test]
    fn other_names_are_no_rules() {
        let found =
            outcome("denyx := 1\ndeny_ := 2\nwarning := 3\ndeny_a__b := 1\ndeny_f(x) := x", json!({}))
                .unwrap();
        assert_eq!(found, PackageOutcome { namespace: "p".to_owned(), ..PackageOutcome::default() });
    }

    #[test]
    fn old_modules_are_read() {
        let policy = compile("package p\ndeny[msg] { input.x == 1; msg := \"one\" }\n").unwrap();
        let found = policy.evaluate(&json!({"x": 1}), &Value::Null, &host()).unwrap();
        assert_eq!(messages(&found[0].failures), ["one"]);
    }

    #[test]
    fn a_long_line_is_read() {
        let long = "x".repeat(5000);
        assert_eq!(value(&format!("a := count(\"{long}\")"), json!({})), 5000);
    }

    #[test]
    fn files_and_packages_of_ours_are_not_for_others() {
        let twice = Policy::compile(vec![module("a", "package a"), module("a", "package b")], json!({}));
        assert_eq!(twice.unwrap_err(), LoadError::DuplicateFile { file: "a".to_owned() });
        assert!(compile("package __ec.builtin\n\na := 1\n").is_err());
    }
}

mod annotations {
    use super::*;

    const TEXT: &str = "# METADATA
# title: The package
# scope: package
package policy.release.sample

import rego.v1

# METADATA
# title: No root
# description: >-
#   See xref:users.adoc#_root[the page on users]
#   for more.
# custom:
#   short_name: no_root
#   failure_msg: \"%s is root\"
#   solution: Take another.
#   collections: [minimal, redhat]
#   effective_on: 2024-05-07T00:00:00Z
#   depends_on: other.rule
deny contains result if {
\tinput.user == \"root\"
\t# METADATA
\t# of nothing: [
\tresult := {\"msg\": \"root\", \"code\": rego.metadata.chain()[0].annotations.custom.short_name}
}

chain := rego.metadata.chain()

rule := rego.metadata.rule()

# METADATA
# scope: document
# title: Of all of them
documented contains rego.metadata.chain()[1].annotations.title if true
";

    #[test]
    fn describe_rules() {
        let policy = compile(TEXT).unwrap();
        let [rule] = policy.rules() else { unreachable!("{:?}", policy.rules()) };
        assert_eq!(
            (rule.code.as_str(), rule.short_name.as_str(), rule.kind),
            ("sample.no_root", "no_root", Kind::Deny)
        );
        assert_eq!(rule.package, "policy.release.sample");
        assert_eq!(rule.description, "See the page on users for more.");
        assert_eq!(
            (&rule.collections[..], &rule.depends_on[..]),
            (&["minimal".to_owned(), "redhat".to_owned()][..], &["other.rule".to_owned()][..])
        );
        assert_eq!(rule.effective_on.as_deref(), Some("2024-05-07T00:00:00Z"));
        assert_eq!(rule.location, Location { file: "p.rego".to_owned(), line: 20 });
    }

    #[test]
    fn are_seen_by_rules() {
        let policy = compile(TEXT).unwrap();
        let found = policy.evaluate(&json!({"user": "root"}), &Value::Null, &host()).unwrap();
        assert_eq!(found[0].failures[0].metadata["code"], "no_root");
        let query = |name: &str| {
            let found = policy
                .query(&format!("data.policy.release.sample.{name}"), None, &Value::Null, &host())
                .unwrap();
            found["result"][0]["expressions"][0]["value"].clone()
        };
        assert_eq!(
            query("chain"),
            json!([
                {"path": ["policy", "release", "sample", "chain"]},
                {"path": ["policy", "release", "sample"], "annotations": {"scope": "package", "title": "The package"}},
            ])
        );
        assert_eq!(query("rule"), json!({}));
        assert_eq!(query("documented"), json!(["Of all of them"]));
    }

    #[test]
    fn broken_ones_are_placed() {
        let error = compile("package p\n\n# METADATA\n# title: [\na := 1\n").unwrap_err();
        assert!(matches!(&error, LoadError::Annotation { at, .. } if at.line == 3), "{error}");
    }

    #[test]
    fn two_rules_cannot_share_a_code() {
        let rule = |kind: &str| {
            format!("# METADATA\n# custom:\n#   short_name: same\n{kind} contains \"x\" if true\n")
        };
        let error =
            compile(&format!("package p\nimport rego.v1\n{}{}", rule("deny"), rule("warn"))).unwrap_err();
        assert!(
            matches!(&error, LoadError::DuplicateCode { code, first, .. } if code == "p.same" && first.line == 6),
            "{error}"
        );
    }
}

mod evaluation {
    use super::*;

    #[test]
    fn sorts_results() {
        let text = r#"
deny contains "a" if input.a
violation_b contains {"msg": "b", "code": "p.b"} if input.a
warn contains "c" if input.a
warn_never contains "d" if input.none
deny_list := ["e"] if input.a"#;
        let found = outcome(text, json!({"a": true})).unwrap();
        assert_eq!(messages(&found.failures), ["a", "e", "b"]);
        assert_eq!(messages(&found.warnings), ["c"]);
        assert_eq!(found.successes, 1);
        assert_eq!(found.failures[2].metadata, json!({"code": "p.b"}).as_object().unwrap().clone());
    }

    /// conftest lets them pass.
    #[rstest]
    #[case::a_number("deny contains input.x if true", json!({"x": 1}))]
    #[case::without_message("deny contains input.x if true", json!({"x": {"code": "a"}}))]
    #[case::message_that_is_no_text("deny contains input.x if true", json!({"x": {"msg": 1}}))]
    #[case::no_set("deny := input.x", json!({"x": true}))]
    #[case::object("deny := input.x", json!({"x": {"a": "b"}}))]
    #[case::conflict("deny := x if { some x in [[\"a\"], [\"b\"]] }", json!({}))]
    fn what_is_no_result_is_an_error(#[case] text: &str, #[case] input: Value) {
        let found = outcome(text, input);
        assert!(found.is_err(), "{found:?}");
    }

    #[rstest]
    #[case::by_name("exception contains [\"b\"] if true", 0, 1)]
    #[case::other("exception contains [\"x\"] if true", 1, 0)]
    #[case::plain("exception := {[\"\"]}", 1, 0)]
    fn are_excepted(#[case] exception: &str, #[case] failures: usize, #[case] exceptions: usize) {
        let found = outcome(&format!("deny_b contains \"b\" if true\n{exception}"), json!({})).unwrap();
        assert_eq!((found.failures.len(), found.exceptions.len()), (failures, exceptions));
    }

    #[test]
    fn the_overlay_is_of_one_evaluation() {
        let text = "package p\nimport rego.v1\ndeny contains sprintf(\"%v %v\", [data.config.policy.when_ns, data.config.kept]) if true\n";
        let policy = Policy::compile(
            vec![module("p.rego", text)],
            json!({"config": {"kept": "k", "policy": {"when_ns": 1}}}),
        )
        .unwrap();
        let at = |when: i64| {
            let found = policy.evaluate(&json!({}), &json!({"policy": {"when_ns": when}}), &host()).unwrap();
            found[0].failures[0].msg.clone()
        };
        assert_eq!((at(7), at(8)), ("7 k".to_owned(), "8 k".to_owned()));
        assert_eq!(policy.data()["config"]["policy"]["when_ns"], 1);
    }

    #[test]
    fn is_shared_by_threads() {
        let policy = compile("package p\nimport rego.v1\ndeny contains input.name if true\n").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let policy = &policy;
                scope.spawn(move || {
                    for number in 0..20 {
                        let name = format!("{thread}-{number}");
                        let found = policy.evaluate(&json!({"name": name}), &Value::Null, &host()).unwrap();
                        assert_eq!(messages(&found[0].failures), [name.as_str()]);
                    }
                });
            }
        });
    }

    struct Counting(parking_lot::Mutex<Vec<String>>);

    impl Host for Counting {
        fn call(&self, name: &str, arguments: &[Value]) -> Option<Value> {
            self.0.lock().push(format!("{name}{}", Value::from(arguments.to_vec())));
            (arguments[0] == "good").then(|| json!({"layers": [1]}))
        }
    }

    #[test]
    fn the_host_is_asked_once() {
        let text = "package p\nimport rego.v1
deny contains \"a\" if ec.oci.image_manifest(\"good\").layers
deny contains \"b\" if { some ref in [\"good\", \"bad\"]; ec.oci.image_manifest(ref).layers[0] == 1 }
deny contains \"c\" if not ec.oci.image_manifest(\"bad\")";
        let policy = compile(text).unwrap();
        let counting = Arc::new(Counting(parking_lot::Mutex::default()));
        let host: Arc<dyn Host> = Arc::clone(&counting) as Arc<dyn Host>;
        let found = policy.evaluate(&json!({}), &Value::Null, &host).unwrap();
        assert_eq!(messages(&found[0].failures), ["a", "b", "c"]);
        let mut calls = counting.0.lock().clone();
        calls.sort();
        assert_eq!(calls, ["ec.oci.image_manifest[\"bad\"]", "ec.oci.image_manifest[\"good\"]"]);
    }
}

/// Where the interpreter alone differs from OPA, whose answers these are.
mod language {
    use super::*;

    #[rstest]
    #[case::walk("a := {v | [_, v] := walk(input); is_string(v)}", json!({"x": ["s", {"y": "t"}]}), json!(["s", "t"]))]
    #[case::walk_by_unification("a := [p | [p, v] = walk(input); v == 1]", json!({"x": [1]}), json!([["x", 0]]))]
    #[case::nothing_in_a_text("a := [x | some x in input.x]", json!({"x": "text"}), json!([]))]
    #[case::nothing_in_null("a := [x | some x in input.x]", json!({"x": null}), json!([]))]
    #[case::not_of_an_undefined_argument("default a := false\na if not is_object(input.x)", json!({}), json!(false))]
    #[case::not_of_a_wrong_argument("default a := false\na if not is_object(input.x)", json!({"x": 1}), json!(true))]
    #[case::not_in_undefined("default a := false\na if not 1 in input.x", json!({}), json!(false))]
    #[case::not_equal_to_undefined("default a := false\na if not input.x == 1", json!({}), json!(true))]
    #[case::not_of_undefined("default a := false\na if not input.x", json!({}), json!(true))]
    #[case::else_of_an_undefined_value("a := input.x if true else := 2", json!({}), json!(2))]
    #[case::local_of_a_rules_name("result(x) := x\na := [result.v | some result in input.x]", json!({"x": [{"v": 1}]}), json!([1]))]
    #[case::local_function_replaced("f(x) := x\ng(_) := 7\na := x if x := f(1) with f as g", json!({}), json!(7))]
    #[case::rule_of_a_with("b := {\"k\": 1}\nc := data.x == b\na := x if x := c with data.x as b", json!({}), json!(true))]
    #[case::replaced_by_a_value("a := x if x := ec.oci.blob(\"r\") with ec.oci.blob as \"blob\"", json!({}), json!("blob"))]
    #[case::undefined_of_the_host("a := x if x := ec.oci.blob(\"r\") else := \"none\"", json!({}), json!("none"))]
    #[case::what_a_builtin_cannot_take("a := 1 if not to_number(\"x\")", json!({}), json!(1))]
    fn is_opas(#[case] text: &str, #[case] input: Value, #[case] expected: Value) {
        assert_eq!(value(text, input), expected);
    }

    #[test]
    fn imports_of_a_package_are_not_of_those_below() {
        let modules = vec![
            module("lib.rego", "package lib\nimport rego.v1\nimport data.lib.inner\nx := inner.y\n"),
            module("inner.rego", "package lib.inner\nimport rego.v1\nimport data.lib\ny := 1\nz := lib.x\n"),
            module(
                "p.rego",
                "package p\nimport rego.v1\nimport data.lib\ndeny contains sprintf(\"%d\", [lib.x + lib.inner.z]) if true\n",
            ),
        ];
        let policy = Policy::compile(modules, json!({})).unwrap();
        let found = policy.evaluate(&json!({}), &Value::Null, &host()).unwrap();
        assert_eq!(messages(&found.last().unwrap().failures), ["2"]);
    }
}

mod functions {
    use super::*;

    #[rstest]
    #[case::sha256("crypto.sha256(\"a\")", json!("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"))]
    #[case::sha1("crypto.sha1(\"a\")", json!("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"))]
    #[case::hmac("crypto.hmac.sha256(\"a\", \"k\")", json!("78da91511e675587f5b9df78bedebaf5560da2abb88162ee875dcdf744951d9e"))]
    #[case::purl(
        "ec.purl.parse(\"pkg:rpm/fedora/bash@5?arch=x86_64#d\")",
        json!({"type": "rpm", "namespace": "fedora", "name": "bash", "version": "5", "qualifiers": [{"key": "arch", "value": "x86_64"}], "subpath": "d"})
    )]
    #[case::no_purl("[ec.purl.is_valid(\"x\"), ec.purl.is_valid(\"pkg:npm/a\")]", json!([false, true]))]
    #[case::schema_holds("json.match_schema(\"[1]\", {\"type\": \"array\"})", json!([true, []]))]
    #[case::schema_of_a_text("json.match_schema(\"{}\", `{\"required\": [\"a\"]}`)[1][0].error", json!("(Root): a is required"))]
    #[case::schema_error(
        "json.match_schema({\"a\": [1]}, {\"properties\": {\"a\": {\"items\": {\"type\": \"string\"}}}})",
        json!([false, [{"error": "a.0: Invalid type. Expected: string, given: integer", "type": "invalid_type", "field": "a.0", "desc": "Invalid type. Expected: string, given: integer"}]])
    )]
    #[case::no_json("json.match_schema(\"{\", {})[0]", json!(false))]
    #[case::schema_is_one("json.verify_schema({\"type\": \"object\"})", json!([true, null]))]
    #[case::schema_is_none("json.verify_schema({\"type\": 1})[0]", json!(false))]
    #[case::no_certificate("[x | x := crypto.x509.parse_certificates(\"none\")]", json!([]))]
    fn answer(#[case] call: &str, #[case] expected: Value) {
        assert_eq!(value(&format!("a := {call}"), json!({})), expected);
    }

    /// What it would say of errors is undefined, and rules that look for errors would find none.
    #[test]
    fn a_schema_that_is_none_is_an_error() {
        let found =
            outcome("deny contains e.error if some e in json.match_schema({}, {\"type\": 1})[1]", json!({}));
        assert!(found.is_err(), "{found:?}");
    }

    #[test]
    fn certificates_are_taken_apart() {
        let mut params = rcgen::CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
        let made = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let found = value("a := crypto.x509.parse_certificates(input.pem)", json!({"pem": made.pem()}));
        assert_eq!(found[0]["DNSNames"], json!(["host.example"]));
        assert_eq!((&found[0]["KeyUsage"], &found[0]["ExtKeyUsage"]), (&json!(1), &json!([3])));
        assert_eq!(found[0]["Extensions"][0]["Id"].as_array().map(Vec::len), Some(4));
    }
}

mod fuzz {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzz::fuzz;

    /// Pieces of policies, put together at random: most are refused, some are not.
    const PIECES: [&str; 34] = [
        "package p\n",
        "import data.lib\n",
        "import rego.v1\n",
        "deny contains x if {\n",
        "}\n",
        "a := ",
        "f(x) := ",
        "else := ",
        "not f(input.x)",
        "not \"é\" in input.y",
        "some x in input.z",
        "every y in lib.z { y }",
        "walk(input, [p, v])",
        "[p, v] := walk(input)",
        "x := {\"k\": lib.v}",
        "[x | some x in [1]; not f(x)]",
        "rego.metadata.chain()",
        "ec.oci.blob(\"a\")",
        " with input as lib.x",
        " with f as lib.g",
        " with data.q as {\"a\": a}",
        "\n",
        "; ",
        " == ",
        "\"",
        "`raw\n`",
        "# METADATA\n# title: a\n",
        "# METADATA\n# scope: document\n# custom:\n#   short_name: s\n",
        "{",
        "}",
        "(",
        ")",
        "\u{1F600}",
        "lib[x].y",
    ];

    /// Whatever is loaded keeps its lines, and is evaluated to results or an error.
    #[test]
    fn policies_of_strangers() {
        let text = proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..24)
            .prop_map(|pieces| format!("package p\nimport rego.v1\nimport data.lib\n{}", pieces.concat()));
        fuzz(&text, |text| {
            if let Ok(policy) = compile(&text) {
                let _ = policy.evaluate(&json!({"x": 1, "y": null, "z": ["a"]}), &Value::Null, &host());
            }
            Ok(())
        });
    }

    #[test]
    fn bodies_of_rules() {
        let bodies = proptest::collection::vec(proptest::sample::select(&PIECES[8..23]), 1..6);
        fuzz(&bodies, |pieces| {
            let body = pieces.join("\n\t");
            let text = format!(
                "package p\nimport rego.v1\nimport data.lib\na := 1\nf(q) := q\ndeny contains \"m\" if {{\n\t{body}\n}}\nr := a if {{\n\t{body}\n}} else := 2\nlast := 1\n"
            );
            if let Ok(policy) = compile(&text) {
                let found = policy.query("data.p.last", None, &Value::Null, &host());
                prop_assert!(found.is_ok(), "{:?}", found);
            }
            Ok(())
        });
    }
}
