//! GitLab.

use forge::{Changes, Error, Opened, Provider};
use testkit::forge::{Access, GitLab, Visibility};

use super::{TARGET, all, commit, hook, request, write};
use crate::scene::{Scene, fill};
use crate::world::{World, fails, world};

const APP: &str = "acme/platform/app";

struct Fixture {
    world: World,
    gitlab: GitLab,
    scene: Scene,
}

fn fixture() -> Fixture {
    let world = world("localhost");
    let gitlab = GitLab::start(&world.authority).unwrap();
    let scene = gitlab.edit(|model| {
        model.organization("acme");
        fill(model, APP)
    });
    Fixture { world, gitlab, scene }
}

impl Fixture {
    fn by(&self, login: &str, scopes: &[&str]) -> Box<dyn Changes> {
        self.world.change(Provider::GitLab, self.gitlab.url(), &self.gitlab.token(login, scopes))
    }

    fn robot(&self) -> Box<dyn Changes> {
        self.by("robot", &["api"])
    }
}

#[tokio::test]
async fn changes() {
    let world = fixture();
    world.gitlab.edit(|model| {
        model.repo_mut("mallory/app").unwrap().collaborator("robot", Access::Read);
    });
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
    world.gitlab.edit(|model| {
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
    world.gitlab.edit(|model| model.set_ref(APP, "refs/heads/same", world.scene.main.as_str()).unwrap());
    assert_eq!(forge.open_request(repository, &request("same", &[])).await.unwrap(), Opened::NoDifference);
    fails!(forge.open_request(repository, &request("none", &[])).await, Error::NotFound { .. });
}

#[tokio::test]
async fn a_webhook_keeps_its_other_events() {
    let world = fixture();
    let (forge, repository) = (world.robot(), &world.scene.repository);
    forge.ensure_hook(repository, &hook("one")).await.unwrap();
    world.gitlab.edit(|model| {
        let hooks = &mut model.repo_mut(APP).unwrap().hooks;
        hooks[0].events = vec!["releases_events".to_owned(), "push_events".to_owned()];
    });
    let insecure = forge::Hook { verify_tls: false, ..hook("two") };
    assert!(!forge.ensure_hook(repository, &insecure).await.unwrap());
    let hooks = world.gitlab.edit(|model| model.repo(APP).unwrap().hooks.clone());
    let [ours] = &hooks[..] else { panic!("{hooks:?}") };
    let mut events = ours.events.clone();
    events.sort_unstable();
    assert_eq!(events, ["merge_requests_events", "note_events", "push_events", "releases_events"]);
    assert_eq!((ours.url.as_str(), ours.secret.as_deref(), ours.verifies_tls), (TARGET, Some("two"), false));
}

#[tokio::test]
async fn a_token_may_be_for_less() {
    let world = fixture();
    let repository = &world.scene.repository;
    let new = commit("x", &world.scene.main, vec![write("a", b"a")]);
    let forge = world.by("robot", &["read_api"]);
    assert!(forge.about(repository).await.unwrap().is_private);
    let text = fails!(forge.push(repository, &new).await, Error::Forbidden { .. });
    assert!(text.contains("insufficient_scope"), "{text}");
    fails!(world.by("carol", &["api"]).push(repository, &new).await, Error::Forbidden { .. });
    fails!(world.by("mallory", &["api"]).about(repository).await, Error::NotFound { .. });
    world.gitlab.edit(|model| model.repo_mut(APP).unwrap().visibility = Visibility::Internal);
    assert!(world.by("mallory", &["api"]).about(repository).await.unwrap().is_private, "one has to sign in");
}
