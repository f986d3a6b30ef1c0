//! Commits and files.

use forge::{Contents, Error, Provider};
use testkit::forge::{BitbucketCloud, BitbucketServer, GitHub, GitLab, Model, Visibility};
use testkit::gitea::{Gitea, NewUser, Push};

use crate::world::{repository, world};

const TASK: &str = "tasks/build.yaml";

/// A private repository with one file on its branch; returns the commit.
fn fill(model: &mut Model) -> String {
    model.user("dev");
    model.repository("dev/tasks").unwrap().visibility = Visibility::Private;
    model.commit("dev/tasks", "feature/x", "Add a task", &[(TASK, Some(b"kind: Task"))]).unwrap()
}

async fn reads(forge: &dyn Contents, expected: &str) {
    let repository = repository("dev/tasks");
    for revision in ["feature/x", expected] {
        let commit = forge.commit(&repository, revision).await.unwrap();
        assert_eq!(commit.as_str(), expected, "{revision}");
    }
    let commit = expected.parse().unwrap();
    assert_eq!(forge.file(&repository, &commit, TASK, 100).await.unwrap(), b"kind: Task");
    let error = forge.file(&repository, &commit, TASK, 3).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 3, .. }), "{error}");
    for missing in ["tasks", "tasks/other.yaml"] {
        let error = forge.file(&repository, &commit, missing, 10_000).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{missing}: {error}");
    }
    let error = forge.commit(&repository, "gone").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains("\"gone\""), "{error}");
}

async fn hides(forge: &dyn Contents) {
    let repository = repository("dev/tasks");
    let error = forge.commit(&repository, "feature/x").await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. } | Error::Unauthorized { .. }), "{error}");
}

#[tokio::test]
async fn reads_github() {
    let world = world("localhost");
    let github = GitHub::start(&world.authority).unwrap();
    let commit = github.edit(fill);
    let token = github.token("dev", &["repo"]);
    reads(&*world.connect(Provider::GitHub, github.url(), Some(&token)), &commit).await;
    hides(&*world.connect(Provider::GitHub, github.url(), None)).await;
    hides(&*world.connect(Provider::GitHub, github.url(), Some("ghp_wrong"))).await;
}

#[tokio::test]
async fn reads_gitlab() {
    let world = world("localhost");
    let gitlab = GitLab::start(&world.authority).unwrap();
    let commit = gitlab.edit(fill);
    let token = gitlab.token("dev", &["read_api"]);
    reads(&*world.connect(Provider::GitLab, gitlab.url(), Some(&token)), &commit).await;
    hides(&*world.connect(Provider::GitLab, gitlab.url(), None)).await;
}

#[tokio::test]
async fn reads_bitbucket_cloud() {
    let world = world("localhost");
    let cloud = BitbucketCloud::start(&world.authority).unwrap();
    let commit = cloud.edit(fill);
    let token = cloud.access_token("dev/tasks", &["repository"]).unwrap();
    reads(&*world.connect(Provider::BitbucketCloud, cloud.url(), Some(&token)), &commit).await;
    hides(&*world.connect(Provider::BitbucketCloud, cloud.url(), None)).await;
    hides(&*world.connect(Provider::BitbucketCloud, cloud.url(), Some("wrong"))).await;
}

#[tokio::test]
async fn reads_bitbucket_server() {
    let world = world("localhost");
    let server = BitbucketServer::start(&world.authority).unwrap();
    let commit = server.edit(fill);
    let token = server.token("dev", testkit::forge::Access::Read);
    let forge = world.connect(Provider::BitbucketServer, server.url(), Some(&token));
    reads(&*forge, &commit).await;
    assert_eq!(forge.clone_url(&repository("DEV/tasks")), format!("{}/scm/dev/tasks.git", server.url()));
    hides(&*world.connect(Provider::BitbucketServer, server.url(), None)).await;
    hides(&*world.connect(Provider::BitbucketServer, server.url(), Some("wrong"))).await;
}

#[tokio::test]
async fn reads_gitea() {
    let world = world("localhost");
    let gitea = Gitea::start(&world.authority).await.unwrap();
    let scene = gitea.client().unwrap();
    scene
        .ensure_user(&NewUser { name: "dev", password: "a password", is_administrator: false })
        .await
        .unwrap();
    scene.ensure_repository("dev/tasks", true).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tasks")).unwrap();
    std::fs::write(folder.path().join(TASK), "kind: Task").unwrap();
    let push =
        Push { repository: "dev/tasks", branch: "feature/x", folder: folder.path(), message: "Add a task" };
    let commit = scene.push(&push).await.unwrap();
    let token = scene.new_token("dev", "reader", &["read:repository"]).await.unwrap();

    let forge = world.connect(Provider::Gitea, gitea.url(), Some(&token));
    reads(&*forge, commit.commit()).await;
    hides(&*world.connect(Provider::Gitea, gitea.url(), None)).await;
    hides(&*world.connect(Provider::Gitea, gitea.url(), Some("wrong"))).await;
    let repository = repository("dev/tasks");
    assert_eq!(forge.clone_url(&repository), scene.clone_url("dev/tasks"));
}

#[tokio::test]
async fn calls_only_what_may_be_called() {
    let world = world("");
    let forge = world.connect(Provider::GitLab, "https://127.0.0.1:1", Some("t"));
    let error = forge.commit(&repository("dev/tasks"), "main").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && !error.is_transient(), "{error}");
}
