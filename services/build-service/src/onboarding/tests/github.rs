//! GitHub, by the App.

use build_service_api::ErrorId;
use fleet::Clock;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use testkit::forge::{Fault, GitHub, NewPull};

use super::fixture::{Fixture, Open, model, repo_of_fake};
use super::{comes_and_goes, files, keeps_what_users_have_changed, looks};
use crate::failure::Failure;
use crate::git::testing::{
    APP, Cluster, Outside, app_data, app_key, github_with_app, gits, outside, source_of,
};

const REPOSITORY: &str = "acme/app";

struct World {
    forge: GitHub,
    seen: Fixture,
    _outside: Outside,
}

repo_of_fake!(World);

fn world() -> World {
    let outside = outside();
    let forge = github_with_app(&outside);
    forge.edit(|model| {
        model::fill(model, REPOSITORY);
        model.install(APP, "acme", &[("contents", "write"), ("pull_requests", "write")]);
    });
    let cluster = Cluster::default();
    cluster.platform(app_data(APP, app_key()));
    let gits = gits(&cluster, &outside, forge.url(), Clock::system());
    let source = source_of(&format!("{}/{REPOSITORY}", forge.url()), None, Some("github"));
    World { forge, seen: Fixture { gits, source }, _outside: outside }
}

#[tokio::test]
async fn pipelines_come_and_go() {
    let world = world();
    comes_and_goes(&world.seen, &world).await;
}

#[tokio::test]
async fn pipelines_of_users_are_kept() {
    let world = world();
    keeps_what_users_have_changed(&world.seen, &world).await;
}

#[tokio::test]
async fn a_repository_is_looked_at() {
    let world = world();
    looks(&world.seen, ErrorId::GitHubNoResourceToOperateOn).await;
    world.forge.edit(|model| {
        let visibility = &mut model.repo_mut(REPOSITORY).unwrap().visibility;
        *visibility = testkit::forge::Visibility::Public;
    });
    assert!(!super::look(&world.seen.access().await, &world.seen.source).await.unwrap().is_private);
    world.forge.edit(|model| model.repositories.clear());
    let gone = super::look(&world.seen.access().await, &world.seen.source).await.unwrap();
    assert_eq!(gone, super::Looked { is_private: true, commit: None });
}

#[tokio::test]
async fn commits_are_by_the_app() {
    let world = world();
    world.seen.proposed("one").await;
    world.forge.edit(|model| {
        let repository = model.repo(REPOSITORY).unwrap();
        let commit = model.resolve(repository, "appstudio-app").unwrap();
        assert_eq!(commit.message, "Konflux update app");
        assert_eq!(
            (commit.author.name.as_str(), commit.author.email.as_str()),
            ("konflux", "rhtap@redhat.com")
        );
        assert_eq!(commit.parents, [repository.head("main").unwrap()]);
    });
}

/// Acceptance scenario 10, merged in a way that leaves no trace of the branch.
#[tokio::test]
async fn an_old_branch_is_begun_anew() {
    let world = world();
    world.seen.proposed("one").await;
    let main = world.forge.edit(|model| {
        let files = files("one");
        let squashed: Vec<(&str, Option<&[u8]>)> =
            files.iter().map(|(path, text)| (path.as_str(), Some(text.as_bytes()))).collect();
        let main = model.commit(REPOSITORY, "main", "Squashed", &squashed).unwrap();
        let pull = model.repo_mut(REPOSITORY).unwrap().pull_mut(1).unwrap();
        pull.state = testkit::forge::PullState::Merged;
        main
    });
    assert_eq!(world.seen.propose("one").await.unwrap(), None);
    assert!(world.seen.proposed("two").await.url.ends_with("/pull/2"));
    world.forge.edit(|model| {
        let repository = model.repo(REPOSITORY).unwrap();
        let commit = model.resolve(repository, "appstudio-app").unwrap();
        assert_eq!(commit.parents, [main], "it could not be merged otherwise");
    });
}

/// A new Component costs its forge so many calls; acceptance scenario 21 depends on it.
#[tokio::test]
async fn a_first_proposal_takes_six_calls() {
    let world = world();
    // The App's token is known by then.
    world.seen.access().await;
    world.forge.traffic().forget();
    world.seen.proposed("one").await;
    assert_eq!(world.forge.traffic().calls().len(), 6, "{}", world.forge.traffic());
}

/// Section 9: whatever breaks off, and wherever, the next try finishes it, and nothing is there twice.
#[tokio::test]
async fn what_breaks_off_is_finished_by_the_next_try() {
    for fault in [Fault::Drop, Fault::LoseReply, Fault::Answer(502)] {
        for route in [
            "POST /repos/{owner}/{repo}/git/trees",
            "POST /repos/{owner}/{repo}/git/commits",
            "POST /repos/{owner}/{repo}/git/refs",
            "POST /repos/{owner}/{repo}/pulls",
        ] {
            let world = world();
            world.forge.traffic().fail(route, 1, fault.clone());
            let mut tries = 0;
            let proposal = loop {
                tries += 1;
                match world.seen.propose("one").await {
                    Ok(proposal) => break proposal.unwrap(),
                    Err(Failure::Transient { .. }) if tries < 3 => {}
                    Err(failure) => panic!("{route} {fault:?}: {failure}"),
                }
            };
            world.forge.edit(|model| {
                let repository = model.repo(REPOSITORY).unwrap();
                assert_eq!(repository.pulls.len(), 1, "{route} {fault:?}");
                let branches: Vec<_> = repository.refs_below("refs/heads/").map(|(name, _)| name).collect();
                assert_eq!(branches, ["appstudio-app", "main"]);
                assert!(proposal.url.ends_with("/pull/1"), "{}", proposal.url);
            });
            assert_eq!(world.seen.propose("one").await.unwrap().unwrap(), proposal);
        }
    }
}

#[tokio::test]
async fn two_open_requests_are_an_error() {
    let world = world();
    world.seen.proposed("one").await;
    world.forge.edit(|model| {
        let new = NewPull {
            title: "Another",
            body: "",
            author: "jane",
            from: REPOSITORY,
            head: "appstudio-app",
            base: "main",
            draft: false,
        };
        model.open_pull(REPOSITORY, new).unwrap();
    });
    let failure = world.seen.propose("two").await.unwrap_err();
    let Failure::Permanent { detail, .. } = failure else { panic!("{failure:?}") };
    assert!(detail.contains("2 requests are open"), "{detail}");
}

/// Section 4.6: that a request could not be opened is said, and the pipelines do not count as proposed.
#[tokio::test]
async fn a_rule_that_prevents_it_is_told() {
    let world = world();
    let body = serde_json::json!({ "message": "Repository rule violations found" }).to_string().into_bytes();
    let headers = vec![("content-type", "application/json".to_owned())];
    let refusal = Fault::Instead { status: 422, headers, body };
    world.forge.traffic().fail("POST /repos/{owner}/{repo}/git/refs", 1, refusal);
    let failure = world.seen.propose("one").await.unwrap_err();
    let Failure::Permanent { id, .. } = failure else { panic!("{failure:?}") };
    assert_eq!(id, ErrorId::RepositoryRulePreventsAction);
}

#[tokio::test]
async fn a_limit_is_waited_for() {
    let world = world();
    world.seen.access().await;
    world.forge.limit_requests(3, http::StatusCode::TOO_MANY_REQUESTS);
    let failure = world.seen.propose("one").await.unwrap_err();
    let Failure::Transient { retry_after: Some(after), .. } = failure else { panic!("{failure:?}") };
    assert!((50 * 60..=61 * 60).contains(&after.as_secs()), "{after:?}");
}
