//! Reads files of forges, by the client that services use.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::routing::get;
use fleet::Secret;
use fleet::outbound::{self, Options, Url};
use forge::{Contents, Error, Provider, Repository, connect};
use http::{HeaderMap, StatusCode};
use testkit::forge::{GitHub, GitLab, Model, Visibility};
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

/// The two calls of Gitea that are used, as its API has them.
fn gitea(commit: &'static str) -> axum::Router {
    let may = |headers: &HeaderMap| headers.get("authorization").is_some_and(|token| token == "token t");
    let commits = move |headers: HeaderMap, Path(revision): Path<String>| async move {
        let is_known = ["feature/x", commit].contains(&revision.as_str());
        if may(&headers) && is_known {
            Ok(Json(serde_json::json!({"sha": commit})))
        } else {
            Err(StatusCode::NOT_FOUND)
        }
    };
    let raw = move |headers: HeaderMap, Path(path): Path<String>, RawQuery(query): RawQuery| async move {
        let is_there = path == TASK && query == Some(format!("ref={commit}"));
        if may(&headers) && is_there { Ok("kind: Task") } else { Err(StatusCode::NOT_FOUND) }
    };
    axum::Router::new()
        .route("/api/v1/repos/dev/tasks/git/commits/{revision}", get(commits))
        .route("/api/v1/repos/dev/tasks/raw/{*path}", get(raw))
}

#[tokio::test]
async fn reads_gitea() {
    let commit = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, gitea(commit)).await });
    let world = world(&server);
    let forge = world.connect(Provider::Gitea, &server, Some("t"));
    reads(&*forge, commit).await;
    hides(&*world.connect(Provider::Gitea, &server, None)).await;
    let repository = Repository::new("dev", "tasks").unwrap();
    assert_eq!(forge.clone_url(&repository), format!("{server}/dev/tasks.git"));
    serving.abort();
}

#[tokio::test]
async fn calls_only_what_may_be_called() {
    let world = world("");
    let forge = world.connect(Provider::GitLab, "https://127.0.0.1:1", Some("t"));
    let error = forge.commit(&Repository::new("dev", "tasks").unwrap(), "main").await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && !error.is_transient(), "{error}");
}
