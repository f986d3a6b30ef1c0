use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::event::testing::{comment, pull_request, push};
use crate::event::{Incoming, PullRequest};

const PREFIX: &str = "pipelinesascode.tekton.dev/";

/// Annotations, by the end of their keys.
fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect()
}

fn payload() -> Payload {
    Payload {
        body: json!({
            "action": "opened",
            "commits": [{ "added": ["docs/a.md"], "message": "Fix" }],
            "label": { "name": "bug" },
        }),
        headers: vec![("x-github-event".to_owned(), "push".to_owned())],
    }
}

fn changed(files: &[&str]) -> ChangedFiles {
    ChangedFiles {
        modified: files.iter().map(|file| (*file).to_owned()).collect(),
        ..ChangedFiles::default()
    }
}

fn judged(event: &Event, changed: Option<&ChangedFiles>, name: &str, pairs: &[(&str, &str)]) -> Match {
    let (payload, annotations) = (payload(), annotations(pairs));
    let has_repository = |namespace: &str| matches!(namespace, "ours" | "theirs");
    let facts =
        Facts { event, payload: &payload, changed, namespace: "ours", has_repository: &has_repository };
    matches(&facts, &Candidate { name, annotations: &annotations })
}

/// `None`: an annotation cannot be read.
fn is_match(event: &Event, pairs: &[(&str, &str)]) -> Option<bool> {
    match judged(event, Some(&changed(&["docs/a.md", "src/lib.rs"])), "build", pairs) {
        Match::Yes(_) => Some(true),
        Match::No(_) => Some(false),
        Match::Invalid(_) => None,
        Match::NeedsChangedFiles => panic!("the files are known"),
    }
}

const ON_PUSH: [(&str, &str); 2] = [("on-event", "[push]"), ("on-target-branch", "[main]")];

#[rstest]
#[case::event("[push]", "[main]", true)]
#[case::word("push", "main", true)]
#[case::several("[pull_request, push]", "[stable, main]", true)]
#[case::other_event("[pull_request]", "[main]", false)]
#[case::other_branch("[push]", "[stable]", false)]
#[case::incoming("[incoming]", "[main]", false)]
fn event_and_branch(#[case] event: &str, #[case] branch: &str, #[case] expected: bool) {
    let pairs = [("on-event", event), ("on-target-branch", branch)];
    assert_eq!(is_match(&push("refs/heads/main"), &pairs), Some(expected));
}

#[test]
fn both_are_required() {
    let event = push("refs/heads/main");
    assert_eq!(is_match(&event, &ON_PUSH[..1]), Some(false));
    assert_eq!(is_match(&event, &ON_PUSH[1..]), Some(false));
    assert_eq!(is_match(&event, &[]), Some(false));
    assert_eq!(is_match(&event, &[("max-keep-runs", "3")]), Some(false));
}

#[rstest]
#[case::main("main", "refs/heads/main", true)]
#[case::tag_of_that_name("main", "refs/tags/main", false)]
#[case::branch_within("main", "refs/heads/foo/main", false)]
#[case::bare("main", "main", true)]
#[case::full("refs/heads/main", "main", true)]
#[case::full_and_full("refs/heads/main", "refs/heads/main", true)]
#[case::tag("refs/tags/*", "refs/tags/v1.2", true)]
#[case::tags_by_number("[refs/tags/v1.[0-9]]", "refs/tags/v1.2", true)]
#[case::any_branch("*", "refs/heads/a/b", true)]
#[case::any_branch_is_no_tag("*", "refs/tags/v1", false)]
#[case::star_crosses("release-*", "refs/heads/release-1/fix", true)]
#[case::question_mark("release-?", "refs/heads/release-1", true)]
#[case::range("[release-[0-3]]", "refs/heads/release-4", false)]
#[case::not("[release-[!3]]", "refs/heads/release-3", false)]
#[case::not_other("[release-[!3]]", "refs/heads/release-4", true)]
#[case::either("{main,stable}", "refs/heads/stable", true)]
#[case::two_stars("feature/**", "refs/heads/feature/a/b", true)]
#[case::all_refs("refs/heads/*", "refs/heads/a/b", true)]
fn branches(#[case] glob: &str, #[case] reference: &str, #[case] expected: bool) {
    let pairs = [("on-event", "push"), ("on-target-branch", glob)];
    assert_eq!(is_match(&push(reference), &pairs), Some(expected));
}

/// What cannot be read concerns the run that has it, and nothing panics.
#[rstest]
#[case::glob(&[("on-event", "push"), ("on-target-branch", "[[a-, main]")])]
#[case::open_braces(&[("on-event", "push"), ("on-target-branch", "{a,b")])]
#[case::long(&[("on-event", "push"), ("on-target-branch", &"x".repeat(2000))])]
#[case::deep(&[("on-event", "push"), ("on-target-branch", &format!("{}a{}", "{".repeat(400), "}".repeat(400)))])]
#[case::list(&[("on-event", "[push"), ("on-target-branch", "main")])]
#[case::empty_list(&[("on-event", "[]"), ("on-target-branch", "main")])]
#[case::words(&[("on-event", "push"), ("on-target-branch", "main stable")])]
#[case::cel(&[("on-cel-expression", "event == ")])]
#[case::cel_reference(&[("on-cel-expression", "evnt == 'push'")])]
#[case::cel_no_boolean(&[("on-cel-expression", "event")])]
#[case::cel_glob(&[("on-cel-expression", "'[a-'.pathChanged()")])]
#[case::cel_bomb(&[("on-cel-expression", "[1,2,3,4,5,6,7,8,9].all(a, [1].all(b, [1].all(c, [1].all(d, [1].all(e, [1].all(f, [1].all(g, true)))))))")])]
#[case::path(&[("on-event", "push"), ("on-target-branch", "main"), ("on-path-change", "[[a-, b]")])]
fn what_cannot_be_read_is_told(#[case] pairs: &[(&str, &str)]) {
    let Match::Invalid(reason) = judged(&push("refs/heads/main"), Some(&changed(&["a"])), "build", pairs)
    else {
        panic!("{:?}", judged(&push("refs/heads/main"), Some(&changed(&["a"])), "build", pairs));
    };
    assert!(reason.contains("on-"), "it names the annotation: {reason}");
}

#[test]
fn a_pattern_of_comments_that_cannot_be_read_is_told() {
    for pattern in ["(", "(((a{100}){100}){100})", "^/merge\\"] {
        assert_eq!(is_match(&comment("/merge"), &[("on-comment", pattern)]), None, "{pattern}");
    }
    assert_eq!(
        is_match(&push("refs/heads/main"), &[("on-comment", "(")]),
        Some(false),
        "there is no comment"
    );
}

#[rstest]
#[case::fits("^/merge", "/merge now", Match::Yes(Why::Comment))]
#[case::anywhere("merge", "please merge", Match::Yes(Why::Comment))]
#[case::windows("^first\nsecond$", "first\r\nsecond\r\n", Match::Yes(Why::Comment))]
#[case::command_too("^/test", "/test", Match::Yes(Why::Comment))]
fn on_comment(#[case] pattern: &str, #[case] text: &str, #[case] expected: Match) {
    assert_eq!(judged(&comment(text), None, "build", &[("on-comment", pattern)]), expected);
}

#[test]
fn a_comment_that_is_no_command_starts_what_waits_for_it_only() {
    let pairs = [("on-event", "pull_request"), ("on-target-branch", "main")];
    assert_eq!(is_match(&comment("looks good"), &pairs), Some(false));
    assert_eq!(is_match(&comment("looks good"), &[("on-cel-expression", "true")]), Some(false));
    assert_eq!(is_match(&comment("/test"), &pairs), Some(true), "all that match the pull request");
    assert_eq!(is_match(&comment("/retest"), &pairs), Some(true));
    assert_eq!(is_match(&comment("/ok-to-test"), &pairs), Some(true));
    assert_eq!(is_match(&comment("/cancel"), &pairs), Some(false));
    assert_eq!(is_match(&comment("/cancel build"), &pairs), Some(false));
}

#[rstest]
#[case::named("/test build", "build", true)]
#[case::generated("/test build", "build-", true)]
#[case::as_written("/retest build-", "build-", true)]
#[case::other("/test build", "unit", false)]
#[case::longer("/test build", "build-all", false)]
fn a_run_that_is_named_starts_whatever_its_annotations(
    #[case] text: &str,
    #[case] name: &str,
    #[case] expected: bool,
) {
    for pairs in [&[][..], &[("on-cel-expression", "false")], &[("on-event", "[")]] {
        let judged = judged(&comment(text), None, name, pairs);
        assert_eq!(judged == Match::Yes(Why::Named), expected, "{judged:?}");
    }
}

#[test]
fn an_incoming_event_starts_the_run_that_it_names() {
    let incoming = Incoming { pipeline_run: "build".to_owned(), params: Vec::new() };
    let event =
        Event { event_type: EventType::Incoming, incoming: Some(incoming), ..push("refs/heads/main") };
    assert_eq!(judged(&event, None, "build-", &[]), Match::Yes(Why::Named));
    assert!(matches!(judged(&event, None, "unit", &ON_PUSH), Match::No(_)));
}

#[rstest]
#[case::ours("ours", true)]
#[case::somebody_elses("theirs", false)]
#[case::unknown("nobodys", false)]
fn only_our_namespace(#[case] namespace: &str, #[case] expected: bool) {
    let pairs = [&ON_PUSH[..], &[("target-namespace", namespace)]].concat();
    assert_eq!(is_match(&push("refs/heads/main"), &pairs), Some(expected));
    let pairs = [("on-comment", "merge"), ("target-namespace", namespace)];
    assert_eq!(is_match(&comment("merge"), &pairs), Some(expected), "before on-comment");
}

#[rstest]
#[case::event("event == 'push' && target_branch == 'main'", true)]
#[case::full("target_branch == 'refs/heads/main'", true)]
#[case::either_form("target_branch == 'refs/heads/dev' || target_branch == 'main'", true)]
#[case::source("source_branch.startsWith('ma')", true)]
#[case::title("event_title == 'Fix the door'", true)]
#[case::urls("target_url == source_url && target_url == 'https://git.test/acme/app'", true)]
#[case::body("body.commits.exists(c, 'docs/a.md' in c.added)", true)]
#[case::headers("headers['x-github-event'] == 'push'", true)]
#[case::files("files.all.exists(f, f.matches('^docs/'))", true)]
#[case::modified("'src/lib.rs' in files.modified && files.added.size() == 0", true)]
#[case::path("'docs/*.md'.pathChanged()", true)]
#[case::path_crosses("'*.rs'.pathChanged()", true)]
#[case::other_path("'tests/**'.pathChanged()", false)]
#[case::other_event("event == 'pull_request'", false)]
fn cel_on_push(#[case] expression: &str, #[case] expected: bool) {
    let pairs = [("on-cel-expression", expression)];
    assert_eq!(is_match(&push("refs/heads/main"), &pairs), Some(expected));
}

#[test]
fn cel_on_other_events() {
    let of = |event: &Event, expression| is_match(event, &[("on-cel-expression", expression)]);
    let fork = "source_url == 'https://git.test/mallory/app' && source_branch == 'fix'";
    assert_eq!(of(&pull_request(), fork), Some(true));
    assert_eq!(of(&pull_request(), "event_title == 'Fix the window' && target_branch == 'main'"), Some(true));
    assert_eq!(of(&push("refs/tags/v1"), "target_branch == 'refs/tags/v1'"), Some(true));
    assert_eq!(of(&push("refs/tags/main"), "target_branch == 'main'"), Some(false));
    assert_eq!(of(&comment("/test"), "event == 'pull_request'"), Some(true));
}

#[test]
fn cel_decides_alone() {
    let contradicted =
        [("on-cel-expression", "true"), ("on-event", "[pull_request]"), ("on-target-branch", "[")];
    assert_eq!(is_match(&push("refs/heads/main"), &contradicted), Some(true));
    let supported = [&ON_PUSH[..], &[("on-cel-expression", "false")]].concat();
    assert_eq!(is_match(&push("refs/heads/main"), &supported), Some(false));
}

/// The forge is asked for the files only where the answer depends on them.
#[rstest]
#[case::cel_without(&[("on-cel-expression", "event == 'push'")], false)]
#[case::cel_decided(&[("on-cel-expression", "event == 'pull_request' && 'docs/*'.pathChanged()")], false)]
#[case::cel_decided_late(&[("on-cel-expression", "files.all.size() > 1 && event == 'pull_request'")], false)]
#[case::cel(&[("on-cel-expression", "event == 'push' && 'docs/*'.pathChanged()")], true)]
#[case::cel_files(&[("on-cel-expression", "files.all.size() > 1")], true)]
#[case::cel_broken(&[("on-cel-expression", "evnt == 'push'")], false)]
#[case::path(&[("on-event", "push"), ("on-target-branch", "main"), ("on-path-change", "docs/*")], true)]
#[case::path_of_other_event(&[("on-event", "pull_request"), ("on-target-branch", "main"), ("on-path-change", "docs/*")], false)]
#[case::path_of_other_branch(&[("on-event", "push"), ("on-target-branch", "dev"), ("on-path-change", "docs/*")], false)]
#[case::no_path(&ON_PUSH, false)]
fn files_are_asked_for_late(#[case] pairs: &[(&str, &str)], #[case] expected: bool) {
    let judged = judged(&push("refs/heads/main"), None, "build", pairs);
    assert_eq!(judged == Match::NeedsChangedFiles, expected, "{judged:?}");
}

#[rstest]
#[case::changed(Some("[docs/**]"), None, &["docs/a.md"], true)]
#[case::not_changed(Some("[docs/**]"), None, &["src/a.rs"], false)]
#[case::one_of_several(Some("[docs/**, src/**]"), None, &["src/a.rs"], true)]
#[case::ignored(None, Some("[docs/**]"), &["docs/a.md"], false)]
#[case::not_only_ignored(None, Some("[docs/**]"), &["docs/a.md", "src/a.rs"], true)]
#[case::both(Some("[docs/**]"), Some("[docs/generated/**]"), &["docs/generated/a.md"], false)]
#[case::both_and_other(Some("[docs/**]"), Some("[docs/generated/**]"), &["docs/generated/a.md", "docs/b.md"], true)]
#[case::nothing_changed(None, Some("[docs/**]"), &[], false)]
fn paths(
    #[case] wanted: Option<&str>,
    #[case] ignored: Option<&str>,
    #[case] files: &[&str],
    #[case] expected: bool,
) {
    let mut pairs = ON_PUSH.to_vec();
    pairs.extend(wanted.map(|globs| ("on-path-change", globs)));
    pairs.extend(ignored.map(|globs| ("on-path-change-ignore", globs)));
    let judged = judged(&push("refs/heads/main"), Some(&changed(files)), "build", &pairs);
    assert_eq!(judged == Match::Yes(Why::Event), expected, "{judged:?}");
}

fn with(change: PullRequestChange, labels: &[&str]) -> Event {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Event {
        pull_request: Some(PullRequest { number: 7, change, labels, ..PullRequest::default() }),
        ..pull_request()
    }
}

#[rstest]
#[case::has_label(PullRequestChange::Commits, &["bug"], "[bug, urgent]", true)]
#[case::has_none(PullRequestChange::Commits, &[], "bug", false)]
#[case::has_other(PullRequestChange::Commits, &["docs"], "bug", false)]
#[case::gets_label(PullRequestChange::Labels, &["bug"], "bug", true)]
#[case::gets_other_label(PullRequestChange::Labels, &["bug", "docs"], "docs", false)]
fn labels(
    #[case] change: PullRequestChange,
    #[case] has: &[&str],
    #[case] wanted: &str,
    #[case] expected: bool,
) {
    let pairs = [("on-event", "pull_request"), ("on-target-branch", "main"), ("on-label", wanted)];
    assert_eq!(is_match(&with(change, has), &pairs), Some(expected));
}

#[rstest]
#[case::label("pull_request_labeled", PullRequestChange::Labels)]
#[case::closed("pull_request_closed", PullRequestChange::Closed)]
fn changes_that_are_no_commits_start_what_waits_for_them(
    #[case] name: &str,
    #[case] change: PullRequestChange,
) {
    let event = with(change, &["bug"]);
    let on = |name| [("on-event", name), ("on-target-branch", "main")];
    assert_eq!(is_match(&event, &on("pull_request")), Some(false));
    assert_eq!(is_match(&event, &on(name)), Some(true));
    assert_eq!(is_match(&event, &[("on-cel-expression", "event == 'pull_request'")]), Some(false));
    let expression = format!("event == '{name}'");
    assert_eq!(is_match(&event, &[("on-cel-expression", &expression)]), Some(true));
}

#[rstest]
#[case("Fix [skip ci]", false)]
#[case("Fix\n\n[SKIP TKN]", false)]
#[case("[ci skip]", false)]
#[case("Fix [tkn skip] it", false)]
#[case("Fix skip ci", true)]
fn commits_that_want_no_runs(#[case] message: &str, #[case] expected: bool) {
    let event = Event { commit_message: Some(message.to_owned()), ..push("refs/heads/main") };
    assert_eq!(is_match(&event, &ON_PUSH), Some(expected));
    let asked = Event { commit_message: Some(message.to_owned()), ..comment("/test") };
    assert_eq!(is_match(&asked, &[("on-cel-expression", "true")]), Some(true), "somebody wants runs");
}

#[rstest]
#[case::absent(None, false)]
#[case::yes(Some("true"), true)]
#[case::no(Some("false"), false)]
#[case::word(Some("maybe"), false)]
fn ends_what_goes_on(#[case] value: Option<&str>, #[case] expected: bool) {
    let pairs: Vec<_> = value.map(|value| ("cancel-in-progress", value)).into_iter().collect();
    let annotations = annotations(&pairs);
    let candidate = Candidate { name: "build", annotations: &annotations };
    let off = Settings::default();
    assert_eq!(cancels_in_progress(&candidate, &pull_request(), &off), expected);
    let on = Settings { cancel_in_progress_on_pull_requests: true, ..Settings::default() };
    assert_eq!(cancels_in_progress(&candidate, &pull_request(), &on), value != Some("false"));
    assert_eq!(cancels_in_progress(&candidate, &push("refs/heads/main"), &on), expected);
}

fn any_annotation() -> impl Strategy<Value = (&'static str, String)> {
    let keys = [
        "on-event",
        "on-target-branch",
        "on-comment",
        "on-cel-expression",
        "on-path-change",
        "on-path-change-ignore",
        "on-label",
        "target-namespace",
    ];
    let value = prop_oneof![
        "\\PC{0,40}",
        "[\\[\\]{}!*?,a-c/ -]{0,24}",
        prop::sample::select(vec![
            "[push]",
            "main",
            "[*]",
            "^/",
            "event == 'push'",
            "'a*'.pathChanged()",
            "ours"
        ])
        .prop_map(str::to_owned),
    ];
    (prop::sample::select(keys.to_vec()), value)
}

proptest! {
    /// Runs are judged alone: each gets the same answer in any order, beside any others, however broken those are.
    #[test]
    fn the_order_does_not_matter(
        runs in prop::collection::vec(prop::collection::vec(any_annotation(), 0..4), 1..5),
        text in prop::option::of("(/test|/test a|/merge|\\PC{0,20})"),
        knows_files in any::<bool>(),
    ) {
        let event = text.map_or_else(|| push("refs/heads/main"), |text| comment(&text));
        let files = changed(&["a/b", "c"]);
        let known = knows_files.then_some(&files);
        let judge = |run: &Vec<(&'static str, String)>| {
            let pairs: Vec<_> = run.iter().map(|(key, value)| (*key, value.as_str())).collect();
            judged(&event, known, "a", &pairs)
        };
        let forth: Vec<Match> = runs.iter().map(judge).collect();
        let mut back: Vec<Match> = runs.iter().rev().map(judge).collect();
        back.reverse();
        prop_assert_eq!(forth, back);
    }
}
