//! `ec validate input`: files are judged as they are.

use enterprise_contract::effective_time::EffectiveTime;
use enterprise_contract::judge::{Error, InputRequest, validate_inputs};
use enterprise_contract::report::InputReport;
use serde_json::{Map, Value, json};

use crate::world::{World, codes};

const KIND: &str = r#"
package policy.task.kind
import rego.v1

# METADATA
# title: Kind
# custom:
#   short_name: expected_kind
deny contains {"msg": sprintf("%v is no Task", [kind]), "code": "task.kind.expected_kind", "term": kind} if {
	kind := object.get(input, "kind", "nothing")
	kind != "Task"
}
"#;

async fn validate(world: &World, files: &[&str], policy: &Value) -> Result<InputReport, Error> {
    let request = InputRequest {
        files: files.iter().map(ToString::to_string).collect(),
        policy: policy.to_string(),
        extra_rule_data: Map::new(),
        effective_time: EffectiveTime::Now,
        info: false,
        timeout: None,
    };
    validate_inputs(&request, &world.environment()).await
}

#[tokio::test]
async fn files_texts_and_folders_are_judged() {
    let world = World::new();
    let policy = world.policy(KIND);
    let good = world.write("good.yaml", "kind: Task\n---\n---\nkind: Task\n");
    let bad = world.write("bad.json", r#"[{"kind": "Task"}, {"kind": "Pipeline"}]"#);
    let folder = world
        .source("folder", &[("a.yaml", "kind: Task"), ("deep/b.yml", "kind: Step"), ("c.txt", "kind: X")]);
    let folder = folder.strip_prefix("file::").unwrap();
    let report = validate(&world, &[&good, &bad, folder, "{kind: Pod}"], &policy).await.unwrap();
    assert!(!report.success);
    let found: Vec<_> = report
        .filepaths
        .iter()
        .map(|file| {
            (
                file.filepath.as_str(),
                file.success,
                file.violations.iter().map(|found| found.msg.as_str()).collect(),
            )
        })
        .collect();
    let mut expected: Vec<(&str, bool, Vec<&str>)> = vec![
        (&good, true, vec![]),
        (&bad, false, vec!["Pipeline is no Task"]),
        (folder, false, vec!["Step is no Task"]),
        ("{kind: Pod}", false, vec!["Pod is no Task"]),
    ];
    expected.sort();
    assert_eq!(found, expected);
    let good = report.filepaths.iter().find(|file| file.success).unwrap();
    assert_eq!(codes(&good.successes), ["task.kind.expected_kind"]);
    assert_eq!(json!(good.successes[0].metadata), json!({"code": "task.kind.expected_kind"}));
}

#[tokio::test]
async fn what_cannot_be_read_or_is_not_checked_is_an_error() {
    let world = World::new();
    let policy = world.policy(KIND);
    let broken = world.write("broken.yaml", "a: [");
    let empty = world.write("empty.yaml", "# nothing\n");
    for file in [broken.as_str(), &empty, "/no/such/file.yaml", "{"] {
        let error = validate(&world, &[file], &policy).await.unwrap_err();
        assert!(matches!(&error, Error::Input { what, .. } if what == file), "{error:?}");
    }
    assert!(matches!(validate(&world, &[], &policy).await, Err(Error::Input { .. })));
    assert!(matches!(validate(&world, &["{kind: Task}"], &json!({})).await, Err(Error::NoSources)));
    let nothing = world.policy("package a\n");
    assert!(matches!(validate(&world, &["{kind: Task}"], &nothing).await, Err(Error::NothingChecked(_))));
}
