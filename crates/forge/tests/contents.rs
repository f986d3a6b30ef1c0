//! Reads files of forges, by the client that services use.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use fleet::Secret;
use fleet::outbound::{self, Options, Url};
use forge::{Contents, Error, Provider, Repository, connect};
use testkit::forge::{GitHub, GitLab, Model, Visibility};
use testkit::gitea::{Gitea, NewUser, Push};
use testkit::pki::Authority;

const TASK: &str = "tasks/build.yaml";

struct World {
    authority: Authority,
    outbound: outbound::Client,
    _folder: tempfile::TempDir,
}

fn world(allow: &str) -> World {
    let authority = Authority::new("forge-test").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.crt");
    std::fs::write(&bundle, authority.cert_pem()).unwrap();
    let options = Options { allow: allow.parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
    let registry = prometheus::Registry::new();
    let outbound = outbound::Client::new("test", options, fleet::Clock::system(), &registry).unwrap();
    World { authority, outbound, _folder: folder }
}

impl World {
    fn connect(&self, provider: Provider, server: &str, token: Option<&str>) -> Box<dyn Contents> {
        let token = token.map(|token| Secret::new(token.to_owned()));
        connect(provider, &Url::parse(server).unwrap(), token.as_ref(), &self.outbound).unwrap()
    }
}

/// A private repository with one file on its branch; returns the commit.
fn fill(model: &mut Model) -> String {
    model.user("dev");
    model.repository("dev/tasks").unwrap().visibility = Visibility::Private;
    model.commit("dev/tasks", "feature/x", "Add a task", &[(TASK, Some(b"kind: Task"))]).unwrap()
}

async fn reads(forge: &dyn Contents, expected: &str) {
    let repository = Repository::new("dev", "tasks").unwrap();
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
    let repository = Repository::new("dev", "tasks").unwrap();
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
    let repository = Repository::new("dev", "tasks").unwrap();
    assert_eq!(forge.clone_url(&repository), scene.clone_url("dev/tasks"));
}

#[tokio::test]
async fn calls_only_what_may_be_called() {
    let world = world("");
    let forge = world.connect(Provider::GitLab, "https://127.0.0.1:1", Some("t"));
    let error = forge.commit(&Repository::new("dev", "tasks").unwrap(), "main").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && !error.is_transient(), "{error}");
}
