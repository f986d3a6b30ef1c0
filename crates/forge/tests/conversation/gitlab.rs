//! GitLab.

use forge::{Change, Error, Forge, Provider, Report, User, Verdict};
use rstest::rstest;
use testkit::forge::{Access, CommentOn, Fault, GitLab};

use crate::checks::{self, LIMITS, is_yaml};
use crate::scene::{Scene, fill, with_link};
use crate::world::{World, fails, report, user, world};

const APP: &str = "acme/platform/app";
const CONTEXT: &str = "Konflux / push";

struct Fixture {
    world: World,
    gitlab: GitLab,
    scene: Scene,
}

/// The members are those of the group `acme/platform`; `acme`, which it lies in, has `above`.
fn fixture() -> Fixture {
    let world = world("localhost");
    let gitlab = GitLab::start(&world.authority).unwrap();
    let scene = gitlab.edit(|model| {
        model.organization("acme");
        model.member("acme", "above", Access::Read).unwrap();
        fill(model, APP)
    });
    Fixture { world, gitlab, scene }
}

impl Fixture {
    fn by(&self, login: &str) -> Box<dyn Forge> {
        self.world.converse(Provider::GitLab, self.gitlab.url(), &self.gitlab.token(login, &["api"]))
    }

    /// Somebody by their number, as events tell of them.
    fn numbered(&self, login: &str) -> User {
        let id = self.gitlab.edit(|model| model.find_account(login).unwrap().id);
        User { login: login.to_owned(), id: Some(id.to_string()) }
    }

    fn calls(&self) -> usize {
        self.gitlab.traffic().calls().len()
    }

    /// Name, state and description of each status.
    fn statuses(&self, project: &str) -> Vec<(String, String, String)> {
        self.gitlab.edit(|model| {
            let statuses = &model.repo(project).unwrap().statuses;
            let shown = |one: &testkit::forge::CommitStatus| {
                (one.context.clone(), one.state.clone(), one.description.clone().unwrap_or_default())
            };
            statuses.iter().map(shown).collect()
        })
    }
}

#[tokio::test]
async fn converses() {
    let world = fixture();
    // mallory lets the robot see the fork.
    world.gitlab.edit(|model| {
        model.repo_mut("mallory/app").unwrap().collaborator("robot", Access::Read);
    });
    checks::all(&*world.by("robot"), &world.scene).await;
}

#[tokio::test]
async fn reads_one_file_by_two_calls_and_no_links() {
    let world = fixture();
    let commit = world.gitlab.edit(|model| {
        with_link(model, APP);
        model.commit(APP, "main", "One", &[(".tekton/tasks/lint.yml", None)]).unwrap()
    });
    let forge = world.by("robot");
    let commit = commit.parse().unwrap();
    let found = forge.files(&world.scene.repository, &commit, ".tekton", LIMITS, &is_yaml).await.unwrap();
    assert_eq!((found.len(), found[0].path.as_str()), (1, ".tekton/push.yaml"));
    assert_eq!(world.calls(), 2, "{}", world.gitlab.traffic());
}

#[tokio::test]
async fn members_are_also_those_of_the_groups_above() {
    let world = fixture();
    let expected = [
        (world.numbered("alice"), true),
        (world.numbered("above"), true),
        (world.numbered("carol"), true),
        (world.numbered("mallory"), false),
        // Looked for by name.
        (user("alice"), true),
        (user("mallory"), false),
        (user("nobody"), false),
    ];
    checks::contributors(&*world.by("robot"), &world.scene, &expected).await;
}

#[tokio::test]
async fn a_blocked_member_and_another_one_take_no_part() {
    let world = fixture();
    let forge = world.by("robot");
    let alice = world.numbered("alice");
    let id = alice.id.clone().unwrap();
    for member in [
        format!(r#"{{"id": {id}, "username": "alice", "state": "blocked"}}"#),
        r#"{"id": 1, "username": "other", "state": "active"}"#.to_owned(),
    ] {
        let fault = Fault::Instead { status: 200, headers: Vec::new(), body: member.into_bytes() };
        world.gitlab.traffic().fail("GET /projects/{id}/members/all/{user_id}", 1, fault);
        assert!(!forge.is_contributor(&world.scene.repository, &alice).await.unwrap());
    }
    assert!(forge.is_contributor(&world.scene.repository, &alice).await.unwrap());
}

#[tokio::test]
async fn there_are_no_teams() {
    let world = fixture();
    let forge = world.by("robot");
    let found = forge.is_in_team(&world.scene.repository, "reviewers", &world.numbered("alice")).await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(world.calls(), 0);
}

#[rstest]
#[case::queued(Verdict::Queued, "running")]
#[case::in_progress(Verdict::InProgress, "running")]
#[case::success(Verdict::Success, "success")]
#[case::failure(Verdict::Failure, "failed")]
#[case::neutral(Verdict::Neutral, "canceled")]
#[case::cancelled(Verdict::Cancelled, "canceled")]
#[tokio::test]
async fn reports_by_one_status(#[case] verdict: Verdict, #[case] state: &str) {
    let world = fixture();
    let forge = world.by("robot");
    let report = report(CONTEXT, verdict, "Words");
    // Again, as after a lost answer.
    for _ in 0..2 {
        forge.report(&world.scene.repository, &world.scene.head, &report).await.unwrap();
    }
    let statuses = world.statuses(APP);
    assert_eq!(statuses[0], (CONTEXT.to_owned(), state.to_owned(), "Words".to_owned()));
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn reports_of_a_fork_go_there_and_may_be_refused() {
    let world = fixture();
    let fork = world.gitlab.edit(|model| model.repo("mallory/app").unwrap().id);
    let report = Report { source_project: Some(fork), ..report(CONTEXT, Verdict::Success, "Success") };
    let (repository, head) = (&world.scene.repository, &world.scene.fork_head);
    // The fork is private, and so hidden.
    world.by("robot").report(repository, head, &report).await.unwrap();
    assert_eq!(world.statuses("mallory/app"), []);
    world.by("mallory").report(repository, head, &report).await.unwrap();
    assert_eq!(world.statuses("mallory/app").len(), 1);
    // A number that somebody wrote into a run, of a project that the token may write to.
    let other = world.gitlab.edit(|model| {
        let other = model.fork("mallory/app", "dave").unwrap();
        other.make_private().collaborator("robot", Access::Write);
        other.id
    });
    let aside = Report { source_project: Some(other), ..report.clone() };
    world.by("robot").report(repository, head, &aside).await.unwrap();
    assert_eq!(world.statuses("dave/app"), []);
    // That the token ended, or that GitLab is away, is another matter.
    let wrong = world.world.converse(Provider::GitLab, world.gitlab.url(), "glpat-wrong");
    fails!(wrong.report(repository, head, &report).await, Error::Unauthorized { .. });
    // As is a refusal of the project itself.
    let own = Report { source_project: None, ..report };
    let said = world.by("carol").report(repository, &world.scene.head, &own).await;
    fails!(said, Error::Forbidden { .. });
}

#[tokio::test]
async fn settles_a_status_that_waits_and_no_other() {
    let world = fixture();
    let forge = world.by("robot");
    let say = async |report: &Report| {
        forge.report(&world.scene.repository, &world.scene.head, report).await.unwrap();
    };
    let replacing = Report {
        replaces: Some("Konflux".to_owned()),
        ..report(CONTEXT, Verdict::InProgress, "CI has Started")
    };
    say(&replacing).await;
    assert_eq!(world.statuses(APP).len(), 1);
    say(&report("Konflux", Verdict::Queued, "Pending approval")).await;
    say(&replacing).await;
    say(&replacing).await;
    let settled = ("Konflux".to_owned(), "success".to_owned(), format!("Continued as {CONTEXT}"));
    assert_eq!(world.statuses(APP)[1..], [settled]);
}

#[tokio::test]
async fn reads_all_pages() {
    let world = fixture();
    let paths: Vec<String> = (0..250).map(|number| format!("many/{number}")).collect();
    let many: Vec<(&str, Option<&[u8]>)> =
        paths.iter().map(|path| (path.as_str(), Some(path.as_bytes()))).collect();
    world.gitlab.edit(|model| {
        for number in 0..130 {
            let on = CommentOn::Pull(world.scene.pull);
            model.comment(APP, on, "alice", &format!("note {number}")).unwrap();
        }
        model.commit(APP, "fix/x", "Many", &many).unwrap()
    });
    let forge = world.by("robot");
    let comments = forge.comments(&world.scene.repository, world.scene.pull).await.unwrap();
    assert_eq!((comments.len(), comments[129].text.as_str()), (130, "note 129"));
    let change = Change::PullRequest(world.scene.pull);
    let found = forge.changed_files(&world.scene.repository, &change).await.unwrap();
    assert_eq!(found.added.len(), 251);
}

#[tokio::test]
async fn too_many_calls_end_at_a_time() {
    let world = fixture();
    let forge = world.by("robot");
    world.gitlab.limit_requests(1);
    forge.describe(&world.scene.repository, "main").await.unwrap();
    let error = forge.describe(&world.scene.repository, "main").await.unwrap_err();
    assert!(matches!(error, Error::RateLimited { .. }) && error.retry_at().is_some(), "{error}");
}
