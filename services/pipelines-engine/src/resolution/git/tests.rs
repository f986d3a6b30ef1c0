//! Against repositories that the program `git` makes, as paths and behind a server of smart HTTP.

use std::path::Path;
use std::process::Stdio;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as Received;
use axum::response::{IntoResponse as _, Redirect, Response as Answer};
use fleet::outbound::Options;
use http_body_util::BodyExt as _;
use pipelines_engine_api::Param;
use rstest::rstest;
use tokio::io::AsyncWriteExt as _;

use super::*;

const TASK: &str = "tasks/build.yaml";

fn outbound(allow: &str) -> outbound::Client {
    let options = Options { allow: allow.parse().unwrap(), ..Options::default() };
    outbound::Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new()).unwrap()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"])
        .args(["-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with two commits and a tag at the first; and the names of both.
fn repository() -> (tempfile::TempDir, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    git(root, &["init", "--quiet"]);
    git(root, &["config", "uploadpack.allowFilter", "true"]);
    let commit = |content: &str| {
        std::fs::create_dir_all(root.join("tasks")).unwrap();
        std::fs::write(root.join(TASK), content).unwrap();
        git(root, &["add", "."]);
        git(root, &["commit", "--quiet", "-m", content]);
        git(root, &["rev-parse", "HEAD"])
    };
    let first = commit("kind: Task # 1");
    git(root, &["tag", "-a", "v1", "-m", "one"]);
    let second = commit("kind: Task # 2");
    git(root, &["branch", "feature/x"]);
    (folder, first, second)
}

fn question(url: &str, revision: &str, path: &str) -> GitQuestion {
    parse(&[("url", url), ("revision", revision), ("pathInRepo", path)], &GitSettings::default()).unwrap()
}

fn parse(params: &[(&str, &str)], settings: &GitSettings) -> Result<GitQuestion, String> {
    let params: Vec<_> = params.iter().map(|(name, value)| Param::new(*name, *value)).collect();
    GitQuestion::parse("tenant", "resolvers", Params::new(&params), settings)
}

/// An API server that is not to be asked.
fn nobody() -> kube::Client {
    let service = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("not to be called"))
    });
    kube::Client::new(service, "tenant")
}

async fn resolve(git: &Git, url: &str, revision: &str, path: &str) -> Result<Resource, Failure> {
    git.resolve(&nobody(), &question(url, revision, path)).await
}

async fn resolves_revisions(git: &Git, url: &str, first: &str, second: &str) {
    for (revision, commit) in [("v1", first), (first, first), ("main", second), ("feature/x", second)] {
        let found = resolve(git, url, revision, TASK).await.unwrap();
        let expected: &[u8] = if commit == first { b"kind: Task # 1" } else { b"kind: Task # 2" };
        assert_eq!(found.data, expected, "{revision}");
        assert_eq!(found.source.digest["sha1"], commit, "{revision}");
        assert_eq!(found.source.uri, format!("git+{url}"));
        assert_eq!(found.source.entry_point, TASK);
        assert_eq!(found.annotations["resolution.tekton.dev/revision"], commit);
    }
}

/// Serves the repositories below `root` with `git http-backend`, by plain http.
async fn serve(root: &Path) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let root = root.to_owned();
    let router = Router::new().fallback(move |request: Received| backend(root.clone(), request));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn backend(root: std::path::PathBuf, request: Received) -> Answer {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    if let Some(rest) = parts.uri.path().strip_prefix("/moved/") {
        return Redirect::permanent(&format!("/repo/{rest}?{query}")).into_response();
    }
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", parts.uri.path().replacen("/repo", "", 1))
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let body = body.collect().await.unwrap().to_bytes();
    child.stdin.take().unwrap().write_all(&body).await.unwrap();
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut answer = http::Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        answer = if name == "Status" { answer.status(&value[..3]) } else { answer.header(name, value) };
    }
    answer.body(Body::from(output[end + 4..].to_vec())).unwrap()
}

#[tokio::test]
async fn scenario_20_reads_a_file_at_a_revision() {
    let (folder, first, second) = repository();
    let url = folder.path().to_str().unwrap();
    let git = Git::new(outbound("")).with_paths();
    resolves_revisions(&git, url, &first, &second).await;
    for (revision, path, why) in [
        ("gone", TASK, "there is no revision \"gone\""),
        (&first[..7], TASK, "all of its 40 digits"),
        ("main", "tasks/other.yaml", "there is no file \"tasks/other.yaml\""),
        ("main", "tasks", "there is no file \"tasks\""),
    ] {
        let error = resolve(&git, url, revision, path).await.unwrap_err();
        assert!(matches!(&error, Failure::Permanent(said) if said.contains(why)), "{error}");
    }
    let refused = resolve(&Git::new(outbound("")), url, "main", TASK).await.unwrap_err();
    assert!(refused.to_string().contains("own machine"), "{refused}");
}

#[tokio::test]
async fn scenario_20_reads_over_http_through_the_guard() {
    let (folder, first, second) = repository();
    let server = serve(&folder.path().join(".git")).await;
    let git = Git::new(outbound(&server));
    resolves_revisions(&git, &format!("{server}/repo"), &first, &second).await;
    resolves_revisions(&git, &format!("{server}/moved"), &first, &second).await;
    let error = resolve(&git, &format!("{server}/gone"), "main", TASK).await.unwrap_err();
    assert!(matches!(&error, Failure::Permanent(why) if why.contains("no such repository")), "{error}");

    let guarded = Git::new(outbound(""));
    let private = "https://127.0.0.1:1/repo";
    let error = resolve(&guarded, private, "main", TASK).await.unwrap_err();
    assert!(matches!(&error, Failure::Permanent(why) if why.contains("--outbound-allow")), "{error}");
    let dead = Git::new(outbound("127.0.0.1"));
    let error = resolve(&dead, private, "main", TASK).await.unwrap_err();
    assert!(matches!(&error, Failure::Transient { .. }), "{error}");
}

#[tokio::test]
async fn stops_at_its_limits() {
    let (folder, ..) = repository();
    let root = folder.path();
    std::fs::write(root.join("large"), "x".repeat(2_000_000)).unwrap();
    // Of names that cannot be compressed away: folders are fetched whole.
    for index in 0..2000_u32 {
        let name = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 32]>());
        std::fs::write(root.join("tasks").join(name), index.to_string()).unwrap();
    }
    git(root, &["add", "."]);
    git(root, &["commit", "--quiet", "-m", "large"]);
    let path = root.to_str().unwrap();
    let git = Git::new(outbound("")).with_paths();
    let error = resolve(&git, path, "main", "large").await.unwrap_err().to_string();
    assert!(error.contains("larger than 1048576 bytes"), "{error}");

    let server = serve(&root.join(".git")).await;
    let url = Url::parse(&format!("{server}/repo")).unwrap();
    let limits = Limits { timeout: Duration::from_secs(30), file: 100 };
    let gateway = Gateway::start(&outbound(&server), url, 50_000, limits.timeout).await.unwrap();
    Program::new(1).read(gateway.url(), "http", "main", TASK, limits).await.unwrap_err();
    assert_eq!(gateway.trouble().unwrap().to_string(), "the repository is too large");
}

#[tokio::test]
async fn a_server_that_never_answers_takes_its_time_only() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let settings = GitSettings { fetch_timeout: Duration::from_millis(300), ..GitSettings::default() };
    let params = [("url", &*format!("{server}/repo")), ("pathInRepo", TASK)];
    let question = parse(&params, &settings).unwrap();
    let error = Git::new(outbound(&server)).resolve(&nobody(), &question).await.unwrap_err();
    assert!(matches!(error, Failure::Transient { .. }), "{error}");
}

#[rstest]
#[case::option("-upload-pack=x", false)]
#[case::mapping("main:other", false)]
#[case::force("+main", false)]
#[case::parent("main..other", false)]
#[case::expression("main^", false)]
#[case::reflog("main@{1}", false)]
#[case::pattern("refs/*", false)]
#[case::space("a b", false)]
#[case::branch("feature/x-1_2.3#4", true)]
#[case::full_name("refs/pull/1/head", true)]
fn checks_revisions(#[case] revision: &str, #[case] expected: bool) {
    assert_eq!(check_revision(revision).is_ok(), expected);
}

#[rstest]
#[case::file("tasks/build.yaml", true)]
#[case::parent("../build.yaml", false)]
#[case::parent_within("tasks/../../build.yaml", false)]
#[case::option("--help", false)]
#[case::empty_part("tasks//build.yaml", false)]
#[case::folder("tasks/", false)]
fn checks_paths(#[case] path: &str, #[case] expected: bool) {
    assert_eq!(check_path(path).is_ok(), expected);
}

#[rstest]
#[case::https("https://git.test/org/repo.git", None)]
#[case::ssh("git@git.test:org/repo", Some("use its address for https"))]
#[case::git("git://git.test/org/repo", Some("use its address for https"))]
#[case::file("file:///etc", Some("neither https:// nor http://"))]
#[case::ext("ext::sh -c x", Some("neither https:// nor http://"))]
#[case::option("--upload-pack=x", Some("no address"))]
#[case::password("https://u:hunter2@git.test/org/repo", Some("no user or password"))]
#[case::query("https://git.test/org/repo?x=y", Some("neither ? nor #"))]
fn checks_addresses(#[case] url: &str, #[case] wrong: Option<&str>) {
    let checked = clone_of(url);
    match wrong {
        None => assert!(checked.is_ok(), "{checked:?}"),
        Some(why) => {
            let error = checked.unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
    }
}

/// A forge of the operator's, with the operator's token.
fn configured() -> GitSettings {
    GitSettings {
        org: "konflux-ci".to_owned(),
        scm_type: "gitlab".to_owned(),
        server_url: "https://git.test".to_owned(),
        token_secret: "operator".to_owned(),
        ..GitSettings::default()
    }
}

/// The server, and the Secret.
#[rstest]
#[case::configured(&[], Some(("https://git.test/", Some(("resolvers", "operator")))))]
#[case::own_token(&[("token", "mine")], Some(("https://git.test/", Some(("tenant", "mine")))))]
#[case::other_server(&[("serverURL", "https://evil.test")], Some(("https://evil.test/", None)))]
#[case::other_server_and_token(&[("serverURL", "https://other.test"), ("token", "mine")], Some(("https://other.test/", Some(("tenant", "mine")))))]
#[case::other_provider(&[("scmType", "github")], Some(("https://github.com/", None)))]
#[case::gitea_has_no_default(&[("scmType", "gitea")], None)]
#[case::unknown_provider(&[("scmType", "svn")], None)]
#[case::both(&[("url", "https://git.test/x")], None)]
fn a_token_stays_with_its_server(
    #[case] params: &[(&str, &str)],
    #[case] expected: Option<(&str, Option<(&str, &str)>)>,
) {
    let all = [&[("repo", "tasks"), ("pathInRepo", TASK)], params].concat();
    let found = parse(&all, &configured()).ok().map(|question| match question.from {
        From::Forge { server, token, .. } => {
            (server.to_string(), token.map(|token| (token.namespace, token.secret)))
        }
        From::Clone { url } => (url, None),
    });
    let owned = |(server, token): (&str, Option<(&str, &str)>)| {
        (server.to_owned(), token.map(|(namespace, secret)| (namespace.to_owned(), secret.to_owned())))
    };
    assert_eq!(found, expected.map(owned));
}
