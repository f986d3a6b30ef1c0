//! Somebody else is faster, an answer is lost, or the repository has rules.

use forge::{Changes, Error, Opened, Provider};
use testkit::forge::{Fault, GitHub, GitLab};

use super::{commit, head, request, write};
use crate::scene::{Scene, fill};
use crate::world::{World, fails, world};

fn github() -> (World, GitHub, Scene, Box<dyn Changes>) {
    let world = world("localhost");
    let github = GitHub::start(&world.authority).unwrap();
    let scene = github.edit(|model| fill(model, "acme/app"));
    let forge = world.change(Provider::GitHub, github.url(), &github.token("robot", &["repo"]));
    (world, github, scene, forge)
}

fn refusal(status: u16, message: &str) -> Fault {
    let body = serde_json::json!({ "message": message }).to_string().into_bytes();
    Fault::Instead { status, headers: vec![("content-type", "application/json".to_owned())], body }
}

#[tokio::test]
async fn who_was_slower_has_changed_nothing() {
    let (_world, github, scene, forge) = github();
    let new = commit("fix/x", &scene.main, vec![write("a", b"a")]);
    let update = "PATCH /repos/{owner}/{repo}/git/refs/{*ref}";
    github.traffic().fail(update, 1, refusal(422, "Update is not a fast forward"));
    let lost = forge.push(&scene.repository, &new).await.unwrap_err();
    assert!(lost.is_transient() && matches!(lost, Error::Conflict { .. }), "{lost:?}");
    assert_eq!(head(&*forge, &scene.repository, "fix/x").await, Some(scene.head.clone()));
    forge.push(&scene.repository, &new).await.unwrap();

    let create = "POST /repos/{owner}/{repo}/git/refs";
    github.traffic().fail(create, 1, refusal(422, "Reference already exists"));
    let new = commit("new", &scene.main, vec![write("a", b"a")]);
    fails!(forge.push(&scene.repository, &new).await, Error::Conflict { .. });
    github.traffic().fail(create, 1, refusal(422, "Repository rule violations found"));
    let text = fails!(forge.push(&scene.repository, &new).await, Error::Invalid { .. });
    assert!(text.contains("Repository rule violations found"), "{text}");
}

/// What was made though its answer was lost is found by the next try.
#[tokio::test]
async fn nothing_is_made_twice() {
    let (_world, github, scene, forge) = github();
    let repository = &scene.repository;
    for route in [
        "POST /repos/{owner}/{repo}/git/refs",
        "POST /repos/{owner}/{repo}/pulls",
        "POST /repos/{owner}/{repo}/hooks",
    ] {
        github.traffic().fail(route, 1, Fault::LoseReply);
    }
    let new = commit("new", &scene.main, vec![write("a", b"a")]);
    fails!(forge.push(repository, &new).await, Error::Unreachable { .. });
    assert!(head(&*forge, repository, "new").await.is_some());
    fails!(forge.open_request(repository, &request("new", &[])).await, Error::Unreachable { .. });
    assert_eq!(forge.requests(repository, "new", "main").await.unwrap().len(), 1);
    fails!(forge.ensure_hook(repository, &super::hook("one")).await, Error::Unreachable { .. });
    assert!(!forge.ensure_hook(repository, &super::hook("one")).await.unwrap());
    assert_eq!(github.traffic().count("POST /repos/{owner}/{repo}/pulls"), 1);
    assert_eq!(github.edit(|model| model.repo("acme/app").unwrap().hooks.len()), 1);
}

/// Error 76: nothing is asked any more until the moment that the forge named.
#[tokio::test]
async fn a_used_up_allowance_says_until_when() {
    let (_world, github, scene, forge) = github();
    github.limit_requests(0, http::StatusCode::FORBIDDEN);
    let error = forge.about(&scene.repository).await.unwrap_err();
    let Error::RateLimited { until, .. } = error else { panic!("{error:?}") };
    let wait = until.duration_since(fleet::Clock::system().now()).as_mins();
    assert!((55..=60).contains(&wait), "{wait}");
    let before = github.traffic().calls().len();
    let new = commit("new", &scene.main, vec![write("a", b"a")]);
    fails!(forge.push(&scene.repository, &new).await, Error::RateLimited { .. });
    assert_eq!(github.traffic().calls().len(), before, "GitHub is left alone");
}

#[tokio::test]
async fn a_file_that_came_meanwhile_is_a_race_at_gitlab() {
    let world = world("localhost");
    let gitlab = GitLab::start(&world.authority).unwrap();
    let scene = gitlab.edit(|model| fill(model, "acme/app"));
    let forge = world.change(Provider::GitLab, gitlab.url(), &gitlab.token("robot", &["api"]));
    let exists = Fault::Instead { status: 404, headers: Vec::new(), body: Vec::new() };
    gitlab.traffic().fail("GET /projects/{id}/repository/files/{file_path}", 1, exists);
    let new = commit("fix/x", &scene.main, vec![write("README.md", b"x")]);
    fails!(forge.push(&scene.repository, &new).await, Error::Conflict { .. });
    forge.push(&scene.repository, &new).await.unwrap();
    let opened = forge.open_request(&scene.repository, &request("fix/x", &[])).await;
    assert!(!matches!(opened, Ok(Opened::NoDifference)), "{opened:?}");
}
