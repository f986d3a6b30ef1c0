//! Bitbucket Server.

use forge::{Change, CommentId, Error, Forge, Provider, Report, User, Verdict};
use rstest::rstest;
use testkit::forge::{Access, BitbucketServer, CommentOn, Fault};

use crate::checks;
use crate::scene::{Scene, fill};
use crate::world::{World, fails, report, repository, user, world};

const APP: &str = "ACME/app";
const CONTEXT: &str = "Konflux / push";

struct Fixture {
    world: World,
    server: BitbucketServer,
    scene: Scene,
}

fn fixture() -> Fixture {
    let world = world("localhost");
    let server = BitbucketServer::start(&world.authority).unwrap();
    let scene = server.edit(|model| fill(model, APP));
    Fixture { world, server, scene }
}

impl Fixture {
    fn by(&self, login: &str) -> Box<dyn Forge> {
        let token = self.server.token(login, Access::Admin);
        self.world.converse(Provider::BitbucketServer, self.server.url(), &token)
    }

    fn numbered(&self, login: &str) -> User {
        let id = self.server.edit(|model| model.find_account(login).unwrap().id);
        User { login: login.to_owned(), id: Some(id.to_string()) }
    }

    fn calls(&self) -> usize {
        self.server.traffic().calls().len()
    }

    /// Key, state and address of each build.
    fn builds(&self) -> Vec<(String, String, String)> {
        self.server.edit(|model| {
            let statuses = &model.repo(APP).unwrap().statuses;
            let shown = |one: &testkit::forge::CommitStatus| {
                (one.context.clone(), one.state.clone(), one.target_url.clone().unwrap_or_default())
            };
            statuses.iter().map(shown).collect()
        })
    }
}

#[tokio::test]
async fn converses() {
    let world = fixture();
    checks::all(&*world.by("robot"), &world.scene).await;
}

#[tokio::test]
async fn knows_who_has_a_right() {
    let world = fixture();
    world.server.edit(|model| {
        // Finds this one too, who sounds like somebody.
        model.member("ACME", "mallory-the-good", Access::Admin).unwrap();
    });
    // Had by another account before.
    let former = User { login: "alice".to_owned(), id: Some("1".to_owned()) };
    let expected = [
        (world.numbered("alice"), true),
        (user("ALICE"), true),
        (world.numbered("carol"), true),
        (world.numbered("mallory"), false),
        (user("mall"), false),
        (former, false),
    ];
    checks::contributors(&*world.by("robot"), &world.scene, &expected).await;
    // Only administrators may ask.
    let refused = world.by("alice").is_contributor(&world.scene.repository, &user("carol")).await;
    fails!(refused, Error::Unauthorized { .. });
}

#[tokio::test]
async fn a_persons_own_repository_is_theirs() {
    let world = fixture();
    world.server.edit(|model| model.repository("~jane/app").map(drop).unwrap());
    let forge = world.by("robot");
    let own = repository("~jane/app");
    assert!(forge.is_contributor(&own, &user("jane")).await.unwrap());
    assert_eq!(world.calls(), 0);
    let described = forge.describe(&own, "main").await.unwrap();
    assert!(described.url.contains("/users/jane/repos/app/commits/"), "{}", described.url);
}

#[rstest]
#[case::queued(Verdict::Queued, "INPROGRESS")]
#[case::in_progress(Verdict::InProgress, "INPROGRESS")]
#[case::success(Verdict::Success, "SUCCESSFUL")]
#[case::failure(Verdict::Failure, "FAILED")]
#[case::neutral(Verdict::Neutral, "FAILED")]
#[case::cancelled(Verdict::Cancelled, "FAILED")]
#[tokio::test]
async fn reports_by_one_build(#[case] verdict: Verdict, #[case] state: &str) {
    let world = fixture();
    let report = Report { details_url: None, ..report(CONTEXT, verdict, "Words") };
    world.by("robot").report(&world.scene.repository, &world.scene.head, &report).await.unwrap();
    let page = format!("{}/projects/ACME/repos/app/commits/{}", world.server.url(), world.scene.head);
    assert_eq!(world.builds(), [(CONTEXT.to_owned(), state.to_owned(), page)]);
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn settles_a_build_that_waits_and_no_other() {
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
    assert_eq!(world.builds().len(), 1);
    say(&report("Konflux", Verdict::Queued, "Pending approval")).await;
    say(&replacing).await;
    let states: Vec<(String, String)> =
        world.builds().into_iter().map(|(context, state, _)| (context, state)).collect();
    assert!(states.contains(&("Konflux".to_owned(), "SUCCESSFUL".to_owned())), "{states:?}");
}

#[tokio::test]
async fn reads_all_pages() {
    let world = fixture();
    let paths: Vec<String> = (0..620).map(|number| format!("many/{number}")).collect();
    let many: Vec<(&str, Option<&[u8]>)> =
        paths.iter().map(|path| (path.as_str(), Some(path.as_bytes()))).collect();
    world.server.edit(|model| {
        for number in 0..620 {
            let on = CommentOn::Pull(world.scene.pull);
            model.comment(APP, on, "alice", &format!("comment {number}")).unwrap();
        }
        model.commit(APP, "fix/x", "Many", &many).unwrap()
    });
    let forge = world.by("robot");
    let comments = forge.comments(&world.scene.repository, world.scene.pull).await.unwrap();
    assert_eq!((comments.len(), comments[0].text.as_str()), (620, "comment 0"));
    let change = Change::PullRequest(world.scene.pull);
    let found = forge.changed_files(&world.scene.repository, &change).await.unwrap();
    assert_eq!(found.added.len(), 621);
}

#[tokio::test]
async fn a_list_that_does_not_go_on_ends() {
    let world = fixture();
    let forge = world.by("robot");
    let page = r#"{"values": [], "isLastPage": false, "nextPageStart": 0}"#;
    let fault = Fault::Instead { status: 200, headers: Vec::new(), body: page.into() };
    let route = "GET /projects/{project}/repos/{repo}/pull-requests/{id}/activities";
    world.server.traffic().fail(route, 5, fault);
    let found = forge.comments(&world.scene.repository, world.scene.pull).await.unwrap();
    assert!(found.is_empty() && world.calls() == 1, "{}", world.server.traffic());
}

#[tokio::test]
async fn only_own_comments_are_changed() {
    let world = fixture();
    let number = world.scene.pull;
    let id = world.server.edit(|model| model.comment(APP, CommentOn::Pull(number), "alice", "hers").unwrap());
    let forge = world.by("robot");
    let said = forge.comment(&world.scene.repository, number, "mine", Some(CommentId(id))).await;
    fails!(said, Error::Unauthorized { .. });
}
