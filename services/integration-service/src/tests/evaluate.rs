//! What a test run came to (spec, section 4.4).

use std::fmt::Write as _;

use fleet::ObjectKey;
use futures::{StreamExt as _, TryStreamExt as _};
use integration_service_api::status::TestStatus;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun, labels, status::succeeded};

use super::output::{self, Malformed, TestOutput, TestResult};

/// TaskRuns that are read at once: one can be large.
const PAGE: u32 = 50;

/// Runs that are evaluated side by side.
const AT_ONCE: usize = 4;

/// What is written to the record of a Snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: TestStatus,
    pub(super) details: String,
}

/// What the TaskRuns of a run say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    /// All TaskRuns, also those without output.
    count: usize,
    /// With the name of the task.
    given: Vec<(String, Result<TestOutput, Malformed>)>,
}

/// Whether a run has ended, well or badly.
pub(super) fn has_ended(run: &PipelineRun) -> bool {
    condition(run).is_some_and(|condition| condition.status != "Unknown")
}

fn condition(run: &PipelineRun) -> Option<&pipelines_engine_api::RunCondition> {
    succeeded(&run.status.as_ref()?.conditions)
}

/// Outcomes of runs that have ended, in the same order.
pub(super) async fn all(
    client: &Client,
    runs: Vec<&PipelineRun>,
) -> Result<Vec<(String, Outcome)>, kube::Error> {
    let one = |run: PipelineRun| {
        let client = client.clone();
        async move { Ok((run.name_any(), of_run(&client, &run).await?)) }
    };
    futures::stream::iter(runs.into_iter().cloned()).map(one).buffered(AT_ONCE).try_collect().await
}

async fn of_run(client: &Client, run: &PipelineRun) -> Result<Outcome, kube::Error> {
    // What a failed run's tasks say does not matter any more.
    let outputs = if has_succeeded(run) { read(client, run).await? } else { Outputs::default() };
    Ok(evaluate(run, &outputs))
}

/// Reads the TaskRuns of a run, and keeps no more of them than is asked for.
async fn read(client: &Client, run: &PipelineRun) -> Result<Outputs, kube::Error> {
    let key = ObjectKey::of(run);
    let api: Api<TaskRun> = Api::namespaced(client.clone(), &key.namespace);
    let mut page =
        ListParams::default().labels(&format!("{}={}", labels::PIPELINE_RUN, key.name)).limit(PAGE);
    let mut outputs = Outputs::default();
    loop {
        let list = api.list(&page).await?;
        outputs.count += list.items.len();
        outputs.given.extend(
            list.items
                .iter()
                .filter_map(|task_run| Some((output::task_of(task_run), output::read(task_run)?))),
        );
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(outputs),
        }
    }
}

fn has_succeeded(run: &PipelineRun) -> bool {
    condition(run).is_some_and(|condition| condition.status == "True")
}

/// What a run that has ended came to.
pub(super) fn evaluate(run: &PipelineRun, outputs: &Outputs) -> Outcome {
    let failed = |details| Outcome { status: TestStatus::TestFail, details };
    if !has_succeeded(run) {
        let (reason, message) = condition(run)
            .map_or(("", ""), |condition| (condition.reason.as_str(), condition.message.as_str()));
        return failed(format!("PipelineRun {} failed: {reason}: {message}", run.name_any()));
    }
    let expected = expected_task_runs(run);
    if expected != outputs.count {
        return Outcome {
            status: TestStatus::TestInvalid,
            details: format!(
                "PipelineRun {} had {expected} TaskRuns, of which {} are left: what it tested is not known any more. \
                 Run it again.",
                run.name_any(),
                outputs.count
            ),
        };
    }
    let faults: Vec<String> =
        outputs.given.iter().filter_map(|(_, output)| Some(output.as_ref().err()?.to_string())).collect();
    if !faults.is_empty() {
        return failed(faults.join("\n"));
    }
    let valid = || outputs.given.iter().filter_map(|(task, output)| Some((task, output.as_ref().ok()?)));
    let bad: Vec<String> = valid()
        .filter(|(_, output)| !output.result.is_passed())
        .map(|(task, output)| summary(task, output))
        .collect();
    if !bad.is_empty() {
        return failed(bad.join("\n"));
    }
    let warned: Vec<String> = valid()
        .filter(|(_, output)| output.result == TestResult::Warning)
        .map(|(task, output)| summary(task, output))
        .collect();
    if warned.is_empty() {
        return Outcome { status: TestStatus::TestPassed, details: "All tests passed".to_owned() };
    }
    Outcome { status: TestStatus::TestWarning, details: warned.join("\n") }
}

/// How many TaskRuns the run says it had. Custom runs are none.
fn expected_task_runs(run: &PipelineRun) -> usize {
    let children = run.status.as_ref().map(|status| status.child_references.as_slice()).unwrap_or_default();
    children.iter().filter(|child| child.kind == "TaskRun").count()
}

/// `scan: FAILURE, 3 failed, 1 warning: note`.
fn summary(task: &str, output: &TestOutput) -> String {
    let word: &str = output.result.into();
    let mut text = format!("{task}: {word}");
    for (count, what) in [(output.failures, "failed"), (output.warnings, "with a warning")] {
        if count > 0 {
            // Into text it cannot fail.
            let _ = write!(text, ", {count} {what}");
        }
    }
    if !output.note.is_empty() {
        text.push_str(": ");
        text.push_str(&output.note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn run(status: &str, children: &[&str]) -> PipelineRun {
        let children: Vec<_> = children.iter().map(|kind| json!({"kind": kind, "name": "c"})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": "run"}, "spec": {},
            "status": {
                "conditions": [{"type": "Succeeded", "status": status, "reason": "Because", "message": "of this"}],
                "childReferences": children,
            },
        }))
        .unwrap()
    }

    fn said(result: TestResult) -> (String, Result<TestOutput, Malformed>) {
        let output = TestOutput {
            result,
            timestamp: "1700000000".to_owned(),
            successes: 1,
            failures: 2,
            warnings: 0,
            namespace: String::new(),
            note: "look".to_owned(),
        };
        ("scan".to_owned(), Ok(output))
    }

    #[rstest]
    #[case::acceptance_8(
        &[TestResult::Warning, TestResult::Skipped, TestResult::Success], TestStatus::TestWarning
    )]
    #[case::success(&[TestResult::Success, TestResult::Skipped], TestStatus::TestPassed)]
    #[case::no_output(&[], TestStatus::TestPassed)]
    #[case::one_failure(&[TestResult::Success, TestResult::Failure], TestStatus::TestFail)]
    #[case::error(&[TestResult::Error], TestStatus::TestFail)]
    fn judges(#[case] results: &[TestResult], #[case] expected: TestStatus) {
        let given: Vec<_> = results.iter().copied().map(said).collect();
        let outputs = Outputs { count: given.len() + 1, given };
        let children = vec!["TaskRun"; outputs.count];
        assert_eq!(evaluate(&run("True", &children), &outputs).status, expected);
    }

    #[test]
    fn says_which_task_failed() {
        let outputs = Outputs { count: 1, given: vec![said(TestResult::Failure)] };
        assert_eq!(evaluate(&run("True", &["TaskRun"]), &outputs).details, "scan: FAILURE, 2 failed: look");
    }

    #[test]
    fn a_malformed_output_fails_and_is_named() {
        let malformed = Malformed {
            task: "scan".to_owned(),
            result: "TEST_OUTPUT",
            faults: vec!["failures must be a whole number, 0 or more".to_owned()],
        };
        let outputs =
            Outputs { count: 2, given: vec![("scan".to_owned(), Err(malformed)), said(TestResult::Failure)] };
        let outcome = evaluate(&run("True", &["TaskRun", "TaskRun"]), &outputs);
        assert_eq!(outcome.status, TestStatus::TestFail);
        assert_eq!(
            outcome.details,
            "task scan: result TEST_OUTPUT: failures must be a whole number, 0 or more"
        );
    }

    #[test]
    fn a_failed_run_fails_though_its_tasks_are_gone() {
        let outcome = evaluate(&run("False", &["TaskRun"]), &Outputs::default());
        assert_eq!(outcome.status, TestStatus::TestFail);
        assert_eq!(outcome.details, "PipelineRun run failed: Because: of this");
    }

    #[test]
    fn a_pass_whose_task_runs_are_gone_is_invalid() {
        let outcome = evaluate(&run("True", &["TaskRun", "TaskRun"]), &Outputs { count: 1, given: vec![] });
        assert_eq!(outcome.status, TestStatus::TestInvalid);
        assert!(outcome.details.contains("had 2 TaskRuns, of which 1 are left"), "{}", outcome.details);
    }

    #[test]
    fn custom_runs_are_no_task_runs() {
        let outputs = Outputs { count: 1, given: vec![] };
        assert_eq!(
            evaluate(&run("True", &["TaskRun", "CustomRun"]), &outputs).status,
            TestStatus::TestPassed
        );
    }

    #[rstest]
    #[case("True", true)]
    #[case("False", true)]
    #[case("Unknown", false)]
    fn knows_the_end(#[case] status: &str, #[case] expected: bool) {
        assert_eq!(has_ended(&run(status, &[])), expected);
    }
}
