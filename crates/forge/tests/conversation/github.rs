//! GitHub, by a token and as an App.

use forge::{Annotation, Change, Commit, Error, Forge, Provider, Report, Verdict, converse};
use http::StatusCode;
use rstest::rstest;
use testkit::forge::{App, AppKey, CheckRun, CommentOn, Fault, GitHub};

use crate::checks::{self, LIMITS};
use crate::scene::{Scene, fill, with_link};
use crate::world::{World, fails, report, secret, url, user, world};

const APP: &str = "acme/app";
const CONTEXT: &str = "Konflux / push";

struct Fixture {
    world: World,
    github: GitHub,
    scene: Scene,
}

fn fixture() -> Fixture {
    let world = world("localhost");
    let github = GitHub::start(&world.authority).unwrap();
    let scene = github.edit(|model| fill(model, APP));
    Fixture { world, github, scene }
}

impl Fixture {
    fn by_token(&self) -> Box<dyn Forge> {
        let token = self.github.token("robot", &["repo"]);
        self.world.converse(Provider::GitHub, self.github.url(), &token)
    }

    /// As an App that may do what PaC's may.
    async fn by_app(&self) -> Box<dyn Forge> {
        let key = AppKey::generate().unwrap();
        let installation = self.github.edit(|model| {
            model.add_app(App {
                id: 7,
                slug: "konflux".to_owned(),
                name: "Konflux".to_owned(),
                owner: "acme".to_owned(),
                public_key: key.public_der(),
            });
            let rights = [
                ("checks", "write"),
                ("contents", "read"),
                ("issues", "write"),
                ("members", "read"),
                ("pull_requests", "write"),
            ];
            model.install(7, "acme", &rights)
        });
        let key = fleet::Secret::new(key.private_pem().as_bytes().to_vec());
        let app = forge::App::new("7", &key, fleet::Clock::system()).unwrap();
        let server = url(self.github.url());
        let scope = forge::Scope::default();
        let made = app.token(&server, installation, &scope, &self.world.outbound).await.unwrap();
        let access = forge::Access { token: Some(&made.token), user: None, is_app: true };
        self.github.traffic().forget();
        converse(Provider::GitHub, &server, access, &self.world.outbound).unwrap()
    }

    fn calls(&self) -> usize {
        self.github.traffic().calls().len()
    }

    fn check_runs(&self) -> Vec<CheckRun> {
        self.github.edit(|model| model.repo(APP).unwrap().check_runs.clone())
    }

    /// Context, state and description of each status, oldest first.
    fn statuses(&self) -> Vec<(String, String, String)> {
        self.github.edit(|model| {
            let statuses = &model.repo(APP).unwrap().statuses;
            let shown = |one: &testkit::forge::CommitStatus| {
                (one.context.clone(), one.state.clone(), one.description.clone().unwrap_or_default())
            };
            statuses.iter().map(shown).collect()
        })
    }
}

#[tokio::test]
async fn converses_by_a_token() {
    let world = fixture();
    checks::all(&*world.by_token(), &world.scene).await;
}

#[tokio::test]
async fn converses_as_an_app() {
    let world = fixture();
    checks::all(&*world.by_app().await, &world.scene).await;
}

#[tokio::test]
async fn reads_one_file_by_two_calls_and_no_links() {
    let world = fixture();
    let commit = world.github.edit(|model| with_link(model, APP));
    let forge = world.by_token();
    let wanted = |path: &str| path == ".tekton/push.yaml" || path == ".tekton/link.yaml";
    world.github.edit(|model| model.commit(APP, "one", "One", &[(".tekton/tasks/lint.yml", None)]).unwrap());
    let one: Commit =
        world.github.edit(|model| model.repo(APP).unwrap().head("one").unwrap().parse().unwrap());
    for (commit, calls) in [(one, 2), (commit, 3)] {
        world.github.traffic().forget();
        let found = forge.files(&world.scene.repository, &commit, ".tekton", LIMITS, &wanted).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].path, ".tekton/push.yaml");
        assert_eq!(world.calls(), calls, "{}", world.github.traffic());
    }
}

#[tokio::test]
async fn what_is_too_large_together_is_not_read_at_all() {
    let world = fixture();
    let forge = world.by_token();
    let limits = forge::FileLimits { total: 26, ..LIMITS };
    let (repository, main) = (&world.scene.repository, &world.scene.main);
    let read = forge.files(repository, main, ".tekton", limits, &checks::is_yaml).await;
    fails!(read, Error::TooLarge { limit: 26, .. });
    // Two directories.
    assert_eq!(world.calls(), 2, "{}", world.github.traffic());
}

#[rstest]
#[case::queued(Verdict::Queued, "queued", None)]
#[case::in_progress(Verdict::InProgress, "in_progress", None)]
#[case::success(Verdict::Success, "completed", Some("success"))]
#[case::failure(Verdict::Failure, "completed", Some("failure"))]
#[case::neutral(Verdict::Neutral, "completed", Some("neutral"))]
#[case::cancelled(Verdict::Cancelled, "completed", Some("cancelled"))]
#[tokio::test]
async fn an_app_reports_by_check_runs(
    #[case] verdict: Verdict,
    #[case] status: &str,
    #[case] conclusion: Option<&str>,
) {
    let world = fixture();
    let forge = world.by_app().await;
    let (repository, head) = (&world.scene.repository, &world.scene.head);
    let mut first = report(CONTEXT, Verdict::InProgress, "CI has Started");
    first.started_at = Some("2024-05-01T10:00:00Z".parse().unwrap());
    let known = forge.report(repository, head, &first).await.unwrap().check_run;
    let next = Report {
        check_run: known,
        completed_at: Some("2024-05-01T10:05:00Z".parse().unwrap()),
        annotations: vec![Annotation { path: "src/a.rs".to_owned(), line: 7, message: "no".to_owned() }; 60],
        ..report(CONTEXT, verdict, "Done")
    };
    assert_eq!(forge.report(repository, head, &next).await.unwrap().check_run, known);
    assert_eq!(world.calls(), 2, "{}", world.github.traffic());
    let runs = world.check_runs();
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((run.name.as_str(), run.external_id.as_str()), (CONTEXT, "push-abcde"));
    assert_eq!((run.status.as_str(), run.conclusion.as_deref()), (status, conclusion));
    assert_eq!((run.head_sha.as_str(), run.output["title"].as_str()), (head.as_str(), Some("Done")));
    assert_eq!(run.started_at.as_deref(), Some("2024-05-01T10:00:00Z"));
    let ended = conclusion.map(|_| "2024-05-01T10:05:00Z");
    assert_eq!(run.completed_at.as_deref(), ended);
    // No more than GitHub takes at once.
    assert_eq!(run.annotations.len(), 50);
}

#[rstest]
#[case::waited("Pending approval", true)]
#[case::could_not_start("PipelineRun start failure", true)]
#[case::is_of_something_else("Success", false)]
#[tokio::test]
async fn an_app_continues_what_it_said_before(#[case] title: &str, #[case] is_continued: bool) {
    let world = fixture();
    let forge = world.by_app().await;
    let (repository, head) = (&world.scene.repository, &world.scene.head);
    let mut before = report("Konflux", Verdict::Queued, title);
    before.external_id = String::new();
    let before = forge.report(repository, head, &before).await.unwrap().check_run;
    let replaces = Some("Konflux".to_owned());
    let next = Report { replaces, ..report(CONTEXT, Verdict::InProgress, "CI has Started") };
    let after = forge.report(repository, head, &next).await.unwrap().check_run;
    assert_eq!(after == before, is_continued);
    assert_eq!(world.calls(), 3, "{}", world.github.traffic());
    let names: Vec<String> = world.check_runs().into_iter().map(|run| run.name).collect();
    let expected: &[&str] = if is_continued { &[CONTEXT] } else { &["Konflux", CONTEXT] };
    assert_eq!(names, expected);
    // Of two runs, one continues it.
    let other = Report { external_id: "pull-abcde".to_owned(), context: "Konflux / pull".to_owned(), ..next };
    assert_ne!(forge.report(repository, head, &other).await.unwrap().check_run, before);
}

#[rstest]
#[case::queued(Verdict::Queued, "pending")]
#[case::in_progress(Verdict::InProgress, "pending")]
#[case::success(Verdict::Success, "success")]
#[case::failure(Verdict::Failure, "failure")]
#[case::neutral(Verdict::Neutral, "success")]
#[case::cancelled(Verdict::Cancelled, "error")]
#[tokio::test]
async fn a_token_reports_by_one_status(#[case] verdict: Verdict, #[case] state: &str) {
    let world = fixture();
    let title = "é".repeat(200);
    let report = report(CONTEXT, verdict, &title);
    world.by_token().report(&world.scene.repository, &world.scene.head, &report).await.unwrap();
    let cut = "é".repeat(140);
    assert_eq!(world.statuses(), [(CONTEXT.to_owned(), state.to_owned(), cut)]);
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_token_settles_a_status_that_waits_and_no_other() {
    let world = fixture();
    let forge = world.by_token();
    let (repository, head) = (&world.scene.repository, &world.scene.head);
    let say = async |report: &Report| forge.report(repository, head, report).await.unwrap();
    let replacing = Report {
        replaces: Some("Konflux".to_owned()),
        ..report(CONTEXT, Verdict::InProgress, "CI has Started")
    };
    say(&replacing).await;
    assert_eq!(world.statuses().len(), 1);
    say(&report("Konflux", Verdict::Queued, "Pending approval")).await;
    say(&replacing).await;
    let settled = ("Konflux".to_owned(), "success".to_owned(), format!("Continued as {CONTEXT}"));
    assert_eq!(world.statuses().last(), Some(&settled));
    say(&replacing).await;
    assert_eq!(world.statuses().iter().filter(|status| **status == settled).count(), 1);
}

#[tokio::test]
async fn knows_who_takes_part() {
    let world = fixture();
    let expected = [
        (user("acme"), true),
        (user("ACME"), true),
        (user("alice"), true),
        (user("carol"), true),
        (user("mallory"), false),
        (user("nobody"), false),
    ];
    for forge in [world.by_token(), world.by_app().await] {
        checks::contributors(&*forge, &world.scene, &expected).await;
    }
}

#[tokio::test]
async fn an_outsiders_token_sees_public_members_only() {
    let world = fixture();
    world.github.edit(|model| {
        model.repo_mut(APP).unwrap().collaborator("outsider", testkit::forge::Access::Write);
        model.member("acme", "shown", testkit::forge::Access::Read).unwrap().is_public = true;
        // Only members, so that nothing else is a yes.
        let repository = model.empty_repository("acme/other").unwrap();
        repository.make_private().collaborator("outsider", testkit::forge::Access::Write);
    });
    let token = world.github.token("outsider", &["repo"]);
    let forge = world.world.converse(Provider::GitHub, world.github.url(), &token);
    checks::contributors(&*forge, &world.scene, &[(user("shown"), true), (user("mallory"), false)]).await;
    let path = "GET /orgs/{org}/public_members/{username}";
    assert_eq!(world.github.traffic().count(path), 2, "{}", world.github.traffic());
}

#[tokio::test]
async fn that_members_are_hidden_is_an_error_unless_somebody_is_a_collaborator() {
    let world = fixture();
    let forge = world.by_token();
    world.github.traffic().fail("GET /orgs/{org}/members/{username}", 2, Fault::Answer(403));
    checks::contributors(&*forge, &world.scene, &[(user("carol"), true)]).await;
    let mallory = user("mallory");
    fails!(forge.is_contributor(&world.scene.repository, &mallory).await, Error::Forbidden { .. });
}

#[tokio::test]
async fn teams_are_known_missing_or_without_somebody() {
    let world = fixture();
    world.github.edit(|model| model.team("acme", "reviewers", &["alice"]).unwrap());
    let forge = world.by_app().await;
    let ask = async |team: &str, login: &str| {
        forge.is_in_team(&world.scene.repository, team, &user(login)).await.unwrap()
    };
    assert_eq!(ask("reviewers", "alice").await, Some(true));
    assert_eq!(ask("reviewers", "mallory").await, Some(false));
    assert_eq!(ask("nobodies", "alice").await, None);
}

#[tokio::test]
async fn reads_all_pages() {
    let world = fixture();
    let forge = world.by_token();
    let (repository, files) = (&world.scene.repository, 250);
    let paths: Vec<String> = (0..files).map(|number| format!("many/{number}")).collect();
    let many: Vec<(&str, Option<&[u8]>)> =
        paths.iter().map(|path| (path.as_str(), Some(path.as_bytes()))).collect();
    let head = world.github.edit(|model| {
        for number in 0..130 {
            let on = CommentOn::Pull(world.scene.pull);
            model.comment(APP, on, "alice", &format!("comment {number}")).unwrap();
        }
        model.commit(APP, "fix/x", "Many", &many).unwrap()
    });
    let comments = forge.comments(repository, world.scene.pull).await.unwrap();
    assert_eq!((comments.len(), comments[129].text.as_str()), (130, "comment 129"));
    let of_pull = Change::PullRequest(world.scene.pull);
    assert_eq!(forge.changed_files(repository, &of_pull).await.unwrap().added.len(), files + 1);
    let of_commit = Change::Push { before: None, after: head.parse().unwrap() };
    assert_eq!(forge.changed_files(repository, &of_commit).await.unwrap().added.len(), files);
}

#[tokio::test]
async fn texts_that_are_too_long_are_cut() {
    let world = fixture();
    let (by_token, by_app) = (world.by_token(), world.by_app().await);
    let (repository, long) = (&world.scene.repository, "é".repeat(70_000));
    let fits = "x".repeat(70_000);
    by_token.comment(repository, world.scene.pull, &fits, None).await.unwrap();
    let report = Report { text: long.clone(), summary: long, ..report(CONTEXT, Verdict::Success, "Success") };
    by_app.report(repository, &world.scene.head, &report).await.unwrap();
    let text = world.check_runs()[0].output["text"].as_str().unwrap().len();
    assert_eq!(text, 65_534);
}

#[rstest]
#[case::forbidden(StatusCode::FORBIDDEN)]
#[case::too_many(StatusCode::TOO_MANY_REQUESTS)]
#[tokio::test]
async fn a_used_up_allowance_ends_at_a_time(#[case] status: StatusCode) {
    let world = fixture();
    let forge = world.by_token();
    world.github.limit_requests(1, status);
    forge.describe(&world.scene.repository, "main").await.unwrap();
    let error = forge.describe(&world.scene.repository, "main").await.unwrap_err();
    let Error::RateLimited { until, .. } = &error else { panic!("{error}") };
    assert!(error.is_transient() && error.retry_at() == Some(*until));
    let wait = until.duration_since(fleet::Clock::system().now()).as_secs();
    assert!((3500..=3600).contains(&wait), "{wait}");
}

#[tokio::test]
async fn says_when_a_token_ended() {
    let world = fixture();
    let ends = fleet::Clock::system().now() - jiff::SignedDuration::from_hours(1);
    let token = world.github.expiring_token("robot", &["repo"], ends);
    let forge = world.world.converse(Provider::GitHub, world.github.url(), &token);
    let text = fails!(forge.describe(&world.scene.repository, "main").await, Error::Unauthorized { .. });
    let day = ends.strftime("%Y-%m-%d %H:%M").to_string();
    assert!(text.contains("Bad credentials") && text.contains(&day) && !text.contains(&token), "{text}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let world = fixture();
    let forge = world.by_token();
    let route = "GET /repos/{owner}/{repo}/commits/{ref}";
    let again = async |fault| {
        world.github.traffic().fail(route, 1, fault);
        forge.describe(&world.scene.repository, "main").await
    };
    let text = fails!(again(Fault::Answer(401)).await, Error::Unauthorized { .. });
    assert!(text.contains("Bad credentials"), "{text}");
    let text = fails!(again(Fault::Answer(403)).await, Error::Forbidden { .. });
    assert!(text.contains("Resource not accessible"), "{text}");
    fails!(again(Fault::Answer(404)).await, Error::NotFound { .. });
    fails!(again(Fault::Answer(409)).await, Error::NotFound { .. });
    fails!(again(Fault::Answer(500)).await, Error::Unreachable { .. });
    let limit = Fault::SecondaryLimit { status: 403, retry_after: 600 };
    let error = again(limit).await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }) && error.retry_at().is_some(), "{error}");
}

#[tokio::test]
async fn an_invalid_report_is_not_taken_for_a_missing_commit() {
    let world = fixture();
    let route = "POST /repos/{owner}/{repo}/statuses/{sha}";
    world.github.traffic().fail(route, 1, Fault::Answer(422));
    let report = report(CONTEXT, Verdict::Success, "Success");
    let said = world.by_token().report(&world.scene.repository, &world.scene.head, &report).await;
    let text = fails!(said, Error::Invalid { .. });
    assert!(text.contains("Validation Failed"), "{text}");
}

#[tokio::test]
async fn what_is_there_once_is_not_sent_twice() {
    let world = fixture();
    let forge = world.by_token();
    let (repository, pull) = (&world.scene.repository, world.scene.pull);
    let comment = "POST /repos/{owner}/{repo}/issues/{number}/comments";
    let status = "POST /repos/{owner}/{repo}/statuses/{sha}";
    for route in [comment, status] {
        world.github.traffic().fail(route, 1, Fault::Answer(502));
    }
    fails!(forge.comment(repository, pull, "once", None).await, Error::Unreachable { .. });
    assert_eq!(world.github.traffic().count(comment), 1);
    let report = report(CONTEXT, Verdict::Success, "Success");
    forge.report(repository, &world.scene.head, &report).await.unwrap();
    assert_eq!(world.github.traffic().count(status), 2);
}

#[tokio::test]
async fn takes_the_address_of_its_api() {
    let world = fixture();
    let token = secret(&world.github.token("robot", &["repo"]));
    let access = forge::Access { token: Some(&token), ..forge::Access::default() };
    let server = url(&world.github.api_url());
    let forge = converse(Provider::GitHub, &server, access, &world.world.outbound).unwrap();
    forge.describe(&world.scene.repository, "main").await.unwrap();
    let expected = format!("{}/acme/app.git", world.github.url());
    assert_eq!(forge.clone_url(&world.scene.repository), expected);
}
