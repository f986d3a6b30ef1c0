use super::*;
use serde_json::json;

use crate::watch::testing::{self, at};

fn ended(name: &str, second: i64) -> Ended {
    (Arc::new(testing::run(name).ended_at(second, "True").build()), Arc::new([]))
}

fn names(history: &[RunStatus]) -> Vec<&str> {
    history.iter().filter_map(|entry| entry.pipeline_run_name.as_deref()).collect()
}

/// Scenario 16.
#[test]
fn ten_at_once_lose_nothing() {
    let ended: Vec<Ended> = (0..10).map(|number| ended(&format!("r{number}"), (number * 7) % 10)).collect();
    let newest = ["r5", "r8", "r1", "r4", "r7"];
    assert_eq!(names(&with(&[], &ended).unwrap()), newest, "in one write");

    // One by one, in whatever order.
    let mut history = Vec::new();
    for run in &ended {
        if let Some(changed) = with(&history, std::slice::from_ref(run)) {
            history = changed;
        }
        assert!(is_in(&history, &run.0), "who is told of can be let go");
    }
    assert_eq!(names(&history), newest);
    assert!(ended.iter().all(|(run, _)| is_in(&history, run)), "older ones were there, or need not be");
    assert_eq!(with(&history, &ended), None, "nothing is written twice");
}

#[test]
fn a_run_is_there_only_with_its_end() {
    let history = with(&[], &[ended("r", 1)]).unwrap();
    let again = ended("r", 9);
    assert!(!is_in(&history, &again.0), "another run of the same name");
    assert_eq!(with(&history, &[again]).unwrap().len(), 1, "takes its place");
}

#[test]
fn entries_without_a_time_are_the_oldest() {
    let unknown = RunStatus { pipeline_run_name: Some("old".to_owned()), ..RunStatus::default() };
    let history = vec![unknown; 5];
    let history = with(&history, &[ended("new", 1)]).unwrap();
    assert_eq!(names(&history), ["old", "old", "old", "old", "new"]);
}

#[test]
fn a_long_log_is_cut_at_its_beginning() {
    let log = Some(format!("{}end", "ä".repeat(MAX_TEXT)));
    let told = reason(&Failure { log, ..Failure::default() }).log_snippet.unwrap();
    assert!(told.len() <= MAX_TEXT && told.ends_with("äend"), "{}", told.len());
}

#[test]
fn tells_what_users_look_for() {
    let run = testing::run("app-1")
        .both("sha", "c0ffee")
        .annotation("pipelinesascode.tekton.dev/sha-title", "Fix it")
        .annotation("pipelinesascode.tekton.dev/branch", "refs/heads/main")
        .annotation("pipelinesascode.tekton.dev/log-url", "https://console.test/app-1")
        .both("event-type", "push")
        .ended_at(9, "False")
        .build();
    let failure = Failure {
        task: "build".to_owned(),
        reason: "StepFailed".to_owned(),
        message: "exit code 2".to_owned(),
        log: Some("oh".to_owned()),
        completed_at: Some(at(8)),
        ..Failure::default()
    };
    let history = with(&[], &[(Arc::new(run), Arc::new([failure]))]).unwrap();
    assert_eq!(
        json!(history),
        json!([{
            "conditions": [{"type": "Succeeded", "status": "False", "reason": "Failed", "message": "Tasks Completed"}],
            "pipelineRunName": "app-1", "sha": "c0ffee", "title": "Fix it", "target_branch": "main",
            "logurl": "https://console.test/app-1", "event_type": "push",
            "startTime": "2024-03-01T12:00:00Z", "completionTime": "2024-03-01T12:00:09Z",
            "failure_reason": {"build": {
                "Name": "build", "Reason": "StepFailed", "Message": "exit code 2", "LogSnippet": "oh",
                "CompletionTime": "2024-03-01T12:00:08Z",
            }},
        }])
    );
}
