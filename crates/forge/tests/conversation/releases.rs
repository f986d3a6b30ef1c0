//! Releases: the same at each forge that has them.

use forge::{Access, Commit, Error, NewRelease, Provider, RecordedHow, Releases, Repository, release};
use testkit::forge::{Fault, GitHub, GitLab};
use testkit::gitea::{Gitea, NewUser, Role};

use crate::gitea::push;
use crate::scene::{MAIN, fill};
use crate::world::{fails, repository, url, world, world_trusting};

fn new(tag: &str, target: Option<&Commit>, notes: &str) -> NewRelease {
    NewRelease {
        tag: tag.to_owned(),
        target: target.cloned(),
        name: format!("App {tag}"),
        notes: notes.to_owned(),
    }
}

async fn how(forge: &dyn Releases, repository: &Repository, release: &NewRelease) -> RecordedHow {
    let recorded = forge.ensure_release(repository, release).await.unwrap();
    assert!(
        recorded.url.contains(&repository.to_string()) && recorded.url.ends_with(&release.tag),
        "{}",
        recorded.url
    );
    recorded.how
}

/// Of a repository with a commit before the last of its default branch.
async fn all(forge: &dyn Releases, repository: &Repository, before: &Commit) {
    let release = new("v1.0", Some(before), "# What is new\n\n| a | b |\n| --- | --- |\n| `x` | y |");
    assert_eq!(how(forge, repository, &release).await, RecordedHow::Created);
    assert_eq!(forge.commit(repository, "v1.0").await.unwrap(), *before, "the tag is where it was wanted");
    assert_eq!(how(forge, repository, &release).await, RecordedHow::Unchanged);
    let better = new("v1.0", Some(before), "Better");
    assert_eq!(how(forge, repository, &better).await, RecordedHow::Updated);
    assert_eq!(how(forge, repository, &better).await, RecordedHow::Unchanged);
    // Without a commit it is where the default branch is.
    let head = forge.commit(repository, "main").await.unwrap();
    assert_eq!(how(forge, repository, &new("v2", None, "")).await, RecordedHow::Created);
    assert_eq!(forge.commit(repository, "v2").await.unwrap(), head);
    let nowhere: Commit = "0123456789012345678901234567890123456789".parse().unwrap();
    assert!(forge.ensure_release(repository, &new("v3", Some(&nowhere), "")).await.is_err());
}

#[tokio::test]
async fn at_github() {
    let world = world("localhost");
    let github = GitHub::start(&world.authority).unwrap();
    let scene = github.edit(|model| fill(model, "acme/app"));
    let forge = world.release(Provider::GitHub, github.url(), &github.token("robot", &["repo"]));
    all(&*forge, &scene.repository, &scene.head).await;

    // What people wrote stays.
    github.edit(|model| model.repo_mut("acme/app").unwrap().releases[0].body = "By hand".to_owned());
    assert_eq!(how(&*forge, &scene.repository, &new("v1.0", None, "Ours")).await, RecordedHow::Foreign);
    assert_eq!(github.edit(|model| model.repo("acme/app").unwrap().releases[0].body.clone()), "By hand");

    // Made though the answer was lost: the next try finds it.
    github.traffic().fail("POST /repos/{owner}/{repo}/releases", 1, Fault::LoseReply);
    let release = new("v4", Some(&scene.main), "x");
    fails!(forge.ensure_release(&scene.repository, &release).await, Error::Unreachable { .. });
    assert_eq!(how(&*forge, &scene.repository, &release).await, RecordedHow::Unchanged);

    let reader = world.release(Provider::GitHub, github.url(), &github.token("carol", &["repo"]));
    fails!(reader.ensure_release(&scene.repository, &new("v5", None, "")).await, Error::NotFound { .. });
}

#[tokio::test]
async fn at_gitlab() {
    let world = world("localhost");
    let gitlab = GitLab::start(&world.authority).unwrap();
    let scene = gitlab.edit(|model| fill(model, "acme/app"));
    let forge = world.release(Provider::GitLab, gitlab.url(), &gitlab.token("robot", &["api"]));
    all(&*forge, &scene.repository, &scene.head).await;
    let reader = world.release(Provider::GitLab, gitlab.url(), &gitlab.token("robot", &["read_api"]));
    fails!(reader.ensure_release(&scene.repository, &new("v5", None, "")).await, Error::Forbidden { .. });
}

#[tokio::test]
async fn at_gitea() {
    let gitea = Gitea::shared().await;
    let administrator = gitea.client().unwrap();
    let app = "releases-org/app";
    let user = NewUser { name: "releases", password: "a password", is_administrator: false };
    administrator.ensure_user(&user).await.unwrap();
    administrator.ensure_organization("releases-org").await.unwrap();
    administrator.ensure_member("releases-org", "Owners", Role::Admin, "releases").await.unwrap();
    administrator.ensure_repository(app, true).await.unwrap();
    push(&administrator, app, "main", "Begin", &MAIN).await;
    let token = administrator.new_token("releases", "releases", &["write:repository"]).await.unwrap();
    let world = world_trusting(gitea.certificate_authority());
    let forge = world.release(Provider::Gitea, gitea.url(), &token);
    let before = forge.commit(&repository(app), "main").await.unwrap();
    push(&administrator, app, "main", "Go on", &[("docs/a.md", "two\n")]).await;
    all(&*forge, &repository(app), &before).await;
}

#[test]
fn bitbucket_has_none() {
    let world = world("localhost");
    for provider in [Provider::BitbucketCloud, Provider::BitbucketServer] {
        let made = release(provider, &url("https://bitbucket.test"), Access::default(), &world.outbound);
        let error = made.map(drop).unwrap_err().to_string();
        assert!(error.contains(&provider.to_string()) && error.contains("have no releases"), "{error}");
    }
}
