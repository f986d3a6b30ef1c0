use super::*;
use rstest::rstest;
use serde_json::json;
use std::sync::Arc;

use crate::watch::telling::Told;
use crate::watch::testing::{self, RunBuilder, at};

fn told(error: Option<&str>) -> Telling {
    Telling::Over(Told { at: at(55), failures: Arc::new([]), error: error.map(str::to_owned) })
}

/// A minute after everything, with a Repository that knows of the runs `known`, and all tasks ended.
fn next(run: &PipelineRun, telling: Telling, known: &[&PipelineRun]) -> Next {
    let mut repository = testing::repository(&json!({}));
    let ended: Vec<history::Ended> =
        known.iter().map(|run| (Arc::new(PipelineRun::clone(run)), Arc::from([]))).collect();
    repository.spec.pipelinerun_status = history::with(&[], &ended).unwrap_or_default();
    let now = at(60);
    decide(&Observed { now, run, repository: Some(&repository), tasks_are_final: true, telling })
}

fn hold(next: &Next) -> Option<Hold> {
    match next {
        Next::Hold(hold, _) => Some(*hold),
        _ => None,
    }
}

fn ended() -> RunBuilder {
    testing::run("a").ended_at(50, "True")
}

#[rstest]
#[case::going(testing::run("a"), Hold::Going)]
#[case::waiting(testing::run("a").paused(), Hold::Going)]
#[case::reported(ended().state("completed").without_finalizer(), Hold::Closed)]
#[case::not_reported(ended().state("failed").without_finalizer(), Hold::Closed)]
#[case::another_word(ended().state("archived"), Hold::NotOurs)]
#[case::restored(ended().label("velero.io/restore-name", "monday"), Hold::Restored)]
fn holds(#[case] run: RunBuilder, #[case] expected: Hold) {
    assert_eq!(hold(&next(&run.build(), Telling::NotBegun, &[])), Some(expected));
}

/// First the forge, then the history, then one write.
#[test]
fn one_step_after_another() {
    let run = ended().build();
    assert_eq!(next(&run, Telling::NotBegun, &[]), Next::Tell);
    assert_eq!(hold(&next(&run, Telling::UnderWay, &[])), Some(Hold::Telling));
    assert_eq!(hold(&next(&run, told(None), &[])), Some(Hold::NotInHistory));
    let Next::Close(Write::Patch(patch), State::Completed) = next(&run, told(None), &[&run]) else {
        panic!("it is over")
    };
    assert_eq!(
        patch.body,
        json!({"metadata": {
            "uid": "u-a", "resourceVersion": "1", "finalizers": [],
            "labels": {"pipelinesascode.tekton.dev/state": "completed"},
            "annotations": {"pipelinesascode.tekton.dev/state": "completed"},
        }})
    );
}

#[test]
fn a_repository_that_cannot_be_written_to_keeps_nobody() {
    let repository = testing::repository(&json!({}));
    let decide_at = |second, run: &PipelineRun| {
        let (now, repository, telling) = (at(second), Some(&repository), told(None));
        decide(&Observed { now, run, repository, tasks_are_final: true, telling })
    };
    let run = ended().build();
    assert_eq!(decide_at(60, &run), Next::Hold(Hold::NotInHistory, Wake::At(at(655))));
    assert!(matches!(decide_at(655, &run), Next::Close(_, State::Completed)));
    let run = ended().deleted().build();
    assert_eq!(decide_at(60, &run), Next::Hold(Hold::NotInHistory, Wake::At(at(85))));
    assert!(matches!(decide_at(85, &run), Next::Close(..)));
}

/// Scenario 15: the forge is away, and everything else goes on.
#[test]
fn a_forge_that_is_away_keeps_nobody() {
    let run = ended().build();
    assert_eq!(hold(&next(&run, told(Some("away")), &[])), Some(Hold::NotInHistory));
    assert!(matches!(next(&run, told(Some("away")), &[&run]), Next::Close(_, State::Failed)));
}

#[rstest]
#[case::while_it_went_on(testing::run("a").deleted())]
#[case::while_it_waited(testing::run("a").paused().deleted())]
fn a_deleted_run_is_told_of_and_let_go(#[case] run: RunBuilder) {
    let run = run.build();
    assert_eq!(next(&run, Telling::NotBegun, &[]), Next::Tell);
    assert!(matches!(next(&run, told(None), &[]), Next::Close(..)), "without an entry in the history");
    assert!(matches!(next(&run, told(Some("away")), &[]), Next::Close(_, State::Failed)));
}

#[rstest]
#[case::of_nobody(testing::run("a").state("archived").deleted())]
#[case::restored(testing::run("a").label("velero.io/restore-name", "monday").deleted())]
#[case::reported(ended().state("completed"))]
#[case::reported_and_deleted(ended().state("completed").deleted())]
fn the_finalizer_never_stays_behind(#[case] run: RunBuilder) {
    let Next::Write(Write::Patch(patch)) = next(&run.build(), Telling::NotBegun, &[]) else {
        panic!("the finalizer stays")
    };
    assert_eq!(patch.body["metadata"]["finalizers"], json!([]));
}

#[rstest]
#[case::going(testing::run("a"))]
#[case::waiting(testing::run("a").paused())]
fn a_run_without_the_finalizer_gets_it(#[case] run: RunBuilder) {
    let Next::Write(Write::Patch(patch)) = next(&run.without_finalizer().build(), Telling::NotBegun, &[])
    else {
        panic!("it could go unseen")
    };
    assert_eq!(patch.body["metadata"]["finalizers"], json!(["pipelinesascode.tekton.dev"]));
}

#[test]
fn a_repository_that_is_gone_remembers_nothing() {
    let run = ended().build();
    let seen = Observed {
        now: at(60),
        run: &run,
        repository: None,
        tasks_are_final: true,
        telling: told(Some("gone")),
    };
    assert!(matches!(decide(&seen), Next::Close(_, State::Failed)));
}

fn at_second(second: i64, run: &PipelineRun, tasks_are_final: bool) -> Next {
    decide(&Observed { now: at(second), run, repository: None, tasks_are_final, telling: Telling::NotBegun })
}

fn of_app(run: RunBuilder) -> RunBuilder {
    run.both("git-provider", "github").both("installation-id", "1")
}

#[test]
fn the_check_run_is_waited_for() {
    let run = of_app(ended()).build();
    assert_eq!(at_second(51, &run, true), Next::Hold(Hold::NoCheckRun, Wake::At(at(110))));
    assert_eq!(at_second(110, &run, true), Next::Tell, "but not for ever");
    let run = of_app(ended()).both("check-run-id", "7").build();
    assert_eq!(at_second(51, &run, true), Next::Tell);
    let run = of_app(ended()).deleted().build();
    assert_eq!(at_second(51, &run, true), Next::Tell, "whoever deletes it does not wait");
}

#[test]
fn the_last_news_of_tasks_are_waited_for() {
    let run = ended().build();
    assert_eq!(at_second(51, &run, false), Next::Hold(Hold::TasksGoing, Wake::At(at(55))));
    assert_eq!(at_second(55, &run, false), Next::Tell);
}

#[test]
fn the_end_is_told_after_the_beginning() {
    let run = testing::run("a").ended_at(0, "False").build();
    assert_eq!(at_second(1, &run, true), Next::Hold(Hold::JustMade, Wake::At(at(3))));
    assert_eq!(at_second(3, &run, true), Next::Tell);
    let run = of_app(testing::run("a").ended_at(0, "False")).both("check-run-id", "7").build();
    assert_eq!(at_second(1, &run, true), Next::Tell, "check runs keep their order by themselves");
}
