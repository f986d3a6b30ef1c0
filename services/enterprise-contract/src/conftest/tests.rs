use std::path::Path;

use clap::Parser;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::rego::Offline;
use crate::sources::Local;

#[derive(Debug, Parser)]
enum Command {
    Test(TestArgs),
    #[command(subcommand)]
    Opa(OpaCommand),
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

fn environment() -> Environment {
    let options = fleet::outbound::Options::default();
    let outbound =
        fleet::outbound::Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new())
            .unwrap();
    let registry = registry::Client::new(outbound.clone());
    Environment {
        sources: Sources::new(outbound, registry, Arc::default(), Local::Allowed),
        host: Arc::new(Offline),
        now: Timestamp::from_second(1_700_000_000).unwrap(),
    }
}

/// Runs a command line in which `@` stands for the folder.
async fn run(folder: &TempDir, line: &str) -> Result<Finished, Error> {
    let folder = folder.path().display().to_string();
    let words = ["ec".to_owned()].into_iter().chain(line.split(' ').map(|word| word.replace('@', &folder)));
    match Command::try_parse_from(words).unwrap() {
        Command::Test(args) => test(&args, &environment()).await,
        Command::Opa(command) => opa(&command, &environment()).await,
    }
}

const POLICY: &str = r#"package main

import rego.v1

deny contains msg if {
	input.kind == "Pod"
	msg := sprintf("%s is a bare pod", [input.name])
}

warn contains {"msg": "no owner", "code": "owner"} if not input.owner

deny_latest contains "latest" if input.tag == "latest"

exception contains ["latest"] if input.name == "known"
"#;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[
            ("policy/main.rego", POLICY),
            ("good.yaml", "kind: Job\nowner: me\n"),
            ("bad.yaml", "kind: Pod\nname: p\nowner: me\n---\nkind: Job\n"),
            ("known.json", r#"{"name": "known", "tag": "latest", "owner": "me"}"#),
        ],
    );
    folder
}

#[rstest::rstest]
#[case::passes("@/good.yaml", 0, "3 tests, 3 passed, 0 warnings, 0 failures, 0 exceptions")]
#[case::fails("@/bad.yaml", 1, "FAIL - @/bad.yaml - main - p is a bare pod")]
#[case::each_document_of_a_file("@/bad.yaml", 1, "WARN - @/bad.yaml - main - no owner")]
#[case::excepts("@/known.json", 0, "EXCP - @/known.json - main - data.main.exception[_][_] == \"latest\"")]
#[case::no_fail("@/bad.yaml --no-fail", 0, "1 warning, 1 failure")]
#[case::fail_on_warn("@/bad.yaml --fail-on-warn", 2, "FAIL")]
#[case::folder("@ --ignore policy", 1, "1 failure")]
#[tokio::test]
async fn judges_files(#[case] what: &str, #[case] code: u8, #[case] expected: &str) {
    let folder = folder();
    let done = run(&folder, &format!("test --experimental -p @/policy {what}")).await.unwrap();
    assert_eq!(done.code, code, "{}", done.text);
    let expected = expected.replace('@', &folder.path().display().to_string());
    assert!(done.text.contains(&expected), "{}", done.text);
}

#[rstest::rstest]
#[case::other_package(
    "test --experimental -p @/policy -n other @/good.yaml",
    "no rules to ask in the packages other; the policy has main"
)]
#[case::no_policy("test --experimental -p @/nothing @/good.yaml", "nothing")]
#[case::no_file("test --experimental -p @/policy @/nothing.yaml", "nothing.yaml cannot be read")]
#[case::not_asked_for("test -p @/policy @/good.yaml", "EC_EXPERIMENTAL=1")]
#[case::no_tests("opa test @/policy", "no unit tests in")]
#[tokio::test]
async fn nothing_to_judge_is_an_error(#[case] line: &str, #[case] expected: &str) {
    let error = run(&folder(), line).await.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn appstudio_tells_of_errors_too() {
    let folder = folder();
    let prefix = "test --experimental -o appstudio -n main,second";
    let failed = run(&folder, &format!("{prefix} -p @/policy @/bad.yaml")).await.unwrap();
    let value: Value = serde_json::from_str(&failed.text).unwrap();
    assert_eq!((failed.code, &value["result"], &value["namespace"]), (1, &"FAILURE".into(), &"main".into()));
    assert_eq!(
        (&value["failures"], &value["warnings"], &value["timestamp"]),
        (&1.into(), &1.into(), &"1700000000".into())
    );

    let error = run(&folder, &format!("{prefix} -p @/nothing @/bad.yaml")).await.unwrap();
    let value: Value = serde_json::from_str(&error.text).unwrap();
    assert_eq!((error.code, &value["result"]), (1, &"ERROR".into()));
    let calm = run(&folder, &format!("{prefix} --no-fail -p @/nothing @/bad.yaml")).await.unwrap();
    assert_eq!(calm.code, 0);
}

#[tokio::test]
async fn other_formats() {
    let folder = folder();
    let bad = "-p @/policy @/bad.yaml";
    let json = run(&folder, &format!("test --experimental -o json {bad}")).await.unwrap();
    let value: Value = serde_json::from_str(&json.text).unwrap();
    assert_eq!(value[0]["failures"][0]["msg"], "p is a bare pod");
    assert_eq!(value[1]["warnings"][0]["metadata"]["code"], "owner");
    let tap = run(&folder, &format!("test --experimental -o tap {bad}")).await.unwrap();
    assert!(tap.text.starts_with("1..6\nnot ok 1 - "), "{}", tap.text);
    let github = run(&folder, &format!("test --experimental -o github {bad}")).await.unwrap();
    assert!(
        github.text.contains("::error file=") && github.text.ends_with("::no owner\n"),
        "{}",
        github.text
    );
    let combined =
        run(&folder, "opa eval -f raw -d @/policy -i @/known.json data.main.deny_latest").await.unwrap();
    assert_eq!(combined.text, "[\"latest\"]\n");
}

#[tokio::test]
async fn unit_tests_end_with_2_if_one_fails() {
    let folder = folder();
    let tests = r#"package main_test

import rego.v1
import data.main

test_pod_fails if "p is a bare pod" in main.deny with input as {"kind": "Pod", "name": "p"}

test_other_passes if count(main.deny) == 0 with input as {}

todo_test_later if false
"#;
    write(folder.path(), &[("policy/main_test.rego", tests)]);
    let done = run(&folder, "opa test @/policy -v").await.unwrap();
    assert_eq!(done.code, 0, "{}", done.text);
    assert!(done.text.contains("PASS: 2/3\nSKIPPED: 1/3\n"), "{}", done.text);

    write(folder.path(), &[("policy/bad_test.rego", "package bad_test\nimport rego.v1\ntest_a if 1 == 2\n")]);
    let done = run(&folder, "opa test @/policy").await.unwrap();
    assert_eq!(done.code, 2);
    assert!(done.text.contains("bad_test.rego:3: data.bad_test.test_a: FAIL"), "{}", done.text);
    assert_eq!(run(&folder, "opa test @/policy --run main").await.unwrap().code, 0);

    write(
        folder.path(),
        &[("policy/bad_test.rego", "package bad_test\nimport rego.v1\ntest_a if 1 == 2\ntest_a if 1 == 1\n")],
    );
    let twice = run(&folder, "opa test @/policy --format json").await.unwrap();
    assert_eq!(twice.code, 2, "{}", twice.text);
    assert!(twice.text.contains("there is another test of this name"), "{}", twice.text);
}

#[tokio::test]
async fn a_policy_that_cannot_be_loaded_says_where() {
    let folder = folder();
    write(folder.path(), &[("policy/bad.rego", "package bad\n\na := {\n")]);
    let error = run(&folder, "opa check @/policy").await.unwrap_err().to_string();
    assert!(error.contains("policy/bad.rego:"), "{error}");
}

/// The policy of this repository, as its authors run it.
#[tokio::test]
async fn our_own_policy_passes_its_unit_tests() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policy");
    let folders =
        ["lib", "release", "pipeline", "task", "build_task"].map(|folder| format!("{root}/{folder}"));
    let words = ["ec", "opa", "test"].into_iter().map(str::to_owned).chain(folders);
    let Command::Opa(command) = Command::try_parse_from(words).unwrap() else { unreachable!("it is opa") };
    let done = opa(&command, &environment()).await.unwrap();
    assert_eq!(done.code, 0, "{}", done.text);
}
