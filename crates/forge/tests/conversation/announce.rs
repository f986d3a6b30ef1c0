//! Reports by those who do not know what they said before.

use forge::{Before, Error, Forge, Provider, Report, Verdict, comment_once};
use rstest::rstest;
use testkit::forge::{App, AppKey, CheckRun, CommentOn, Fault, GitHub, GitLab, Pipeline};

use crate::scene::{Scene, fill};
use crate::world::{World, fails, report, secret, world};

const APP: &str = "acme/app";
const CONTEXT: &str = "Konflux / lint";
const CREATE: &str = "POST /repos/{owner}/{repo}/check-runs";

fn github() -> (World, GitHub, Scene) {
    let world = world("localhost");
    let github = GitHub::start(&world.authority).unwrap();
    let scene = github.edit(|model| fill(model, APP));
    (world, github, scene)
}

/// As the App 7, whose check runs these are.
async fn as_app(world: &World, github: &GitHub) -> Box<dyn Forge> {
    let key = AppKey::generate().unwrap();
    let installation = github.edit(|model| {
        model.add_app(App {
            id: 7,
            slug: "konflux".to_owned(),
            name: "Konflux".to_owned(),
            owner: "acme".to_owned(),
            public_key: key.public_der(),
        });
        model.install(7, "acme", &[("checks", "write")])
    });
    let app = forge::App::new("7", &secret_bytes(&key), fleet::Clock::system()).unwrap();
    let server = crate::world::url(github.url());
    let made = app.token(&server, installation, &forge::Scope::default(), &world.outbound).await.unwrap();
    let access = forge::Access { token: Some(&made.token), is_app: true, ..forge::Access::default() };
    forge::converse(Provider::GitHub, &server, access, &world.outbound).unwrap()
}

fn secret_bytes(key: &AppKey) -> fleet::Secret<Vec<u8>> {
    fleet::Secret::new(secret(key.private_pem()).expose().clone().into_bytes())
}

fn check_run(id: u64, app: u64, external_id: &str, sha: &str) -> CheckRun {
    CheckRun {
        id,
        suite: 1,
        app,
        head_sha: sha.to_owned(),
        name: format!("{external_id} of {app}, {id}"),
        external_id: external_id.to_owned(),
        status: "queued".to_owned(),
        conclusion: None,
        details_url: None,
        started_at: None,
        completed_at: None,
        output: serde_json::Value::Null,
        annotations: Vec::new(),
    }
}

#[tokio::test]
async fn a_check_run_of_ours_is_found_among_hundreds() {
    let (world, github, scene) = github();
    let forge = as_app(&world, &github).await;
    let head = scene.head.as_str();
    github.edit(|model| {
        let runs = &mut model.repo_mut(APP).unwrap().check_runs;
        runs.push(check_run(1, 7, "push-abcde", head));
        runs.extend((2..250).map(|id| check_run(id, 7, "other", head)));
        runs.push(check_run(250, 8, "push-abcde", head));
    });
    let before = Before { app: Some(7), ..Before::default() };
    let report = report(CONTEXT, Verdict::Success, "Succeeded");
    forge.announce(&scene.repository, &scene.head, &report, before).await.unwrap();
    github.edit(|model| {
        let runs = &model.repo(APP).unwrap().check_runs;
        assert_eq!(runs.len(), 250);
        assert_eq!((runs[0].name.as_str(), runs[0].conclusion.as_deref()), (CONTEXT, Some("success")));
        assert_eq!(runs[249].conclusion, None, "it is another App's");
    });
}

#[tokio::test]
async fn a_check_run_that_nobody_heard_of_is_not_made_twice() {
    let (world, github, scene) = github();
    let forge = as_app(&world, &github).await;
    github.traffic().fail(CREATE, 1, Fault::LoseReply);
    let before = Before { app: Some(7), ..Before::default() };
    let report = report(CONTEXT, Verdict::InProgress, "In Progress");
    fails!(forge.announce(&scene.repository, &scene.head, &report, before).await, Error::Unreachable { .. });
    forge.announce(&scene.repository, &scene.head, &report, before).await.unwrap();
    assert_eq!(github.edit(|model| model.repo(APP).unwrap().check_runs.len()), 1);
}

#[rstest]
#[case(Verdict::Error, "failure")]
#[case(Verdict::Deleted, "failure")]
#[case(Verdict::Neutral, "neutral")]
#[tokio::test]
async fn verdicts_of_check_runs(#[case] verdict: Verdict, #[case] conclusion: &str) {
    let (world, github, scene) = github();
    let forge = as_app(&world, &github).await;
    let report = report(CONTEXT, verdict, "x");
    forge.announce(&scene.repository, &scene.head, &report, Before::default()).await.unwrap();
    let found = github.edit(|model| model.repo(APP).unwrap().check_runs[0].conclusion.clone());
    assert_eq!(found.as_deref(), Some(conclusion));
}

#[tokio::test]
async fn a_status_is_made_when_it_says_something_else() {
    let (world, github, scene) = github();
    let forge = world.converse(Provider::GitHub, github.url(), &github.token("robot", &["repo"]));
    let say = async |verdict, title| {
        let report = report(CONTEXT, verdict, title);
        forge.announce(&scene.repository, &scene.head, &report, Before::default()).await.unwrap();
        github.edit(|model| model.repo(APP).unwrap().statuses.len())
    };
    assert_eq!(say(Verdict::Queued, "is pending").await, 1);
    assert_eq!(say(Verdict::Queued, "is pending").await, 1);
    assert_eq!(say(Verdict::InProgress, "is in progress").await, 2, "another description");
    assert_eq!(say(Verdict::Error, "is invalid").await, 3);
    let last = github.edit(|model| model.repo(APP).unwrap().statuses[2].state.clone());
    assert_eq!(last, "error");
}

#[tokio::test]
async fn a_comment_is_replaced_by_its_mark() {
    let (world, github, scene) = github();
    let forge = world.converse(Provider::GitHub, github.url(), &github.token("robot", &["repo"]));
    let mark = "<!-- lint -->";
    for text in ["<!-- lint -->\none", "<!-- lint -->\ntwo", "<!-- lint -->\ntwo"] {
        comment_once(&*forge, &scene.repository, scene.pull, mark, text).await.unwrap();
    }
    comment_once(&*forge, &scene.repository, scene.pull, "<!-- e2e -->", "<!-- e2e -->\nx").await.unwrap();
    let found: Vec<String> = github.edit(|model| {
        let repository = model.repo(APP).unwrap();
        repository.comments_on(&CommentOn::Pull(scene.pull)).map(|comment| comment.body.clone()).collect()
    });
    assert_eq!(found, ["<!-- lint -->\ntwo", "<!-- e2e -->\nx"]);
    let patches = "PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}";
    assert_eq!(github.traffic().count(patches), 1, "what is so already is left alone");
}

struct Lab {
    gitlab: GitLab,
    scene: Scene,
    forge: Box<dyn Forge>,
    _world: World,
}

impl Lab {
    fn start() -> Self {
        let world = world("localhost");
        let gitlab = GitLab::start(&world.authority).unwrap();
        let scene = gitlab.edit(|model| fill(model, APP));
        let forge = world.converse(Provider::GitLab, gitlab.url(), &gitlab.token("robot", &["api"]));
        Self { gitlab, scene, forge, _world: world }
    }

    /// State and ref of each status of a project.
    fn statuses(&self, project: &str) -> Vec<(String, Option<String>)> {
        self.gitlab.edit(|model| {
            let statuses = &model.repo(project).unwrap().statuses;
            statuses.iter().map(|status| (status.state.clone(), status.reference.clone())).collect()
        })
    }

    async fn say(&self, report: &Report, fork: bool) -> Result<(), Error> {
        let (number, head) = if fork {
            (self.scene.fork_pull, &self.scene.fork_head)
        } else {
            (self.scene.pull, &self.scene.head)
        };
        let before = Before { merge_request: Some(number), app: None };
        self.forge.announce(&self.scene.repository, head, report, before).await
    }
}

#[rstest]
#[case(Verdict::Queued, "pending")]
#[case(Verdict::InProgress, "running")]
#[case(Verdict::Failure, "failed")]
#[case(Verdict::Error, "failed")]
#[case(Verdict::Neutral, "skipped")]
#[case(Verdict::Deleted, "canceled")]
#[tokio::test]
async fn states_at_gitlab_are_exact(#[case] verdict: Verdict, #[case] state: &str) {
    let lab = Lab::start();
    lab.say(&report(CONTEXT, verdict, "x"), false).await.unwrap();
    // What it says already is refused by GitLab, and not sent.
    lab.say(&report(CONTEXT, verdict, "x"), false).await.unwrap();
    assert_eq!(lab.statuses(APP), [(state.to_owned(), Some("fix/x".to_owned()))]);
    assert_eq!(lab.gitlab.traffic().count("POST /projects/{id}/statuses/{sha}"), 1);
}

#[tokio::test]
async fn a_status_belongs_to_the_pipeline_of_the_merge_request() {
    let lab = Lab::start();
    lab.gitlab.edit(|model| {
        let sha = lab.scene.fork_head.as_str().to_owned();
        let pipelines = &mut model.repo_mut(APP).unwrap().pipelines;
        pipelines.push(Pipeline { id: 41, sha: "f".repeat(40), merge_request: lab.scene.fork_pull });
        pipelines.push(Pipeline { id: 40, sha, merge_request: lab.scene.fork_pull });
    });
    lab.say(&report(CONTEXT, Verdict::Success, "x"), true).await.unwrap();
    let reference = format!("refs/merge-requests/{}/head", lab.scene.fork_pull);
    assert_eq!(lab.statuses(APP), [("success".to_owned(), Some(reference))]);
}

#[tokio::test]
async fn a_status_goes_to_the_source_where_the_target_does_not_take_it() {
    let lab = Lab::start();
    let (source, stranger) = lab.gitlab.edit(|model| {
        model.repo_mut("mallory/app").unwrap().collaborator("robot", testkit::forge::Access::Write);
        let stranger = model.repository("acme/other").unwrap().id;
        (model.repo("mallory/app").unwrap().id, stranger)
    });
    let said = Report { source_project: Some(source), ..report(CONTEXT, Verdict::Success, "x") };
    let set = "POST /projects/{id}/statuses/{sha}";
    lab.gitlab.traffic().fail(set, 1, Fault::Answer(404));
    lab.say(&said, true).await.unwrap();
    assert_eq!((lab.statuses(APP).len(), lab.statuses("mallory/app").len()), (0, 1));
    // Nor to what is no source of the merge request.
    lab.gitlab.traffic().fail(set, 1, Fault::Answer(404));
    let said = Report { source_project: Some(stranger), ..said };
    fails!(lab.say(&said, true).await, Error::NotFound { .. });
    assert_eq!(lab.statuses("acme/other").len(), 0);
}
