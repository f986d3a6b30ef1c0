use super::*;
use release_service_api::Release;
use release_service_api::release::Mitigation;
use rstest::rstest;

const NOW: &str = "2024-03-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn account(attempts: &serde_json::Value) -> Account {
    let release: Release = serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Release",
        "metadata": {"name": "r", "namespace": "t", "uid": "u"},
        "spec": {"snapshot": "s", "releasePlan": "p"},
        "status": {
            "managedProcessing": {"pipelineRun": "m/managed-0", "startTime": NOW, "roleBindings": {"tenantRoleBinding": "t/b"}},
            "managedPipelineAttempts": attempts,
        },
    }))
    .unwrap();
    Account::of(&release, now())
}

fn due(attempt: u32, mitigation: Option<Mitigation>) -> Due {
    let slot = Slot { phase: Phase::Managed, attempt };
    Due { slot, since: now(), mitigation, task_run_specs: None }
}

fn more() -> Mitigation {
    Mitigation { memory_limit: Some("2Gi".to_owned()), ..Mitigation::default() }
}

fn failure(reason: &str) -> Failure {
    Failure {
        reason: reason.to_owned(),
        last_task: Some("push".to_owned()),
        successful_tasks: vec!["collect".to_owned()],
        ..Failure::default()
    }
}

fn recorded(account: &Account) -> serde_json::Value {
    json!(account.status().managed_pipeline_attempts)
}

#[rstest]
#[case::out_of_memory("OOMKill", 0, Some(2), true)]
#[case::run_too_late("PipelineRunTimeout", 1, Some(2), true)]
#[case::task_too_late("TaskRunTimeout", 0, Some(1), true)]
#[case::often_enough("OOMKill", 2, Some(2), false)]
#[case::error("Error", 0, Some(2), false)]
#[case::was_deleted("", 0, Some(2), false)]
#[case::not_enabled("OOMKill", 0, None, false)]
fn is_repeated(
    #[case] reason: &str,
    #[case] attempt: u32,
    #[case] max_retries: Option<i64>,
    #[case] expected: bool,
) {
    let info = RetryInfo { enabled: Some(max_retries.is_some()), max_retries, ..RetryInfo::default() };
    assert_eq!(may_repeat(&info, attempt, &failure(reason)), expected);
}

#[test]
fn the_first_is_recorded_if_it_may_be_repeated() {
    let bindings = RoleBindings { tenant_role_binding: Some("t/b".to_owned()), ..RoleBindings::default() };
    let run = ObjectKey::new("m", "managed-0");
    let mut account = account(&json!([]));
    note_beginning(&mut account, &due(0, None), &run, &bindings, false, now());
    assert_eq!(recorded(&account), json!([]));
    note_beginning(&mut account, &due(0, None), &run, &bindings, true, now());
    let entry = json!({"pipelineRun": "m/managed-0", "roleBindings": {"tenantRoleBinding": "t/b"}, "startTime": NOW, "status": "Progressing"});
    assert_eq!(recorded(&account), json!([entry]));
    // Found again after a crash.
    note_beginning(&mut account, &due(0, None), &run, &bindings, true, now());
    assert_eq!(recorded(&account), json!([entry]));
}

#[test]
fn a_failure_is_recorded_and_then_the_next() {
    let mut account = account(&json!([]));
    let slot = Slot { phase: Phase::Managed, attempt: 0 };
    assert!(!note_end(&mut account, slot, now(), Some(&failure("OOMKill")), true));
    let first = json!({
        "pipelineRun": "m/managed-0", "roleBindings": {"tenantRoleBinding": "t/b"}, "startTime": NOW, "completionTime": NOW,
        "status": "Failed", "failureReason": "OOMKill", "lastTask": "push", "successfulTasks": ["collect"],
    });
    assert_eq!(recorded(&account), json!([first]));
    let run = ObjectKey::new("m", "managed-1");
    note_beginning(&mut account, &due(1, Some(more())), &run, &RoleBindings::default(), false, now());
    let second = json!({"pipelineRun": "m/managed-1", "startTime": NOW, "status": "Progressing", "mitigation": {"memoryLimit": "2Gi"}});
    assert_eq!(recorded(&account), json!([first, second]));
    assert_eq!(super::slot(account.status(), Phase::Managed).attempt, 1);
}

#[rstest]
#[case::with_more(Some(more()), None, true)]
#[case::as_before(None, None, false)]
#[case::failed_again(Some(more()), Some(failure("Error")), false)]
fn tells_whether_more_helped(
    #[case] mitigation: Option<Mitigation>,
    #[case] failure: Option<Failure>,
    #[case] expected: bool,
) {
    let mut account = account(
        &json!([{"status": "Failed", "completionTime": NOW}, {"status": "Progressing", "mitigation": mitigation}]),
    );
    let slot = Slot { phase: Phase::Managed, attempt: 1 };
    assert_eq!(note_end(&mut account, slot, now(), failure.as_ref(), true), expected);
    let status = if failure.is_some() { "Failed" } else { "Succeeded" };
    assert_eq!(recorded(&account)[1]["status"], status);
    // Told once.
    assert!(!note_end(&mut account, slot, now(), failure.as_ref(), true));
}

#[test]
fn what_is_never_repeated_is_not_recorded() {
    let mut account = account(&json!([]));
    let slot = Slot { phase: Phase::Managed, attempt: 0 };
    assert!(!note_end(&mut account, slot, now(), Some(&failure("Error")), false));
    assert_eq!(recorded(&account), json!([]));
}
