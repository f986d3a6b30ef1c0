use super::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::settings::Settings;

fn run(tasks: &[&str]) -> PipelineRun {
    let children: Vec<Value> = tasks
        .iter()
        .map(|task| json!({"name": format!("app-1-{task}"), "kind": "TaskRun", "pipelineTaskName": task}))
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": "app-1", "namespace": "team"}, "spec": {}, "status": {"childReferences": children},
    }))
    .unwrap()
}

fn task_run(reason: &str, steps: &Value) -> TaskRun {
    serde_json::from_value(json!({
        "metadata": {"name": "app-1-build", "namespace": "team"}, "spec": {},
        "status": {
            "podName": "app-1-build-pod", "steps": steps,
            "conditions": [{"type": "Succeeded", "status": "False", "reason": reason, "message": "it failed"}],
            "taskSpec": {
                "stepTemplate": {"env": [secret_variable("A", "shared", "token")]},
                "steps": [
                    {"name": "make", "image": "i", "env": [
                        {"name": "PLAIN", "value": "1"}, secret_variable("B", "own", "password"),
                    ]},
                    {"name": "push", "image": "i", "envFrom": [{"secretRef": {"name": "all", "optional": true}}]},
                ],
            },
        },
    }))
    .unwrap()
}

fn secret_variable(name: &str, secret: &str, key: &str) -> Value {
    json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
}

fn steps() -> Value {
    json!([
        {"name": "clone", "container": "step-clone", "terminated": {"exitCode": 0}},
        {"name": "lint", "container": "step-lint", "terminated": {"exitCode": 1}, "terminationReason": "Continued"},
        {"name": "make", "container": "step-make", "terminated": {"exitCode": 2}, "terminationReason": "Error"},
        {"name": "push", "container": "step-push", "terminated": {"exitCode": 1}, "terminationReason": "Skipped"},
    ])
}

fn found(reason: &str) -> Failed {
    let task_run = Arc::new(task_run(reason, &steps()));
    let mut found = failed(&run(&["build"]), &|_| Some(Arc::clone(&task_run)));
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[rstest]
#[case::plain("Failed", true)]
#[case::step("StepFailed", true)]
#[case::memory("StepOOM", true)]
#[case::sidecar("SidecarFailed", true)]
#[case::sidecar_memory("SidecarOOM", true)]
#[case::init("InitContainerFailed", true)]
#[case::init_memory("InitContainerOOM", true)]
#[case::evicted("PodEvicted", true)]
#[case::invalid("TaskRunValidationFailed", false)]
#[case::cancelled("TaskRunCancelled", false)]
#[case::timeout("TaskRunTimeout", false)]
#[case::image("TaskRunImagePullFailed", false)]
#[case::a_word_of_tomorrow("SomethingElse", false)]
fn logs_are_for_what_steps_did(#[case] reason: &str, #[case] has_log: bool) {
    let failed = found(reason);
    let containers: &[String] = &["step-make".to_owned()];
    assert_eq!(failed.containers, if has_log { containers } else { &[] });
    assert_eq!(failed.secrets.is_empty(), !has_log, "nothing is read that is not shown");
}

#[test]
fn secrets_are_those_of_all_steps() {
    let names: Vec<_> = found("StepFailed").secrets.into_iter().collect();
    let secret = |secret: &str, key: Option<&str>, is_optional| SecretValue {
        secret: secret.to_owned(),
        key: key.map(str::to_owned),
        is_optional,
    };
    assert_eq!(
        names,
        [
            secret("all", None, true),
            secret("own", Some("password"), false),
            secret("shared", Some("token"), false)
        ]
    );
}

#[test]
fn only_failed_tasks_count_in_their_order() {
    let failed_one = Arc::new(task_run("StepFailed", &steps()));
    let mut good = TaskRun::clone(&failed_one);
    good.status.as_mut().unwrap().conditions[0].status = "True".to_owned();
    let good = Arc::new(good);
    let run = run(&["clone", "test", "build", "custom"]);
    let names: Vec<_> = failed(&run, &|name| match name {
        "app-1-clone" => Some(Arc::clone(&good)),
        "app-1-custom" => None,
        _ => Some(Arc::clone(&failed_one)),
    })
    .into_iter()
    .map(|failed| failed.task)
    .collect();
    assert_eq!(names, ["test", "build"]);
}

/// Scenario 19.
#[test]
fn values_of_secrets_are_not_shown() {
    let secrets = Values::new([&b"hunter2"[..]]);
    let log = "one\ntwo\nlogin with hunter2\n\n  \nthree\nhunter2 is wrong\n";
    let failure = explain(found("StepFailed"), Some(log), &secrets, 3);
    assert_eq!(failure.log.as_deref(), Some("login with *****\nthree\n***** is wrong"));
    assert!(failure.text().ends_with("***** is wrong\n```"), "{}", failure.text());
}

#[test]
fn without_a_log_the_message_tells() {
    let failure = explain(found("TaskRunTimeout"), None, &Values::default(), 3);
    assert_eq!(failure.log, None);
    assert_eq!(failure.text(), "Task **build** failed: TaskRunTimeout\n\n```text\nit failed\n```");
}

#[test]
fn a_long_line_is_cut_at_its_beginning() {
    let log = format!("{}end", "ä".repeat(MAX_SNIPPET));
    let shown = explain(found("Failed"), Some(&log), &Values::default(), 3).log.unwrap();
    assert!(shown.len() <= MAX_SNIPPET && shown.ends_with("äend"), "{}", shown.len());
}

#[rstest]
#[case::go("./cmd/main.go:12:5: undefined: x", Some(("cmd/main.go", 12, "undefined: x")))]
#[case::no_column("src/lib.rs:3: oh", Some(("src/lib.rs", 3, "oh")))]
#[case::no_place("make: *** [all] Error 2", None)]
#[case::line_nothing("a.go:0: x", None)]
#[case::no_message("a.go:1:", None)]
#[case::too_large("a.go:99999999999: x", None)]
fn finds_places(#[case] line: &str, #[case] place: Option<(&str, u32, &str)>) {
    let found = places(line, &Values::default(), &Settings::default().error_detection_regexp, Some(50));
    let found: Vec<_> = found.iter().map(|place| (&*place.path, place.line, &*place.message)).collect();
    assert_eq!(found, place.into_iter().collect::<Vec<_>>());
}

#[test]
fn only_the_last_lines_name_places() {
    let log = "a.go:1: hunter2\nb.go:2: hunter2\n";
    let expression = &Settings::default().error_detection_regexp;
    let found = places(log, &Values::new([&b"hunter2"[..]]), expression, Some(1));
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].path, &*found[0].message), ("b.go", "*****"));
}
