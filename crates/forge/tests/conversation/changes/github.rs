//! GitHub.

use forge::{Changes, Error, Opened, Provider};
use testkit::forge::{GitHub, Hook};

use super::{all, commit, head, hook, request, write};
use crate::scene::{Scene, fill};
use crate::world::{World, fails, world};

const APP: &str = "acme/app";

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
    fn by(&self, login: &str, scopes: &[&str]) -> Box<dyn Changes> {
        self.world.change(Provider::GitHub, self.github.url(), &self.github.token(login, scopes))
    }

    fn robot(&self) -> Box<dyn Changes> {
        self.by("robot", &["repo"])
    }

    fn hooks(&self) -> Vec<Hook> {
        self.github.edit(|model| model.repo(APP).unwrap().hooks.clone())
    }

    fn add_hook(&self, url: &str, events: &[&str]) {
        self.github.edit(|model| {
            let (id, now) = (model.next_id(), model.now());
            let events = events.iter().map(|event| (*event).to_owned()).collect();
            model.repo_mut(APP).unwrap().hooks.push(Hook {
                id,
                url: url.to_owned(),
                secret: None,
                events,
                content_type: "form".to_owned(),
                verifies_tls: true,
                active: false,
                created_at: now,
                updated_at: now,
            });
        });
    }
}

#[tokio::test]
async fn changes() {
    let world = fixture();
    all(&*world.robot(), &world.scene.repository).await;
}

#[tokio::test]
async fn a_commit_has_its_author_and_modes() {
    let world = fixture();
    let (forge, repository) = (world.robot(), &world.scene.repository);
    let mut program = write("run", b"#!/bin/sh\n");
    program.executable = true;
    let new = commit("x", &world.scene.main, vec![program, write("text", b"x")]);
    let made = forge.push(repository, &new).await.unwrap();
    world.github.edit(|model| {
        let objects = model.objects(model.repo(APP).unwrap());
        let commit = objects.commit(made.as_str()).unwrap();
        assert_eq!(
            (commit.author.name.as_str(), commit.author.email.as_str()),
            ("konflux", "konflux@example.com")
        );
        assert_eq!(commit.parents, [world.scene.main.as_str()]);
        let files = objects.files(&commit.tree);
        assert_eq!((files["run"].mode.as_str(), files["text"].mode.as_str()), ("100755", "100644"));
    });
}

#[tokio::test]
async fn a_merged_branch_has_nothing_to_propose() {
    let world = fixture();
    let (forge, repository) = (world.robot(), &world.scene.repository);
    world.github.edit(|model| model.set_ref(APP, "refs/heads/same", world.scene.main.as_str()).unwrap());
    assert_eq!(forge.open_request(repository, &request("same", &[])).await.unwrap(), Opened::NoDifference);
    fails!(forge.open_request(repository, &request("none", &[])).await, Error::Invalid { .. });
}

/// Acceptance scenario 4: one webhook, also where there are more than fit on a page.
#[tokio::test]
async fn a_webhook_is_found_among_many_and_keeps_its_other_events() {
    let world = fixture();
    let (forge, repository) = (world.robot(), &world.scene.repository);
    for number in 0..130 {
        world.add_hook(&format!("https://other.test/{number}"), &["push"]);
    }
    world.add_hook(super::TARGET, &["release", "push"]);
    assert!(!forge.ensure_hook(repository, &hook("one")).await.unwrap());
    let hooks = world.hooks();
    assert_eq!(hooks.len(), 131);
    let ours = hooks.last().unwrap();
    assert_eq!(ours.events, ["release", "push", "pull_request", "issue_comment", "commit_comment"]);
    assert_eq!((ours.secret.as_deref(), ours.content_type.as_str()), (Some("one"), "json"));
    assert!(ours.active && ours.verifies_tls);
    let insecure = forge::Hook { verify_tls: false, ..hook("two") };
    forge.ensure_hook(repository, &insecure).await.unwrap();
    let ours = world.hooks().pop().unwrap();
    assert_eq!((ours.secret.as_deref(), ours.verifies_tls), (Some("two"), false));
    assert!(forge.delete_hook(repository, super::TARGET).await.unwrap());
    assert!(world.hooks().iter().all(|hook| hook.url.starts_with("https://other.test/")));
    assert_eq!(world.hooks().len(), 130);
}

/// Error 75 tells what the token may do.
#[tokio::test]
async fn what_a_token_may_not_do_is_told_with_its_scopes() {
    let world = fixture();
    let repository = &world.scene.repository;
    let forge = world.by("robot", &["public_repo", "admin:repo_hook"]);
    let text = fails!(forge.about(repository).await, Error::NotFound { .. });
    assert!(text.contains("scopes of our token: public_repo, admin:repo_hook"), "{text}");
    // carol reads, and pushes nothing.
    let forge = world.by("carol", &["repo"]);
    let new = commit("x", &world.scene.main, vec![write("a", b"a")]);
    fails!(forge.push(repository, &new).await, Error::NotFound { .. });
    assert_eq!(head(&*world.robot(), repository, "x").await, None);
}

#[tokio::test]
async fn an_archived_repository_says_so() {
    let world = fixture();
    world.github.edit(|model| model.repo_mut(APP).unwrap().is_archived = true);
    assert!(world.robot().about(&world.scene.repository).await.unwrap().is_archived);
}
