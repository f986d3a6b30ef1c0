use super::*;
use fleet::write::Patch;
use pipelines_as_code_api::annotations::{INCOMING, INCOMING_OUTCOME};
use pipelines_as_code_api::run_history::RunStatus;

use crate::watch::testing;

fn repository(started: &str) -> Repository {
    let mut repository = testing::repository(&json!({"concurrency_limit": 1}));
    repository.annotations_mut().insert(STARTED_RUNS.into(), started.to_owned());
    repository
}

fn turns(places: &[&str], is_news: bool) -> queue::Turns {
    let places = places.iter().map(|name| ((*name).to_owned(), format!("u-{name}"))).collect();
    queue::Turns { places: Some(places), is_news, begin: Vec::new() }
}

fn body(write: Option<Write>) -> Option<Value> {
    write.map(|write| match write {
        Write::Patch(Patch { mut body, .. }) => {
            assert_eq!(body["metadata"]["resourceVersion"], "1", "under the version that was read");
            body["metadata"] = body["metadata"]["annotations"].take();
            body
        }
        other => panic!("{other:?}"),
    })
}

#[test]
fn all_is_written_at_once() {
    let requests = Requests {
        annotations: Some(json!({INCOMING.as_str(): null, INCOMING_OUTCOME.as_str(): "[]"})),
        ..Requests::default()
    };
    let history = vec![RunStatus { pipeline_run_name: Some("a".to_owned()), ..RunStatus::default() }];
    let write = patch(&repository(r#"{"a":"u-a"}"#), &turns(&["b"], true), Some(history), &requests);
    assert_eq!(
        body(write),
        Some(json!({
            "metadata": {
                INCOMING.as_str(): null, INCOMING_OUTCOME.as_str(): "[]", STARTED_RUNS.as_str(): r#"{"b":"u-b"}"#,
            },
            "pipelinerun_status": [{"pipelineRunName": "a"}],
        }))
    );
}

#[test]
fn a_new_place_is_written_by_itself() {
    let write = patch(&repository("{}"), &turns(&["b"], true), None, &Requests::default());
    assert_eq!(body(write), Some(json!({"metadata": {STARTED_RUNS.as_str(): r#"{"b":"u-b"}"#}})));
}

#[test]
fn a_place_that_is_free_again_is_no_reason_to_write() {
    let repository = repository(r#"{"a":"u-a"}"#);
    assert_eq!(patch(&repository, &turns(&[], false), None, &Requests::default()), None);
    let without_a_limit = queue::Turns::default();
    assert_eq!(patch(&repository, &without_a_limit, None, &Requests::default()), None);
    let history = Some(Vec::new());
    assert_eq!(
        body(patch(&repository, &without_a_limit, history, &Requests::default())),
        Some(json!({"metadata": {STARTED_RUNS.as_str(): null}, "pipelinerun_status": []})),
        "but goes with the next"
    );
}

#[test]
fn runs_wait_for_a_repository_for_a_while() {
    assert_eq!(given_up_at(testing::at(0)), Some(testing::at(600)));
}
