//! A forge that is slow, floods, lies, or is not there.

use std::time::Duration;

use forge::{Change, Error, Forge, Provider, User, Verdict};
use rstest::rstest;
use testkit::forge::{Caller, Fault, GitHub};

use crate::checks::{LIMITS, is_yaml};
use crate::scene::{Scene, fill};
use crate::world::{World, fails, report, user, world};

const APP: &str = "acme/app";

struct Fixture {
    world: World,
    github: GitHub,
    scene: Scene,
    forge: Box<dyn Forge>,
}

fn fixture() -> Fixture {
    let world = world("localhost");
    let github = GitHub::start(&world.authority).unwrap();
    let scene = github.edit(|model| fill(model, APP));
    let token = github.token("robot", &["repo"]);
    let forge = world.converse(Provider::GitHub, github.url(), &token);
    Fixture { world, github, scene, forge }
}

fn instead(status: u16, headers: &[(&'static str, &str)], body: &str) -> Fault {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Fault::Instead { status, headers, body: body.as_bytes().to_vec() }
}

const HTML: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const PAGE: &str = "<html><title>Sign in</title></html>";

const COMMIT: &str = "GET /repos/{owner}/{repo}/commits/{ref}";
const STATUS: &str = "POST /repos/{owner}/{repo}/statuses/{sha}";
const FILES: &str = "GET /repos/{owner}/{repo}/pulls/{number}/files";
const MEMBER: &str = "GET /orgs/{org}/members/{username}";
const COLLABORATOR: &str = "GET /repos/{owner}/{repo}/collaborators/{username}";

#[tokio::test]
async fn a_page_for_people_is_named_with_its_address_and_what_was_expected() {
    let world = fixture();
    let (repository, head) = (&world.scene.repository, &world.scene.head);
    for (route, path) in
        [(COMMIT, "/api/v3/repos/acme/app/commits/main"), (STATUS, "/api/v3/repos/acme/app/statuses/")]
    {
        world.github.traffic().fail(route, 1, instead(200, HTML, PAGE));
        let failed = if route == COMMIT {
            world.forge.describe(repository, "main").await.map(drop)
        } else {
            let report = report("Konflux", Verdict::Success, "Success");
            world.forge.report(repository, head, &report).await.map(drop)
        };
        let text = fails!(failed, Error::Invalid { .. });
        let host = world.github.url().trim_start_matches("https://");
        for part in [host, path, "JSON", "text/html"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        // What it says may be a secret.
        assert!(!text.contains("Sign in"), "{text}");
    }
}

#[tokio::test]
async fn a_flood_is_not_taken_in() {
    let world = fixture();
    let flood = format!("[\"{}\"]", "x".repeat(9 * 1024 * 1024));
    let change = Change::PullRequest(world.scene.pull);
    world.github.traffic().fail(FILES, 1, instead(200, JSON, &flood));
    let found = world.forge.changed_files(&world.scene.repository, &change).await;
    fails!(found, Error::TooLarge { limit: 8_388_608, .. });

    // The size that was told before is a lie.
    let listed =
        r#"[{"type": "file", "path": ".tekton/a.yaml", "size": 3, "download_url": "https://x.test"}]"#;
    let contents = "GET /repos/{owner}/{repo}/contents/{*path}";
    world.github.traffic().fail(contents, 1, instead(200, JSON, listed));
    world.github.traffic().fail(contents, 1, instead(200, &[], &"x".repeat(1001)));
    let (repository, main) = (&world.scene.repository, &world.scene.main);
    let read = world.forge.files(repository, main, ".tekton", LIMITS, &is_yaml).await;
    fails!(read, Error::TooLarge { limit: 1000, .. });
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let world = fixture();
    let next = [("link", "<https://localhost/next>; rel=\"next\"")];
    world.github.traffic().fail(FILES, 1000, instead(200, &next, "[]"));
    let change = Change::PullRequest(world.scene.pull);
    let found = world.forge.changed_files(&world.scene.repository, &change).await;
    let text = fails!(found, Error::Invalid { .. });
    assert!(text.contains("100 pages"), "{text}");
    assert_eq!(world.github.traffic().count(FILES), 100);
}

#[tokio::test]
async fn directories_without_end_are_given_up() {
    let world = fixture();
    let listed = r#"[{"type": "dir", "path": ".tekton/again", "size": 0}]"#;
    let contents = "GET /repos/{owner}/{repo}/contents/{*path}";
    world.github.traffic().fail(contents, 1000, instead(200, JSON, listed));
    let (repository, main) = (&world.scene.repository, &world.scene.main);
    let read = world.forge.files(repository, main, ".tekton", LIMITS, &is_yaml).await;
    let text = fails!(read, Error::Invalid { .. });
    assert!(text.contains("directories"), "{text}");
}

#[tokio::test]
async fn a_listing_of_another_shape_is_not_taken_for_an_empty_directory() {
    let world = fixture();
    let contents = "GET /repos/{owner}/{repo}/contents/{*path}";
    world.github.traffic().fail(contents, 1, instead(200, JSON, r#"["a.yaml"]"#));
    let (repository, main) = (&world.scene.repository, &world.scene.main);
    fails!(world.forge.files(repository, main, ".tekton", LIMITS, &is_yaml).await, Error::Invalid { .. });
}

#[tokio::test]
async fn a_commit_has_a_commits_name() {
    let world = fixture();
    world.github.traffic().fail(COMMIT, 1, instead(200, &[], "../../other"));
    let text = fails!(world.forge.commit(&world.scene.repository, "main").await, Error::Invalid { .. });
    assert!(text.contains("40 lower-case"), "{text}");
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_asked_again_and_left() {
    let world = fixture();
    world.github.traffic().fail(COMMIT, 2, Fault::Hang);
    let asked = world.forge.describe(&world.scene.repository, "main");
    let waited = async {
        for asked in 1..=2 {
            while world.github.traffic().count(COMMIT) < asked {
                tokio::task::yield_now().await;
            }
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(31)).await;
            tokio::time::resume();
        }
    };
    let (found, ()) = tokio::join!(asked, waited);
    let error = found.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error}");
}

#[rstest]
#[case::away(503, "600")]
#[case::too_many(429, "600")]
#[tokio::test]
async fn a_forge_says_when_it_will_be_back(#[case] status: u16, #[case] after: &str) {
    let world = fixture();
    world.github.traffic().fail(COMMIT, 1, instead(status, &[("retry-after", after)], ""));
    let error = world.forge.describe(&world.scene.repository, "main").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let wait = error.retry_at().unwrap().duration_since(fleet::Clock::system().now()).as_secs();
    assert!((590..=600).contains(&wait), "{wait}");
    assert_eq!(world.github.traffic().count(COMMIT), 1);
}

#[tokio::test]
async fn a_token_does_not_follow_to_another_server() {
    let world = fixture();
    let other = GitHub::start(&world.world.authority).unwrap();
    other.edit(|model| {
        let commit = model.repository("evil/app").map(|one| one.head("main").unwrap().to_owned());
        commit.unwrap()
    });
    let there = format!("{}/repos/evil/app/commits/main", other.api_url());
    world.github.traffic().fail(COMMIT, 1, instead(302, &[("location", &there)], ""));
    world.forge.describe(&world.scene.repository, "main").await.unwrap();
    let calls = other.traffic().calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].caller, Caller::Anonymous);
}

#[tokio::test]
async fn a_report_that_went_elsewhere_was_not_made() {
    let world = fixture();
    let there = format!("{}/zen", world.github.api_url());
    for status in [301, 302, 307] {
        world.github.traffic().fail(STATUS, 1, instead(status, &[("location", &there)], ""));
        let report = report("Konflux", Verdict::Success, "Success");
        let said = world.forge.report(&world.scene.repository, &world.scene.head, &report).await;
        let text = fails!(said, Error::Invalid { .. });
        assert!(text.contains("renamed or moved"), "{text}");
    }
    assert_eq!(world.github.traffic().count("GET /zen"), 0);
}

/// Nothing but the forge's own yes lets somebody in.
#[rstest]
#[case::a_page(200, HTML, PAGE)]
#[case::a_list(200, JSON, r#"[{"login": "mallory"}]"#)]
#[case::an_account(200, JSON, r#"{"login": "mallory"}"#)]
#[case::accepted(202, &[], "")]
#[case::moved(301, &[("location", "https://localhost:1/yes")], "")]
#[case::broken(500, &[], "")]
#[tokio::test]
async fn no_other_answer_is_a_yes(
    #[case] status: u16,
    #[case] headers: &[(&'static str, &str)],
    #[case] body: &str,
) {
    let world = fixture();
    for route in [MEMBER, COLLABORATOR] {
        world.github.traffic().heal();
        world.github.traffic().fail(route, 1, instead(status, headers, body));
        let found = world.forge.is_contributor(&world.scene.repository, &user("mallory")).await;
        assert!(found.is_err(), "{route}: {found:?}");
    }
}

#[tokio::test]
async fn a_yes_of_another_server_counts_for_nothing() {
    let world = fixture();
    let other = GitHub::start(&world.world.authority).unwrap();
    other.edit(|model| {
        model.repository("evil/app").map(drop).unwrap();
        model.member("evil", "mallory", testkit::forge::Access::Read).unwrap().is_public = true;
    });
    let yes = format!("{}/orgs/evil/public_members/mallory", other.api_url());
    world.github.traffic().fail(MEMBER, 1, instead(302, &[("location", &yes)], ""));
    assert!(!world.forge.is_contributor(&world.scene.repository, &user("mallory")).await.unwrap());
    assert_eq!(other.traffic().calls().len(), 0);
}

#[rstest]
#[case::parent("..")]
#[case::same(".")]
#[case::nothing("")]
#[case::list("alice/..")]
#[tokio::test]
async fn a_name_is_no_way_out_of_an_address(#[case] name: &str) {
    let world = fixture();
    let stranger = User { login: name.to_owned(), id: None };
    let found = world.forge.is_contributor(&world.scene.repository, &stranger).await;
    assert!(!matches!(found, Ok(true)), "{found:?}");
    let file =
        world.forge.file(&world.scene.repository, &world.scene.main, ".tekton/../README.md", 100).await;
    assert!(file.is_err(), "{file:?}");
    for path in ["../README.md", "./README.md"] {
        let file = world.forge.file(&world.scene.repository, &world.scene.main, path, 100).await;
        let text = fails!(file, Error::Invalid { .. });
        assert!(text.contains("a part of its name"), "{text}");
    }
    let revision = world.forge.describe(&world.scene.repository, name).await;
    assert!(revision.is_err(), "{revision:?}");
}
