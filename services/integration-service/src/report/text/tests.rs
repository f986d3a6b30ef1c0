use clap::Parser as _;
use forge::Verdict;
use rstest::rstest;

use super::super::message::Destination;
use super::super::options::Options;
use super::super::reported::Keys;
use super::*;

#[derive(clap::Parser)]
struct Parsed {
    #[command(flatten)]
    options: Options,
}

fn links() -> Links {
    Links::new(&Parsed::parse_from(["test", "--console-url=https://c/{{ pr }}"]).options)
}

const APP: Way = Way::App { installation: 1 };
const TOKEN: Way = Way::Token { pull_request: Some(1), source_project: Some(4) };

fn message(status: TestStatus) -> Message {
    Message {
        keys: Keys::of_snapshot("lint", "s"),
        updated: "2024-01-01T00:00:00Z".to_owned(),
        scenario: "lint".to_owned(),
        status,
        details: "Because <b>so</b>".to_owned(),
        is_optional: false,
        run: Some("r-1".to_owned()),
        started_at: Some(jiff::Timestamp::UNIX_EPOCH),
        completed_at: Some(jiff::Timestamp::UNIX_EPOCH),
    }
}

fn round(component: Option<&str>) -> Round {
    Round {
        destination: Ok(Destination {
            provider: forge::Provider::GitHub,
            repo_url: "https://git.test/acme/app".to_owned(),
            commit: "8cc5aef17d528ca5ab893dd430004fec8bf9beaa".parse().unwrap(),
            way: APP,
        }),
        subject: Subject::Snapshot("s".to_owned()),
        component: component.map(str::to_owned),
        messages: Vec::new(),
        overview: None,
    }
}

fn reported(component: Option<&str>, way: Way, message: &Message) -> Report {
    report("Konflux", &round(component), way, message, "text".to_owned(), None)
}

#[test]
fn a_check_run_has_a_word_and_a_status_a_sentence() {
    let app = reported(Some("web"), APP, &message(TestStatus::TestPassed));
    assert_eq!((app.context.as_str(), app.external_id.as_str()), ("Konflux / lint / web", "lint-web"));
    assert_eq!(
        (app.title.as_str(), app.summary.as_str()),
        ("Succeeded", "Scenario lint has passed: Snapshot s")
    );
    let token = reported(None, TOKEN, &message(TestStatus::TestPassed));
    assert_eq!(
        (token.context.as_str(), token.title.as_str()),
        ("Konflux / lint", "Scenario lint has passed: Snapshot s")
    );
    assert_eq!((app.source_project, token.source_project), (None, Some(4)));
}

#[rstest]
#[case(TestStatus::Pending, "pending")]
#[case(TestStatus::InProgress, "in progress")]
#[case(TestStatus::TestPassed, "passed")]
#[case(TestStatus::TestFail, "failed")]
#[case(TestStatus::TestInvalid, "invalid")]
#[case(TestStatus::Deleted, "deleted")]
#[case(TestStatus::EnvironmentProvisionError, "environment")]
#[case(TestStatus::DeploymentError, "deployment")]
fn the_summary_names_the_state(#[case] status: TestStatus, #[case] word: &str) {
    let text = summary(&Subject::Snapshot("snap".to_owned()), &message(status));
    assert!(text.contains(word) && text.contains("snap") && text.contains("lint"), "{text}");
}

#[rstest]
#[case::waits(TestStatus::Pending, false, false)]
#[case::runs(TestStatus::InProgress, true, false)]
#[case::ended(TestStatus::TestFail, true, true)]
fn times_are_told_when_they_are_past(
    #[case] status: TestStatus,
    #[case] started: bool,
    #[case] completed: bool,
) {
    let report = reported(None, APP, &message(status));
    assert_eq!((report.started_at.is_some(), report.completed_at.is_some()), (started, completed));
}

#[test]
fn what_is_optional_is_said_where_it_matters() {
    let optional = |status| Message { is_optional: true, ..message(status) };
    let failed = reported(None, APP, &optional(TestStatus::TestFail));
    assert!(failed.summary.contains("optional") && failed.verdict == Verdict::Neutral, "{failed:?}");
    assert!(!reported(None, APP, &optional(TestStatus::TestPassed)).summary.contains("optional"));
}

#[test]
fn a_run_that_is_gone_leaves_its_details() {
    let text = body("n", &message(TestStatus::TestFail), &[], &links());
    assert!(text.starts_with("PipelineRun [r-1](https://c/r-1)\n\nBecause &lt;b&gt;so"), "{text}");
    assert!(text.ends_with("there is no more to show of it."), "{text}");
    let invalid = body("n", &message(TestStatus::TestInvalid), &[], &links());
    assert!(invalid.ends_with("Because &lt;b&gt;so&lt;/b&gt;"), "{invalid}");
    assert_eq!(
        body(
            "n",
            &Message { run: None, details: String::new(), ..message(TestStatus::Pending) },
            &[],
            &links()
        ),
        ""
    );
}

#[test]
fn a_comment_is_known_by_snapshot_scenario_and_component() {
    let of = |component, subject: &str, status| {
        let message = message(status);
        let round = Round { subject: Subject::Snapshot(subject.to_owned()), ..round(component) };
        comment(&reported(component, TOKEN, &message), &round, &message)
    };
    assert!(of(None, "s", TestStatus::InProgress).is_none());
    let passed = of(None, "s", TestStatus::TestPassed).unwrap();
    assert!(passed.text.starts_with(&passed.mark) && passed.text.contains("### Konflux / lint: Succeeded"));
    assert_eq!(passed.mark, of(None, "s", TestStatus::TestFail).unwrap().mark);
    assert_ne!(passed.mark, of(Some("web"), "s", TestStatus::TestPassed).unwrap().mark);
    assert_ne!(passed.mark, of(None, "t", TestStatus::TestPassed).unwrap().mark);
}

#[rstest]
#[case::all_passed(&[TestStatus::TestPassed, TestStatus::TestWarning], TestStatus::TestPassed)]
#[case::one_failed(&[TestStatus::Pending, TestStatus::TestInvalid], TestStatus::TestFail)]
#[case::some_run(&[TestStatus::Pending, TestStatus::TestPassed], TestStatus::InProgress)]
#[case::none_began(&[TestStatus::Pending, TestStatus::Pending], TestStatus::Pending)]
fn many_come_to_one(#[case] statuses: &[TestStatus], #[case] expected: TestStatus) {
    let scenarios: Vec<_> =
        statuses.iter().enumerate().map(|(at, status)| (format!("s{at}"), *status)).collect();
    let (status, table) = overview(&scenarios);
    assert_eq!(status, expected);
    assert!(table.contains("| s0 |") && table.contains("| s1 |"), "{table}");
}
