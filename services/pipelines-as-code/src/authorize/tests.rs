use std::collections::{BTreeMap, BTreeSet};

use forge::{
    Branch, Change, ChangedFiles, Comment, CommentId, CommitText, Contents, File, FileLimits, PullRequest,
    Report, Reported, Repository,
};
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use jiff::Timestamp;
use parking_lot::Mutex;
use pipelines_as_code_api::repository::Policy;
use rstest::rstest;

use super::approval::{Approved, Named, approved, named};
use super::*;
use crate::event::Incoming;
use crate::event::testing::{COMMIT, comment, commit, pull_request, push};

/// A forge with people and two files, which notes what it is asked.
#[derive(Default)]
struct People {
    contributors: BTreeSet<&'static str>,
    teams: BTreeMap<&'static str, BTreeSet<&'static str>>,
    files: BTreeMap<&'static str, &'static str>,
    comments: Vec<(&'static str, String)>,
    asked: Mutex<Vec<String>>,
}

impl People {
    fn with(contributors: &[&'static str]) -> Self {
        Self { contributors: contributors.iter().copied().collect(), ..Self::default() }
    }

    fn file(mut self, path: &'static str, text: &'static str) -> Self {
        self.files.insert(path, text);
        self
    }

    fn team(mut self, name: &'static str, members: &[&'static str]) -> Self {
        self.teams.insert(name, members.iter().copied().collect());
        self
    }

    fn comment(mut self, author: &'static str, text: &str) -> Self {
        self.comments.push((author, text.to_owned()));
        self
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    fn ask<'a, T: Send + 'a>(
        &self,
        what: String,
        answer: Result<T, Error>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        self.asked.lock().push(what);
        ready(answer).boxed()
    }
}

fn missing<T>(what: &str) -> Result<T, Error> {
    Err(Error::NotFound { what: what.to_owned() })
}

impl Contents for People {
    fn commit<'a>(&'a self, _: &'a Repository, revision: &'a str) -> BoxFuture<'a, Result<Commit, Error>> {
        self.ask(format!("commit {revision}"), Ok(commit(COMMIT)))
    }

    fn file<'a>(
        &'a self,
        _: &'a Repository,
        _: &'a Commit,
        path: &'a str,
        limit: u64,
    ) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
        let answer = match self.files.get(path) {
            Some(&"too large") => Err(Error::TooLarge { what: path.to_owned(), limit }),
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => missing(path),
        };
        self.ask(path.to_owned(), answer)
    }

    fn clone_url(&self, _: &Repository) -> String {
        String::new()
    }
}

impl Forge for People {
    fn is_contributor<'a>(&'a self, _: &'a Repository, user: &'a User) -> BoxFuture<'a, Result<bool, Error>> {
        self.ask(format!("contributor {}", user.login), Ok(self.contributors.contains(user.login.as_str())))
    }

    fn is_in_team<'a>(
        &'a self,
        _: &'a Repository,
        team: &'a str,
        user: &'a User,
    ) -> BoxFuture<'a, Result<Option<bool>, Error>> {
        let is_member = self.teams.get(team).map(|members| members.contains(user.login.as_str()));
        self.ask(format!("team {team}"), Ok(is_member))
    }

    fn comments<'a>(&'a self, _: &'a Repository, _: u64) -> BoxFuture<'a, Result<Vec<Comment>, Error>> {
        let comment = |(author, text): &(&str, String)| Comment {
            id: CommentId(1),
            author: User { login: (*author).to_owned(), id: None },
            text: text.clone(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        self.ask("comments".to_owned(), Ok(self.comments.iter().map(comment).collect()))
    }

    fn describe<'a>(&'a self, _: &'a Repository, _: &'a str) -> BoxFuture<'a, Result<CommitText, Error>> {
        self.ask("describe".to_owned(), missing("commit"))
    }

    fn pull_request<'a>(&'a self, _: &'a Repository, _: u64) -> BoxFuture<'a, Result<PullRequest, Error>> {
        self.ask("pull request".to_owned(), missing("pull request"))
    }

    fn pull_requests_of<'a>(
        &'a self,
        _: &'a Repository,
        _: &'a Commit,
    ) -> BoxFuture<'a, Result<Vec<u64>, Error>> {
        self.ask("pull requests".to_owned(), Ok(Vec::new()))
    }

    fn files<'a>(
        &'a self,
        _: &'a Repository,
        _: &'a Commit,
        _: &'a str,
        _: FileLimits,
        _: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Vec<File>, Error>> {
        self.ask("files".to_owned(), Ok(Vec::new()))
    }

    fn changed_files<'a>(
        &'a self,
        _: &'a Repository,
        _: &'a Change,
    ) -> BoxFuture<'a, Result<ChangedFiles, Error>> {
        self.ask("changed files".to_owned(), Ok(ChangedFiles::default()))
    }

    fn comment<'a>(
        &'a self,
        _: &'a Repository,
        _: u64,
        _: &'a str,
        _: Option<CommentId>,
    ) -> BoxFuture<'a, Result<CommentId, Error>> {
        self.ask("comment".to_owned(), missing("pull request"))
    }

    fn report<'a>(
        &'a self,
        _: &'a Repository,
        _: &'a Commit,
        _: &'a Report,
    ) -> BoxFuture<'a, Result<Reported, Error>> {
        self.ask("report".to_owned(), Ok(Reported::default()))
    }
}

/// The answer of a forge of the tests is there at once.
fn judged(
    forge: &People,
    event: &Event,
    pull_request: Option<&PullRequest>,
    policy: Option<Policy>,
    settings: &Settings,
) -> Verdict {
    let of_repository = repository::Settings { policy, ..repository::Settings::default() };
    let judging = authorize(forge, event, pull_request, Some(&of_repository), settings);
    judging.now_or_never().expect("the answer is there at once").unwrap()
}

/// The reason of a refusal, or nothing.
fn refusal(forge: &People, event: &Event, policy: Option<Policy>) -> Option<&'static str> {
    match judged(forge, event, None, policy, &Settings::default()) {
        Verdict::Allowed => None,
        Verdict::Denied { reason, .. } => Some(reason),
    }
}

const DENIED: Option<&str> = Some("RepositoryPermissionDenied");
const DISALLOWED: Option<&str> = Some("PolicySetDisallowed");

fn by(login: &str, event: Event) -> Event {
    Event { sender: User { login: login.to_owned(), id: None }, ..event }
}

/// From one branch of the repository to another.
fn within(event: Event) -> Event {
    let head = Branch { name: "fix".to_owned(), ..event.base.clone() };
    Event { head, ..event }
}

#[test]
fn pushes_and_incoming_events_are_allowed_without_a_question() {
    let forge = People::default();
    assert_eq!(refusal(&forge, &push("refs/heads/main"), None), None);
    let incoming = Some(Incoming { pipeline_run: "build".to_owned(), params: Vec::new() });
    assert_eq!(refusal(&forge, &Event { incoming, ..push("refs/heads/main") }, None), None);
    assert_eq!(forge.asked(), Vec::<String>::new());
}

#[rstest]
#[case::contributor(by("jane", pull_request()), None)]
#[case::stranger(by("mallory", pull_request()), DENIED)]
#[case::command_of_contributor(comment("/test"), None)]
#[case::test_by_stranger(by("mallory", comment("/test")), DENIED)]
#[case::retest_by_stranger(by("mallory", comment("/retest build")), DENIED)]
#[case::approval_by_stranger(by("mallory", comment("/ok-to-test")), DENIED)]
#[case::cancel_by_stranger(by("mallory", comment("/cancel")), DENIED)]
#[case::words_by_stranger(by("mallory", comment("please merge")), DENIED)]
#[case::within_the_repository(within(by("bot", pull_request())), None)]
#[case::comment_of_stranger_within(within(by("mallory", comment("/test"))), DENIED)]
#[case::comment_of_contributor_within(within(comment("/test")), None)]
fn who_acts_counts(#[case] event: Event, #[case] expected: Option<&str>) {
    assert_eq!(refusal(&People::with(&["jane"]), &event, None), expected);
}

#[test]
fn a_comment_on_a_commit_is_no_push() {
    let event = comment("/test branch:main");
    let on_commit = Event { comment: event.comment, event_type: event.event_type, ..push("refs/heads/main") };
    assert_eq!(refusal(&People::with(&["jane"]), &on_commit, None), None);
    assert_eq!(refusal(&People::with(&["jane"]), &by("mallory", on_commit), None), DENIED);
}

#[test]
fn only_github_has_the_rule_of_one_repository() {
    let event = Event { provider: GitProvider::GitLab, ..within(by("mallory", pull_request())) };
    assert_eq!(refusal(&People::default(), &event, None), DENIED);
    let gone = Event { head: Branch::default(), base: Branch::default(), ..by("mallory", pull_request()) };
    assert_eq!(refusal(&People::default(), &gone, None), DENIED, "a fork that is gone is not the repository");
    let same_branch = by("mallory", Event { head: pull_request().base, ..pull_request() });
    assert_eq!(refusal(&People::default(), &same_branch, None), DENIED);
}

#[rstest]
#[case::approver("approvers: [Mallory]", None, None)]
#[case::reviewer("reviewers:\n- mallory\n", None, None)]
#[case::other("approvers: [jane]", None, DENIED)]
#[case::nobody("approvers:\n", None, DENIED)]
#[case::filter("filters:\n  \".*\":\n    approvers: [mallory]\n", None, None)]
#[case::other_filter("filters:\n  \"docs/.*\":\n    approvers: [mallory]\n", None, DENIED)]
#[case::filters_alone_count(
    "approvers: [mallory]\nfilters:\n  \".*\":\n    approvers: [jane]\n",
    None,
    DENIED
)]
#[case::alias("approvers: [team]", Some("aliases:\n  team: [mallory]\n"), None)]
#[case::alias_of_alias("approvers: [all]", Some("aliases:\n  all: [team]\n  team: [mallory]\n"), DENIED)]
#[case::alias_without_people("approvers: [team]", Some("aliases:\n  team:\n"), DENIED)]
#[case::alias_that_nobody_names("approvers: [jane]", Some("aliases:\n  team: [mallory]\n"), DENIED)]
#[case::broken("approvers: {", None, DENIED)]
#[case::broken_aliases("approvers: [mallory]", Some("aliases: ["), None)]
#[case::too_large("too large", None, DENIED)]
#[case::empty("", None, DENIED)]
fn owners_may(
    #[case] owners: &'static str,
    #[case] aliases: Option<&'static str>,
    #[case] expected: Option<&str>,
) {
    let forge = People::default().file("OWNERS", owners);
    let forge = aliases
        .map_or_else(|| People::default().file("OWNERS", owners), |text| forge.file("OWNERS_ALIASES", text));
    assert_eq!(refusal(&forge, &by("mallory", pull_request()), None), expected);
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let forge = People::default().file("OWNERS", "approvers: {");
    let Verdict::Denied { text, .. } = judged(&forge, &pull_request(), None, None, &Settings::default())
    else {
        panic!("denied");
    };
    assert!(text.contains("OWNERS cannot be read"), "{text}");
}

/// Bitbucket Cloud's people change their names as they like.
#[test]
fn accounts_count_at_bitbucket_cloud() {
    let event = Event { provider: GitProvider::BitbucketCloud, ..pull_request() };
    let owners = |text| People::default().file("OWNERS", text);
    assert_eq!(refusal(&owners("approvers: [mallory]"), &event, None), DENIED);
    assert_eq!(refusal(&owners("approvers: ['66']"), &event, None), None);
    assert_eq!(refusal(&owners("approvers: ['']"), &by("", event), None), DENIED, "nobody is in no list");
}

#[test]
fn the_default_branch_says_who_owns() {
    let forge = People::default().file("OWNERS", "approvers: [mallory]");
    assert_eq!(refusal(&forge, &pull_request(), None), None);
    assert_eq!(forge.asked(), ["contributor mallory", "commit main", "OWNERS", "OWNERS_ALIASES"]);
    let forge = People::default();
    assert_eq!(refusal(&forge, &Event { default_branch: String::new(), ..comment("/test") }, None), DENIED);
    assert_eq!(forge.asked(), ["contributor jane", "commit HEAD", "OWNERS"]);
}

#[expect(clippy::unnecessary_wraps, reason = "a Repository may have none")]
fn policy(ok_to_test: Option<&[&str]>, pull_request: Option<&[&str]>) -> Option<Policy> {
    let teams = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some(Policy { ok_to_test: ok_to_test.map(teams), pull_request: pull_request.map(teams) })
}

#[rstest]
#[case::member(policy(None, Some(&["devs"])), by("dave", pull_request()), None)]
#[case::contributor_is_not_enough(policy(None, Some(&["devs"])), by("jane", pull_request()), DISALLOWED)]
#[case::within_is_not_enough(policy(None, Some(&["devs"])), within(by("jane", pull_request())), DISALLOWED)]
#[case::owner(policy(None, Some(&["devs"])), by("olga", pull_request()), None)]
#[case::any_of_several(policy(None, Some(&["none", "devs"])), by("dave", pull_request()), None)]
#[case::no_such_team(policy(None, Some(&["none"])), by("jane", pull_request()), DISALLOWED)]
#[case::empty_list(policy(None, Some(&[])), by("jane", pull_request()), DISALLOWED)]
#[case::empty_list_and_owner(policy(None, Some(&[])), by("olga", pull_request()), None)]
#[case::words_are_of_pull_requests(policy(None, Some(&["devs"])), by("jane", comment("merge")), DISALLOWED)]
#[case::unset_for_commands(policy(None, Some(&[])), comment("/test"), None)]
#[case::command_of_member(policy(Some(&["devs"]), None), by("dave", comment("/test")), None)]
#[case::command_of_other(policy(Some(&["devs"]), None), comment("/retest build"), DISALLOWED)]
#[case::approval_of_other(policy(Some(&["devs"]), None), comment("/ok-to-test"), DISALLOWED)]
#[case::unset_for_pull_requests(policy(Some(&["devs"]), None), by("jane", pull_request()), None)]
#[case::never_for_cancel(policy(Some(&[]), Some(&[])), comment("/cancel"), None)]
#[case::not_at_gitlab(policy(Some(&[]), Some(&[])), Event { provider: GitProvider::GitLab, ..comment("/test") }, None)]
#[case::at_gitea(policy(Some(&[]), None), Event { provider: GitProvider::Gitea, ..comment("/test") }, DISALLOWED)]
fn policies(#[case] policy: Option<Policy>, #[case] event: Event, #[case] expected: Option<&str>) {
    let forge = People::with(&["jane"]).team("devs", &["dave"]).file("OWNERS", "approvers: [olga]");
    assert_eq!(refusal(&forge, &event, policy), expected);
}

#[test]
fn a_missing_team_is_told() {
    let policy = policy(None, Some(&["none"]));
    let verdict = judged(&People::default(), &pull_request(), None, policy, &Settings::default());
    let Verdict::Denied { text, .. } = verdict else { panic!("denied") };
    assert!(text.contains("no such teams: none") && text.contains("mallory"), "{text}");
}

fn remembering() -> Settings {
    Settings { remember_ok_to_test: true, ..Settings::default() }
}

const OTHER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[rstest]
#[case::plain("jane", "/ok-to-test", false, true)]
#[case::within_a_comment("jane", "Fine.\r\n/ok-to-test\r\nThanks", false, true)]
#[case::this_commit("jane", &format!("/ok-to-test {COMMIT}"), true, true)]
#[case::in_capitals("jane", &format!("/ok-to-test {}", COMMIT.to_uppercase()), true, true)]
#[case::another_commit("jane", &format!("/ok-to-test {OTHER}"), false, false)]
#[case::beginning_of_this_commit("jane", &format!("/ok-to-test {}", &COMMIT[..12]), false, false)]
#[case::words("jane", "/ok-to-test please", false, false)]
#[case::not_at_the_begin("jane", "do not /ok-to-test", false, false)]
#[case::longer_word("jane", "/ok-to-tests", false, false)]
#[case::by_a_stranger("eve", &format!("/ok-to-test\n/ok-to-test {COMMIT}"), false, false)]
#[case::by_oneself("mallory", &format!("/ok-to-test {COMMIT}"), false, false)]
fn approvals_for_later(
    #[case] author: &'static str,
    #[case] text: &str,
    #[case] by_default: bool,
    #[case] when_remembered: bool,
) {
    let forge = People::with(&["jane"]).comment(author, text);
    let allowed =
        |settings: &Settings| judged(&forge, &pull_request(), None, None, settings) == Verdict::Allowed;
    assert_eq!(allowed(&Settings::default()), by_default);
    assert_eq!(allowed(&remembering()), when_remembered);
}

#[test]
fn an_approval_is_of_somebody_who_may_approve() {
    let forge = People::with(&["jane"]).comment("jane", "/ok-to-test").team("devs", &["dave"]);
    let judged = |forge: &People, policy| judged(forge, &pull_request(), None, policy, &remembering());
    assert_eq!(judged(&forge, None), Verdict::Allowed);
    assert_ne!(judged(&forge, policy(Some(&["devs"]), None)), Verdict::Allowed);
    let forge = forge.comment("dave", "/ok-to-test");
    assert_eq!(judged(&forge, policy(Some(&["devs"]), None)), Verdict::Allowed);
    assert_ne!(judged(&forge, policy(Some(&["devs"]), Some(&[]))), Verdict::Allowed, "a policy is final");
}

#[test]
fn an_approval_does_not_let_strangers_command() {
    let forge = People::with(&["jane"]).comment("jane", &format!("/ok-to-test\n/ok-to-test {COMMIT}"));
    let event = by("mallory", comment("/test"));
    assert_ne!(judged(&forge, &event, None, None, &remembering()), Verdict::Allowed);
}

#[test]
fn each_approver_is_asked_about_once() {
    let many = (0..30).fold(People::default(), |forge, _| forge.comment("eve", "/ok-to-test"));
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let many = names.iter().fold(many, |forge, name| forge.comment(name, "/ok-to-test"));
    assert_ne!(judged(&many, &pull_request(), None, None, &remembering()), Verdict::Allowed);
    let asked = many.asked().iter().filter(|what| what.starts_with("contributor")).count();
    assert_eq!(asked, MAX_APPROVERS + 1, "and about who acts: {:?}", many.asked());
}

fn now_at(head: &str) -> PullRequest {
    let event = pull_request();
    PullRequest {
        number: 7,
        title: "Fix the window".to_owned(),
        url: "https://git.test/acme/app/pull/7".to_owned(),
        is_open: true,
        author: event.sender.clone(),
        head: event.head,
        head_commit: commit(head),
        base: event.base,
        pushed_at: None,
        default_branch: "main".to_owned(),
        labels: Vec::new(),
    }
}

#[rstest]
#[case::this_commit(&format!("/ok-to-test {COMMIT}"), COMMIT, true, true)]
#[case::without_name("/ok-to-test", COMMIT, true, false)]
#[case::short("/ok-to-test 8cc5aef", COMMIT, true, false)]
#[case::words("/ok-to-test thank you", COMMIT, true, false)]
#[case::pushed_since(&format!("/ok-to-test {COMMIT}"), OTHER, false, false)]
#[case::pushed_since_short("/ok-to-test 8cc5aef", OTHER, false, false)]
#[case::command("/test", COMMIT, true, true)]
fn an_approval_is_of_the_commit_that_was_seen(
    #[case] text: &str,
    #[case] head: &str,
    #[case] by_default: bool,
    #[case] when_required: bool,
) {
    let (forge, asked) = (People::with(&["jane"]), now_at(head));
    let allowed = |settings: &Settings| {
        judged(&forge, &comment(text), Some(&asked), None, settings) == Verdict::Allowed
    };
    assert_eq!(allowed(&Settings::default()), by_default);
    assert_eq!(allowed(&Settings { require_ok_to_test_sha: true, ..Settings::default() }), when_required);
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Somebody who waits for the approval must not be able to have something else run by it.
#[rstest]
#[case::before("/ok-to-test", Some(at(99)), at(100), true)]
#[case::after("/ok-to-test", Some(at(101)), at(100), false)]
#[case::at_the_same_time("/ok-to-test", Some(at(100)), at(100), false)]
#[case::short_name_after("/ok-to-test 8cc5aef", Some(at(101)), at(100), false)]
#[case::named_after(&format!("/ok-to-test {COMMIT}"), Some(at(101)), at(100), true)]
#[case::command_after("/test", Some(at(101)), at(100), false)]
#[case::cancel_after("/cancel", Some(at(101)), at(100), true)]
#[case::untold("/ok-to-test", None, at(100), true)]
fn what_is_pushed_meanwhile_is_not_approved(
    #[case] text: &str,
    #[case] pushed_at: Option<Timestamp>,
    #[case] written_at: Timestamp,
    #[case] expected: bool,
) {
    let forge = People::with(&["jane"]);
    let mut event = comment(text);
    event.comment.as_mut().unwrap().created_at = Some(written_at);
    let asked = PullRequest { pushed_at, ..now_at(COMMIT) };
    let allowed = |asked: &PullRequest, settings: &Settings| {
        judged(&forge, &event, Some(asked), None, settings) == Verdict::Allowed
    };
    assert_eq!(allowed(&asked, &Settings::default()), expected);
    assert!(allowed(&asked, &remembering()), "later pushes are approved too then");
    let within = PullRequest { head: asked.base.clone(), ..asked };
    assert!(allowed(&within, &Settings::default()), "who pushes there may");
}

#[test]
fn a_refusal_says_what_helps() {
    let verdict = judged(&People::default(), &pull_request(), None, None, &Settings::default());
    let Verdict::Denied { text, .. } = verdict else { panic!("denied") };
    for part in ["mallory", "pull request 7", &format!("/ok-to-test {COMMIT}")] {
        assert!(text.contains(part), "{text}");
    }
}

#[rstest]
#[case(None, Named::None)]
#[case(Some("8cc5ae"), Named::None)]
#[case(Some("8cc5aef"), Named::Short("8cc5aef"))]
#[case(Some(COMMIT), Named::Commit(COMMIT))]
#[case(Some("please"), Named::None)]
fn names_of_commits(#[case] argument: Option<&str>, #[case] expected: Named<'_>) {
    assert_eq!(named(argument), expected);
}

#[test]
fn an_approval_without_a_name_counts_more() {
    let text = format!("/ok-to-test {COMMIT}\n/ok-to-test");
    assert_eq!(approved(&text), Some(Approved::PullRequest));
}
