//! A real Gitea.

use std::path::Path;

use forge::{Error, Forge, Provider, Report, Verdict};
use testkit::gitea::{Client, Gitea, NewPull, NewUser, Push, Role};

use crate::checks::{self, LIMITS};
use crate::scene::{FIX, MAIN, MESSAGE, Scene};
use crate::world::{World, fails, report, repository, user, world_trusting};

const CONTEXT: &str = "Konflux / push";
const PASSWORD: &str = "a password";
const SCOPES: [&str; 4] = ["read:organization", "read:user", "write:issue", "write:repository"];

/// The scene of one test, in the Gitea of all.
struct Fixture {
    world: World,
    gitea: &'static Gitea,
    administrator: Client,
    scene: Scene,
    /// `<test>/<test>-app`
    app: String,
    test: &'static str,
}

pub(crate) async fn push(
    client: &Client,
    repository: &str,
    branch: &str,
    message: &str,
    files: &[(&str, &str)],
) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let push = Push { repository, branch, folder: folder.path(), message };
    client.push(&push).await.unwrap().commit().to_owned()
}

/// Everybody is made once.
async fn people(administrator: &Client) -> [Client; 4] {
    static MADE: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    let names = ["robot", "alice", "carol", "mallory"];
    MADE.get_or_init(async || {
        for name in names {
            let user = NewUser { name, password: PASSWORD, is_administrator: false };
            administrator.ensure_user(&user).await.unwrap();
        }
    })
    .await;
    names.map(|name| administrator.with_password(name, PASSWORD))
}

/// `test` is a name of its own.
async fn fixture(test: &'static str) -> Fixture {
    let gitea = Gitea::shared().await;
    let world = world_trusting(gitea.certificate_authority());
    let administrator = gitea.client().unwrap();
    let [robot, alice, _, mallory] = people(&administrator).await;
    let app = format!("{test}/{test}-app");
    administrator.ensure_organization(test).await.unwrap();
    administrator.ensure_member(test, "Owners", Role::Admin, "robot").await.unwrap();
    administrator.ensure_member(test, "reviewers", Role::Write, "alice").await.unwrap();
    administrator.ensure_repository(&app, false).await.unwrap();
    administrator.ensure_collaborator(&app, "carol", Role::Read).await.unwrap();
    let main = push(&robot, &app, "main", "Begin", &MAIN).await;
    let head = push(&alice, &app, "fix/x", MESSAGE, &FIX).await;
    let own = NewPull { title: "Fix it", head: "fix/x", base: "main" };
    let pull = alice.ensure_pull(&app, &own).await.unwrap();
    let fork = mallory.ensure_fork(&app).await.unwrap();
    let patched: Vec<(&str, &str)> = MAIN.into_iter().chain([("patched", "x")]).collect();
    let fork_head = push(&mallory, &fork, "patch", "Patch", &patched).await;
    let foreign = NewPull { title: "Fix it", head: "mallory:patch", base: "main" };
    let fork_pull = mallory.ensure_pull(&app, &foreign).await.unwrap();
    let scene = Scene {
        repository: repository(&app),
        main: main.parse().unwrap(),
        head: head.parse().unwrap(),
        pull,
        fork_head: fork_head.parse().unwrap(),
        fork_pull,
    };
    Fixture { world, gitea, administrator, scene, app, test }
}

impl Fixture {
    async fn by(&self, login: &str, scopes: &[&str]) -> Box<dyn Forge> {
        let token = self.administrator.new_token(login, self.test, scopes).await.unwrap();
        self.world.converse(Provider::Gitea, self.gitea.url(), &token)
    }

    /// Context, state and description of the newest status of each context of the head.
    async fn statuses(&self) -> Vec<(String, String, String)> {
        let found = self.administrator.statuses(&self.app, self.scene.head.as_str()).await.unwrap();
        found.into_iter().map(|one| (one.context, one.state, one.description)).collect()
    }
}

#[tokio::test]
async fn converses() {
    let world = fixture("converse").await;
    let forge = world.by("robot", &SCOPES).await;
    checks::all(&*forge, &world.scene).await;

    let own = forge.pull_request(&world.scene.repository, world.scene.pull).await.unwrap();
    assert_eq!(own.base.clone_url, world.administrator.clone_url(&world.app));
    // A fork's commit is there for who asks its parent.
    let files = forge
        .files(&world.scene.repository, &world.scene.fork_head, "", LIMITS, &|path| path == "patched")
        .await
        .unwrap();
    assert_eq!(files.len(), 1);
}

#[tokio::test]
async fn what_became_of_a_file_counts_after_several_commits() {
    let world = fixture("several").await;
    let alice = world.administrator.with_password("alice", "a password");
    // Another change of the same file, one that takes a new file away again, and one that brings an old one back.
    let files: Vec<(&str, &str)> = FIX
        .into_iter()
        .filter(|(path, _)| *path != "src/added.rs")
        .map(|(path, text)| (path, if path == "docs/a.md" { "three\n" } else { text }))
        .chain([("docs/gone.md", "Again.\n")])
        .collect();
    let after = push(&alice, &world.app, "fix/x", "More", &files).await;
    let forge = world.by("robot", &SCOPES).await;
    let change =
        forge::Change::Push { before: Some(world.scene.main.clone()), after: after.parse().unwrap() };
    let found = forge.changed_files(&world.scene.repository, &change).await.unwrap();
    assert!(!found.all().contains("src/added.rs"), "{found:?}");
    assert!(found.modified.contains("docs/a.md") && found.modified.contains("docs/gone.md"), "{found:?}");
}

#[tokio::test]
async fn reports_by_a_status() {
    let world = fixture("report").await;
    let forge = world.by("robot", &SCOPES).await;
    // Each over the one before.
    for (verdict, state) in [
        (Verdict::Queued, "pending"),
        (Verdict::InProgress, "pending"),
        (Verdict::Success, "success"),
        (Verdict::Failure, "failure"),
        (Verdict::Neutral, "success"),
        (Verdict::Cancelled, "error"),
    ] {
        let words = format!("{verdict:?}");
        let report = report(CONTEXT, verdict, &words);
        forge.report(&world.scene.repository, &world.scene.head, &report).await.unwrap();
        assert_eq!(world.statuses().await, [(CONTEXT.to_owned(), state.to_owned(), words)]);
    }
}

#[tokio::test]
async fn settles_a_status_that_waits_and_no_other() {
    let world = fixture("settle").await;
    let forge = world.by("robot", &SCOPES).await;
    let say = async |report: &Report| {
        forge.report(&world.scene.repository, &world.scene.head, report).await.unwrap();
    };
    let replacing = Report {
        replaces: Some("Konflux".to_owned()),
        ..report(CONTEXT, Verdict::InProgress, "CI has Started")
    };
    say(&replacing).await;
    assert_eq!(world.statuses().await.len(), 1);
    say(&report("Konflux", Verdict::Queued, "Pending approval")).await;
    say(&replacing).await;
    let settled = ("Konflux".to_owned(), "success".to_owned(), format!("Continued as {CONTEXT}"));
    let statuses = world.statuses().await;
    assert!(statuses.contains(&settled) && statuses.len() == 2, "{statuses:?}");
}

#[tokio::test]
async fn knows_owners_collaborators_and_teams() {
    let world = fixture("people").await;
    let forge = world.by("robot", &SCOPES).await;
    let expected =
        [(user("PEOPLE"), true), (user("carol"), true), (user("mallory"), false), (user("nobody"), false)];
    checks::contributors(&*forge, &world.scene, &expected).await;
    let ask = async |team: &str, login: &str| {
        forge.is_in_team(&world.scene.repository, team, &user(login)).await.unwrap()
    };
    assert_eq!(ask("reviewers", "alice").await, Some(true));
    assert_eq!(ask("Reviewers", "ALICE").await, Some(true));
    assert_eq!(ask("reviewers", "mallory").await, Some(false));
    // A part of a name is none.
    assert_eq!(ask("review", "alice").await, None);
    assert_eq!(ask("nobodies", "alice").await, None);
    // A person has no teams.
    let own = repository("mallory/people-app");
    assert_eq!(forge.is_in_team(&own, "reviewers", &user("alice")).await.unwrap(), None);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let world = fixture("refusal").await;
    let wrong = world.world.converse(Provider::Gitea, world.gitea.url(), "wrong");
    fails!(wrong.describe(&world.scene.repository, "main").await, Error::Unauthorized { .. });
    let reader = world.by("mallory", &["read:repository"]).await;
    let report = report(CONTEXT, Verdict::Success, "Success");
    let said = reader.report(&world.scene.repository, &world.scene.head, &report).await;
    let text = fails!(said, Error::Forbidden { .. });
    assert!(text.contains("scope"), "{text}");
}
