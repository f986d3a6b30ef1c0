//! The decision over a world in memory: a Snapshot, its scenarios and its runs, in which writes have their effect at once.

mod world;

use integration_service_api::status::TestStatus::{self, *};
use rstest::rstest;

use super::Hold;
use world::World;

const GONE: &str = "PipelineRun";

#[test]
fn records_before_it_starts() {
    let mut world = World::with(&["a"]).by_hand();
    world.pass();
    assert_eq!((world.states(), world.runs()), (vec![("a".to_owned(), Pending)], 0), "the intent first");
    world.pass();
    assert_eq!((world.states(), world.runs()), (vec![("a".to_owned(), InProgress)], 1));
    assert_eq!(world.reasons(), ("", ""), "said with the next write");
    world.pass();
    assert_eq!(world.reasons(), ("InProgress", ""));
    assert_eq!(world.pass().writes, vec![], "nothing is left to do");
}

#[test]
fn of_a_build_the_record_is_there_already() {
    let mut world = World::with(&["a"]);
    world.pass();
    assert_eq!((world.state("a"), world.runs()), (InProgress, 1));
}

#[test]
fn without_scenarios_it_passes() {
    let mut world = World::with(&[]).by_hand();
    world.settle();
    assert_eq!((world.states(), world.reasons()), (vec![], ("Finished", "Passed")));
}

#[rstest]
#[case::passed(&[("a", TestPassed)], ("Finished", "Passed"))]
#[case::with_warnings(&[("a", TestWarning)], ("Finished", "Passed"))]
#[case::failed(&[("a", TestFail), ("b", TestPassed)], ("Finished", "Failed"))]
#[case::not_yet(&[("a", TestFail)], ("InProgress", ""))]
fn judges_when_all_required_have_ended(#[case] ended: &[(&str, TestStatus)], #[case] expected: (&str, &str)) {
    let names = if expected.0 == "InProgress" { &["a", "b"][..] } else { &["a", "b"][..ended.len()] };
    let mut world = World::with(names);
    world.settle();
    for (name, status) in ended {
        world.ends(name, *status);
    }
    world.settle();
    assert_eq!(world.reasons(), expected);
}

#[test]
fn only_optional_ones_pass_at_once_and_go_on() {
    let mut world = World::with(&["a"]).optional("a");
    world.settle();
    assert_eq!((world.reasons(), world.state("a")), (("Finished", "Passed"), InProgress));
    world.ends("a", TestFail);
    world.settle();
    assert_eq!((world.reasons(), world.state("a")), (("Finished", "Passed"), TestFail));
}

#[test]
fn the_verdict_of_a_pushed_build_is_left_to_the_turn_of_its_application() {
    let mut world = World::with(&["a"]);
    world.judges = false;
    world.settle();
    world.ends("a", TestPassed);
    world.settle();
    assert_eq!(world.reasons(), ("Finished", ""));
}

#[test]
fn an_invalid_scenario_holds_up_no_other() {
    let mut world = World::with(&["a", "b"]).invalid("a", "its Application is gone");
    world.settle();
    assert_eq!((world.state("a"), world.state("b"), world.runs()), (TestInvalid, InProgress, 1));
    assert_eq!(world.details("a"), "its Application is gone");
}

#[test]
fn one_that_cannot_be_started_now_holds_up_no_other() {
    let mut world = World::with(&["a", "b"]);
    world.delayed.insert("a".to_owned());
    world.settle();
    assert_eq!((world.state("a"), world.state("b")), (Pending, InProgress));
    assert_eq!(world.reasons(), ("InProgress", ""), "though each pass ends with an error");
    world.delayed.clear();
    world.settle();
    assert_eq!(world.state("a"), InProgress);
}

#[test]
fn a_name_too_long_for_a_label_ends_with_a_reason() {
    let mut world = World::with(&["a"]);
    world.snapshot.metadata.name = Some("s".repeat(64));
    world.settle();
    assert_eq!((world.state("a"), world.reasons()), (TestInvalid, ("Finished", "Failed")));
    assert!(world.details("a").contains("63 characters"), "{}", world.details("a"));
}

#[test]
fn adopts_the_newest_run_that_was_made_but_not_recorded() {
    let mut world = World::with(&["a"]);
    world.foreign_run("old", "a", "u");
    world.foreign_run("new", "a", "u");
    world.foreign_run("of-another", "a", "another-uid");
    world.settle();
    assert_eq!((world.run_of("a"), world.runs()), (Some("new".to_owned()), 3));
}

#[rstest]
#[case::push(true, 0)]
#[case::pull_request_is_reported_first(false, 1)]
fn lets_runs_go_once_recorded(#[case] is_push: bool, #[case] held: usize) {
    let mut world = World::with(&["a"]);
    world.is_push = is_push;
    world.settle();
    assert_eq!(world.held(), 1, "it may not go while it runs");
    world.ends("a", TestPassed);
    let decided = world.pass();
    let kinds: Vec<_> = decided.writes.iter().map(fleet::Write::describe).collect();
    assert!(kinds[0].starts_with("patch Snapshot"), "recorded first: {kinds:?}");
    world.settle();
    assert_eq!(world.held(), held);
}

#[test]
fn a_run_that_a_rerun_replaced_is_let_go() {
    let mut world = World::with(&["a"]);
    world.is_push = false;
    world.settle();
    world.ends("a", TestFail);
    world.settle();
    world.ask("a");
    world.settle();
    assert_eq!((world.runs(), world.held()), (2, 1), "the one that runs");
}

#[test]
fn a_run_that_is_about_to_be_adopted_is_not_let_go() {
    let mut world = World::with(&["a"]).invalid("b", "");
    world.foreign_run("run", "a", "u");
    world.end_run("run");
    let decided = world.pass();
    assert_eq!(decided.writes.len(), 1, "{:?}", decided.writes);
    assert_eq!(world.held(), 1);
}

#[rstest]
#[case::while_it_ran(true)]
#[case::while_the_service_was_down(false)]
fn a_deleted_run_is_recorded(#[case] is_there: bool) {
    let mut world = World::with(&["a"]);
    world.settle();
    if is_there {
        world.delete_run("a");
    } else {
        world.forget_run("a");
    }
    world.settle();
    assert_eq!((world.state("a"), world.reasons()), (Deleted, ("Finished", "Failed")));
    assert!(world.details("a").starts_with(GONE));
    assert_eq!(world.held(), 0);
}

#[test]
fn a_run_that_only_the_store_lacks_is_waited_for() {
    let mut world = World::with(&["a"]);
    world.settle();
    world.forget_run("a");
    world.is_proven = false;
    world.settle();
    assert_eq!(world.state("a"), InProgress);
}

#[test]
fn asked_again_it_is_open_until_it_ends() {
    let mut world = World::with(&["a", "b"]);
    world.settle();
    world.ends("a", TestFail);
    world.ends("b", TestPassed);
    world.settle();
    assert_eq!(world.reasons(), ("Finished", "Failed"));

    world.ask("a");
    world.pass();
    assert_eq!((world.state("a"), world.asked()), (Pending, Some("a")), "not before it is fulfilled");
    world.pass();
    assert_eq!(world.reasons(), ("InProgress", "InProgress"));
    assert_eq!((world.runs(), world.asked()), (2, Some("a")), "the conditions before the run");
    world.pass();
    assert_eq!((world.state("a"), world.runs(), world.asked()), (InProgress, 3, None));
    assert_eq!(world.attempt("a"), 1);

    world.ends("a", TestPassed);
    world.settle();
    assert_eq!((world.reasons(), world.runs()), (("Finished", "Passed"), 3));
}

#[rstest]
#[case::unknown("x", 1, Some("RerunRefused"))]
#[case::in_progress("a", 0, None)]
fn a_needless_wish_has_no_effect_but_goes(
    #[case] wish: &str,
    #[case] ended: usize,
    #[case] event: Option<&str>,
) {
    let mut world = World::with(&["a"]);
    world.settle();
    if ended == 1 {
        world.ends("a", TestPassed);
        world.settle();
    }
    let before = (world.states(), world.reasons().0.to_owned());
    world.ask(wish);
    world.settle();
    assert_eq!((world.states(), world.reasons().0.to_owned()), before);
    assert_eq!((world.asked(), world.runs()), (None, 1));
    assert_eq!(world.events.first().copied(), event);
}

#[test]
fn all_that_have_ended_are_run_again() {
    let mut world = World::with(&["a", "b", "c"]).optional("c");
    world.settle();
    world.ends("a", TestPassed);
    world.ends("c", TestFail);
    world.settle();
    world.ask("all");
    world.settle();
    assert_eq!((world.runs(), world.asked()), (5, None));
    assert_eq!((world.attempt("a"), world.attempt("b"), world.attempt("c")), (1, 0, 1));
}

#[test]
fn a_scenario_for_other_occasions_runs_if_it_is_asked_for_by_name() {
    let mut world = World::with(&["a", "group"]).context("group", "group");
    world.settle();
    assert_eq!(world.states().len(), 1);
    world.ask("group");
    world.settle();
    assert_eq!((world.state("group"), world.asked()), (InProgress, None));
}

#[test]
fn a_late_scenario_is_started_while_others_run_but_not_after() {
    let mut world = World::with(&["a"]);
    world.settle();
    world.add_scenario("b");
    world.settle();
    assert_eq!(world.state("b"), InProgress);
    world.ends("a", TestPassed);
    world.ends("b", TestPassed);
    world.settle();
    world.add_scenario("c");
    world.settle();
    assert_eq!((world.states().len(), world.reasons()), (2, ("Finished", "Passed")));
}

#[test]
fn what_was_judged_stays_though_scenarios_go() {
    let mut world = World::with(&["a"]);
    world.settle();
    world.ends("a", TestFail);
    world.settle();
    world.scenarios.clear();
    world.settle();
    assert_eq!((world.reasons(), world.state("a")), (("Finished", "Failed"), TestFail));
}

#[test]
fn a_scenario_that_goes_while_it_runs_is_waited_for_no_longer() {
    let mut world = World::with(&["a", "b"]);
    world.settle();
    world.ends("a", TestPassed);
    world.scenarios.retain(|scenario| scenario.metadata.name.as_deref() == Some("a"));
    world.settle();
    assert_eq!((world.states().len(), world.reasons()), (1, ("Finished", "Passed")));
}

#[test]
fn nothing_of_an_unknown_application_is_run() {
    let mut world = World::with(&["a"]);
    world.application = world::Application::Gone;
    world.settle();
    assert_eq!((world.reasons(), world.runs()), (("Invalid", ""), 0));
    world.ask("a");
    world.settle();
    assert_eq!((world.asked(), world.runs()), (None, 0));
}

#[rstest]
#[case::not_heard_of(world::Application::Unknown, Hold::ApplicationUnknown)]
#[case::being_deleted(world::Application::Going, Hold::ApplicationBeingDeleted)]
fn waits_for_its_application(#[case] application: world::Application, #[case] expected: Hold) {
    let mut world = World::with(&["a"]);
    world.application = application;
    let decided = world.pass();
    assert_eq!((decided.hold, decided.writes), (Some(expected), vec![]));
    assert_eq!(world.runs(), 0);
}

#[test]
fn without_its_component_nothing_is_started() {
    let mut world = World::with(&["a"]);
    world.component_is_gone = true;
    let decided = world.pass();
    assert_eq!((decided.hold, world.runs()), (Some(Hold::ComponentGone), 0));
}

#[test]
fn a_wrong_override_is_invalid_with_all_its_faults() {
    let mut world = World::with(&["a"]);
    world.faults = vec!["one".to_owned(), "two".to_owned()];
    world.settle();
    assert_eq!((world.reasons(), world.runs()), (("Invalid", ""), 0));
    assert_eq!(world.message("AppStudioIntegrationStatus"), "one; two");
}

#[test]
fn what_is_out_stays_out_and_its_runs_are_read() {
    let mut world = World::with(&["a", "b"]);
    world.delayed.insert("b".to_owned());
    world.settle();
    world.supersede();
    world.delayed.clear();
    world.ends("a", TestPassed);
    world.settle();
    assert_eq!((world.reasons(), world.state("a"), world.state("b")), (("Invalid", ""), TestPassed, Pending));
    assert_eq!((world.runs(), world.held()), (1, 0));
}

#[test]
fn a_record_that_nobody_can_read_is_made_anew_from_runs() {
    let mut world = World::with(&["a", "b"]);
    world.settle();
    world.ends("a", TestFail);
    world.settle();
    world.ask("a");
    world.settle();
    let (run, runs) = (world.run_of("a"), world.runs());
    world.edit("[{");
    world.add_scenario("c");
    world.settle();
    assert_eq!((world.run_of("a"), world.attempt("a")), (run, 1));
    assert_eq!((world.state("b"), world.state("c")), (InProgress, InProgress));
    assert_eq!(world.runs(), runs + 1, "of these only the new one is started");
    assert_eq!(world.events, ["RecordUnreadable"]);
}

#[test]
fn one_after_another() {
    let mut world = World::with(&["a", "b"]).after("b", "a");
    world.settle();
    assert_eq!((world.state("a"), world.state("b")), (InProgress, Pending));
    world.ends("a", TestPassed);
    world.settle();
    assert_eq!(world.state("b"), InProgress);
}

#[test]
fn none_after_one_that_failed() {
    let mut world = World::with(&["a", "b"]).after("b", "a");
    world.settle();
    world.ends("a", TestFail);
    world.settle();
    assert_eq!((world.state("b"), world.runs()), (TestInvalid, 1));
}

#[test]
fn twenty_that_end_together_are_recorded_together() {
    let names: Vec<String> = (10..30).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::with(&names);
    world.settle();
    for name in &names {
        world.ends(name, TestPassed);
    }
    world.pass();
    assert!(world.states().iter().all(|(_, state)| *state == TestPassed));
}

/// A crash after any write, or after runs were made, ends where a calm run ends, with nothing made twice.
#[rstest]
fn settles(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)] crash_at: usize) {
    let story = |world: &mut World| {
        world.settle();
        world.ends("a", TestFail);
        world.ends("b", TestPassed);
        world.settle();
        world.ask("a");
        world.settle();
        world.ends("a", TestPassed);
        world.settle();
    };
    let mut calm = World::with(&["a", "b"]).by_hand();
    story(&mut calm);
    let mut crashed = World::with(&["a", "b"]).by_hand();
    crashed.crash_at = Some(crash_at);
    story(&mut crashed);
    assert_eq!(crashed.states(), calm.states());
    assert_eq!((crashed.reasons(), crashed.runs(), crashed.held()), (("Finished", "Passed"), 3, 0));
    assert_eq!(crashed.attempt("a"), 1);
    assert_eq!(crashed.pass().writes, vec![]);
}
