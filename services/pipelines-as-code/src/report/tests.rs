use super::*;
use rstest::rstest;

const URL: &str = "https://console.test/team/app-1";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn task(name: &str, display_name: &str, state: tasks::State) -> Task {
    Task {
        name: name.to_owned(),
        display_name: display_name.to_owned(),
        state,
        started_at: Some(at(0)),
        completed_at: Some(at(72)),
        url: Some(format!("{URL}/{name}")),
    }
}

fn end<'a>(verdict: Verdict, tasks: &'a [Task], failures: &'a [Failure]) -> End<'a> {
    End {
        verdict,
        message: "Tasks Completed: 2 (Failed: 1)",
        tasks,
        failures,
        annotations: Vec::new(),
        started_at: Some(at(0)),
        completed_at: Some(at(80)),
    }
}

/// What becomes of a subject `Konflux / app` with a run and a console.
fn of(report: impl Fn(&Subject<'_>) -> Report) -> Report {
    let run = ObjectKey::new("team", "app-1");
    let subject = Subject {
        application: "Konflux",
        original: Some("app"),
        run: Some(&run),
        details_url: Some(URL),
        check_run: Some(3),
        ..Subject::default()
    };
    report(&subject)
}

#[rstest]
#[case::success(Verdict::Success, "Success", "Konflux / app has successfully validated your commit.")]
#[case::failure(Verdict::Failure, "Failed", "Konflux / app has failed.")]
#[case::neutral(Verdict::Neutral, "Unknown", "Konflux / app has ended without a result.")]
#[case::cancelled(Verdict::Cancelled, "Cancelled", "Konflux / app was cancelled.")]
fn says_how_a_run_has_ended(#[case] verdict: Verdict, #[case] title: &str, #[case] summary: &str) {
    let report = of(|subject| finished(subject, end(verdict, &[], &[])));
    assert_eq!((&*report.title, &*report.summary, report.verdict), (title, summary, verdict));
    assert_eq!((report.external_id.as_str(), report.check_run), ("app-1", Some(3)));
    assert_eq!(report.details_url.as_deref(), Some(URL));
    assert_eq!((report.started_at, report.completed_at), (Some(at(0)), Some(at(80))));
}

#[rstest]
#[case::started(of(|subject| started(subject, None)), Verdict::InProgress, "CI has Started")]
#[case::queued(of(queued), Verdict::Queued, "Pending")]
#[case::pending(of(|subject| pending_approval(subject, "eve", "pull request")), Verdict::Queued, "Pending approval")]
#[case::rejected(of(|subject| rejected(subject, [])), Verdict::Failure, "Failed")]
#[case::not_started(of(|subject| not_started(subject, "no")), Verdict::Failure, "Failed")]
fn says_what_comes_before(#[case] report: Report, #[case] verdict: Verdict, #[case] title: &str) {
    assert_eq!((report.verdict, report.title.as_str()), (verdict, title));
    assert_eq!(report.context, "Konflux / app");
}

#[test]
fn an_event_as_a_whole_has_the_applications_name() {
    let subject = Subject { application: "Konflux", ..Subject::default() };
    let report = pending_approval(&subject, "eve", "pull request");
    assert_eq!((report.context.as_str(), report.external_id.as_str()), ("Konflux", ""));
    assert_eq!(report.summary, "Konflux is waiting for approval.");
    assert!(report.text.contains("**eve**") && report.text.contains("pull request"), "{}", report.text);
}

#[test]
fn the_text_lists_tasks_and_tells_of_the_first_failure() {
    let tasks = [
        task("clone", "", tasks::State::Succeeded),
        task("build", "Build it", tasks::State::Failed("StepFailed".to_owned())),
        task("scan", "", tasks::State::Failed("TaskRunTimeout".to_owned())),
    ];
    let failure = |task: &str, display_name: &str, log: Option<&str>| Failure {
        task: task.to_owned(),
        display_name: display_name.to_owned(),
        reason: "StepFailed".to_owned(),
        message: "exit code 2".to_owned(),
        log: log.map(str::to_owned),
        completed_at: None,
    };
    let failures = [failure("build", "Build it", Some("make: *** [all] Error 2")), failure("scan", "", None)];
    let report = of(|subject| finished(subject, end(Verdict::Failure, &tasks, &failures)));
    insta::assert_snapshot!(report.text, @r"
    PipelineRun [app-1](https://console.test/team/app-1) of namespace `team`. In a terminal: `tkn pipelinerun logs app-1 -n team -f`

    | Status | Duration | Name |
    | --- | --- | --- |
    | ✅ Succeeded | 1m 12s | [clone](https://console.test/team/app-1/clone) |
    | ❌ StepFailed | 1m 12s | [Build it](https://console.test/team/app-1/build) |
    | ❌ TaskRunTimeout | 1m 12s | [scan](https://console.test/team/app-1/scan) |

    Task **Build it** failed: StepFailed

    ```text
    make: *** [all] Error 2
    ```
    ");
}

#[test]
fn a_run_that_failed_without_a_task_says_why() {
    let report = of(|subject| finished(subject, end(Verdict::Failure, &[], &[])));
    assert!(report.text.contains("Tasks Completed: 2 (Failed: 1)"), "{}", report.text);
    let report = of(|subject| finished(subject, end(Verdict::Success, &[], &[])));
    assert!(!report.text.contains("Tasks Completed"), "{}", report.text);
}

#[test]
fn problems_are_named_by_file_and_line() {
    let problems = [(".tekton/push.yaml", Some(7), "expected a map"), (".tekton/pr.yaml", None, "no name")];
    let report = of(|subject| rejected(subject, problems));
    assert!(report.text.contains("`.tekton/push.yaml:7`: expected a map"), "{}", report.text);
    let lines: Vec<_> = report.annotations.iter().map(|place| (place.path.as_str(), place.line)).collect();
    assert_eq!(lines, [(".tekton/push.yaml", 7), (".tekton/pr.yaml", 1)]);
}

#[test]
fn what_others_say_carries_no_credentials() {
    let report = of(|subject| failed_to_validate(subject, "GET https://bot:hunter2@git.test/x failed"));
    assert!(report.text.starts_with("There was an issue validating the commit: "), "{}", report.text);
    assert!(!report.text.contains("hunter2"), "{}", report.text);
}
