//! Bitbucket Cloud.

use forge::{Access, Change, Error, Forge, Provider, Report, User, Verdict, converse};
use rstest::rstest;
use testkit::forge::bitbucket_cloud::account_id;
use testkit::forge::{BitbucketCloud, CommentOn, Fault};

use crate::checks::{self, LIMITS, is_yaml};
use crate::scene::{Scene, fill, with_link};
use crate::world::{World, fails, report, secret, url, user, world};

const APP: &str = "acme/app";
const CONTEXT: &str = "Konflux / push";
const SCOPES: [&str; 4] = ["account", "repository", "pullrequest", "repository:write"];

struct Fixture {
    world: World,
    cloud: BitbucketCloud,
    scene: Scene,
}

fn fixture() -> Fixture {
    let world = world("localhost");
    let cloud = BitbucketCloud::start(&world.authority).unwrap();
    let scene = cloud.edit(|model| {
        let scene = fill(model, APP);
        model.repo_mut("mallory/app").unwrap().collaborator("robot", testkit::forge::Access::Read);
        scene
    });
    Fixture { world, cloud, scene }
}

impl Fixture {
    fn by_password(&self, scopes: &[&str]) -> Box<dyn Forge> {
        let password = secret(&self.cloud.app_password("robot", scopes));
        let access = Access { token: Some(&password), user: Some("robot"), is_app: false };
        let server = url(self.cloud.url());
        converse(Provider::BitbucketCloud, &server, access, &self.world.outbound).unwrap()
    }

    fn numbered(&self, login: &str) -> User {
        let id = self.cloud.edit(|model| account_id(model, login));
        User { login: login.to_owned(), id: Some(id) }
    }

    fn calls(&self) -> usize {
        self.cloud.traffic().calls().len()
    }

    /// Key, state and description of each status.
    fn statuses(&self) -> Vec<(String, String, String)> {
        self.cloud.edit(|model| {
            let statuses = &model.repo(APP).unwrap().statuses;
            let shown = |one: &testkit::forge::CommitStatus| {
                (one.context.clone(), one.state.clone(), one.description.clone().unwrap_or_default())
            };
            statuses.iter().map(shown).collect()
        })
    }
}

#[tokio::test]
async fn converses_by_an_app_password() {
    let world = fixture();
    checks::all(&*world.by_password(&SCOPES), &world.scene).await;
}

#[tokio::test]
async fn converses_by_a_token_of_the_repository() {
    let world = fixture();
    let token = world.cloud.access_token(APP, &SCOPES).unwrap();
    let forge = world.world.converse(Provider::BitbucketCloud, world.cloud.url(), &token);
    let found = forge.pull_request(&world.scene.repository, world.scene.pull).await.unwrap();
    // Twelve digits are all that the pull request tells.
    assert_eq!(found.head_commit, world.scene.head);
    assert_eq!(found.author, world.numbered("alice"));
}

#[tokio::test]
async fn reads_all_files_by_one_list_and_no_links() {
    let world = fixture();
    let commit = world.cloud.edit(|model| with_link(model, APP));
    let forge = world.by_password(&SCOPES);
    let found = forge.files(&world.scene.repository, &commit, ".tekton", LIMITS, &is_yaml).await.unwrap();
    let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [".tekton/push.yaml", ".tekton/tasks/lint.yml"]);
    assert_eq!(world.calls(), 3, "{}", world.cloud.traffic());
}

#[tokio::test]
async fn members_are_known_by_their_account() {
    let world = fixture();
    let mut renamed = world.numbered("alice");
    renamed.login = "another-name".to_owned();
    let expected = [
        (world.numbered("alice"), true),
        (renamed, true),
        (world.numbered("mallory"), false),
        // A name proves nothing.
        (user("alice"), false),
    ];
    checks::contributors(&*world.by_password(&SCOPES), &world.scene, &expected).await;
    let forge = world.by_password(&["repository"]);
    let alice = world.numbered("alice");
    let text = fails!(forge.is_contributor(&world.scene.repository, &alice).await, Error::Forbidden { .. });
    assert!(text.contains("privilege scopes"), "{text}");
    // That of somebody else.
    let member = r#"{"user": {"nickname": "alice", "account_id": "other"}}"#;
    let fault = Fault::Instead { status: 200, headers: Vec::new(), body: member.into() };
    world.cloud.traffic().fail("GET /workspaces/{workspace}/members/{member}", 1, fault);
    checks::contributors(&*world.by_password(&SCOPES), &world.scene, &[(alice, false)]).await;
}

#[rstest]
#[case::queued(Verdict::Queued, "INPROGRESS")]
#[case::in_progress(Verdict::InProgress, "INPROGRESS")]
#[case::success(Verdict::Success, "SUCCESSFUL")]
#[case::failure(Verdict::Failure, "FAILED")]
#[case::neutral(Verdict::Neutral, "STOPPED")]
#[case::cancelled(Verdict::Cancelled, "STOPPED")]
#[tokio::test]
async fn reports_by_one_status(#[case] verdict: Verdict, #[case] state: &str) {
    let world = fixture();
    let forge = world.by_password(&SCOPES);
    let (repository, head) = (&world.scene.repository, &world.scene.head);
    // There is always an address, and a key is never too long.
    let report = Report { details_url: None, ..report(CONTEXT, verdict, "Words") };
    forge.report(repository, head, &report).await.unwrap();
    assert_eq!(world.statuses(), [(CONTEXT.to_owned(), state.to_owned(), "Words".to_owned())]);
    assert_eq!(world.calls(), 1);
    let long = Report { context: format!("Konflux / {}", "x".repeat(60)), ..report };
    forge.report(repository, head, &long).await.unwrap();
    forge.report(repository, head, &long).await.unwrap();
    assert_eq!(world.statuses().len(), 2);
}

#[tokio::test]
async fn settles_a_status_that_waits_and_no_other() {
    let world = fixture();
    let forge = world.by_password(&SCOPES);
    let say = async |report: &Report| {
        forge.report(&world.scene.repository, &world.scene.head, report).await.unwrap();
    };
    let replacing = Report {
        replaces: Some("Konflux".to_owned()),
        ..report(CONTEXT, Verdict::InProgress, "CI has Started")
    };
    say(&replacing).await;
    assert_eq!(world.statuses().len(), 1);
    say(&report("Konflux", Verdict::Queued, "Pending approval")).await;
    say(&replacing).await;
    let settled = ("Konflux".to_owned(), "SUCCESSFUL".to_owned(), format!("Continued as {CONTEXT}"));
    assert_eq!(world.statuses()[1], settled);
}

#[tokio::test]
async fn reads_all_pages_and_goes_nowhere_else_for_one() {
    let world = fixture();
    let paths: Vec<String> = (0..620).map(|number| format!("many/{number}.yaml")).collect();
    let many: Vec<(&str, Option<&[u8]>)> =
        paths.iter().map(|path| (path.as_str(), Some(path.as_bytes()))).collect();
    let head = world.cloud.edit(|model| {
        for number in 0..130 {
            let on = CommentOn::Pull(world.scene.pull);
            model.comment(APP, on, "alice", &format!("comment {number}")).unwrap();
        }
        model.commit(APP, "fix/x", "Many", &many).unwrap()
    });
    let forge = world.by_password(&SCOPES);
    let repository = &world.scene.repository;
    let comments = forge.comments(repository, world.scene.pull).await.unwrap();
    assert_eq!((comments.len(), comments[129].text.as_str()), (130, "comment 129"));
    let change = Change::PullRequest(world.scene.pull);
    assert_eq!(forge.changed_files(repository, &change).await.unwrap().added.len(), 621);
    let limits = forge::FileLimits { files: 1000, file: 100, total: 100_000 };
    let files = forge.files(repository, &head.parse().unwrap(), "many", limits, &is_yaml).await.unwrap();
    assert_eq!(files.len(), 620);

    let page = format!(r#"{{"values": [], "next": "{}/2.0/x?page=2"}}"#, "https://evil.test");
    let fault = Fault::Instead { status: 200, headers: Vec::new(), body: page.into_bytes() };
    let route = "GET /repositories/{workspace}/{repo_slug}/pullrequests/{id}/comments";
    world.cloud.traffic().fail(route, 1, fault);
    let text = fails!(forge.comments(repository, world.scene.pull).await, Error::Invalid { .. });
    assert!(text.contains("next page"), "{text}");
}

#[tokio::test]
async fn a_fork_that_is_gone_has_no_commit() {
    let world = fixture();
    world.cloud.edit(|model| model.repositories.retain(|one| one.owner != "mallory"));
    let found = world.by_password(&SCOPES).pull_request(&world.scene.repository, world.scene.fork_pull).await;
    let text = fails!(found, Error::Invalid { .. });
    assert!(text.contains("gone"), "{text}");
}
