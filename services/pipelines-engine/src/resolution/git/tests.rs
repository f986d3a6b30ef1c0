//! Against repositories that the program `git` makes, as paths and behind a server of smart HTTP.

use fleet::outbound::Options;
use pipelines_engine_api::Param;
use rstest::rstest;
use testkit::git_server::{GitServer, Repository as Served};

use super::*;

const TASK: &str = "tasks/build.yaml";

fn outbound(allow: &str) -> outbound::Client {
    let options = Options { allow: allow.parse().unwrap(), ..Options::default() };
    outbound::Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new()).unwrap()
}

/// A server with a repository `repo` of two commits, a tag at the first and a branch at the second; and the names of both.
async fn server() -> (GitServer, Served, String, String) {
    let server = GitServer::start().await.unwrap();
    let repository = server.repository("repo").unwrap();
    let first = repository.commit(&[(TASK, "kind: Task # 1")]).unwrap();
    repository.git(&["tag", "-a", "v1", "-m", "one"]).unwrap();
    let second = repository.commit(&[(TASK, "kind: Task # 2")]).unwrap();
    repository.git(&["branch", "feature/x"]).unwrap();
    (server, repository, first, second)
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

#[tokio::test]
async fn scenario_20_reads_a_file_at_a_revision() {
    let (server, _, first, second) = server().await;
    let git = Git::new(outbound(server.origin()));
    let url = server.url("repo");
    resolves_revisions(&git, &url, &first, &second).await;
    for (revision, path, why) in [
        ("gone", TASK, "there is no revision \"gone\""),
        (&first[..7], TASK, "all of its 40 digits"),
        ("main", "tasks/other.yaml", "there is no file \"tasks/other.yaml\""),
        ("main", "tasks", "there is no file \"tasks\""),
    ] {
        let error = resolve(&git, &url, revision, path).await.unwrap_err();
        assert!(matches!(&error, Failure::Permanent(said) if said.contains(why)), "{error}");
    }
    let error = resolve(&git, &server.url("gone"), "main", TASK).await.unwrap_err();
    assert!(matches!(&error, Failure::Permanent(why) if why.contains("no such repository")), "{error}");
}

#[tokio::test]
async fn follows_a_repository_that_has_moved_but_not_where_it_may_not_go() {
    let (server, _, first, second) = server().await;
    let (elsewhere, ..) = self::server().await;
    server.redirect("moved", "repo");
    server.redirect("away", &elsewhere.url("repo"));
    server.redirect("inside", "https://169.254.169.254/repo");
    server.redirect("round", "round");
    let git = Git::new(outbound(server.origin()));
    resolves_revisions(&git, &server.url("moved"), &first, &second).await;
    for (name, rule) in [("away", "use https://"), ("inside", "--outbound-allow")] {
        let error = resolve(&git, &server.url(name), "main", TASK).await.unwrap_err();
        assert!(matches!(&error, Failure::Permanent(why) if why.contains(rule)), "{error}");
    }
    assert_eq!(elsewhere.calls(), [""; 0]);
    let error = resolve(&git, &server.url("round"), "main", TASK).await.unwrap_err();
    assert!(matches!(&error, Failure::Permanent(why) if why.contains("redirects")), "{error}");

    let both = Git::new(outbound(&format!("{},{}", server.origin(), elsewhere.origin())));
    resolve(&both, &server.url("away"), "main", TASK).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    let url = "https://127.0.0.1:1/repo";
    let error = resolve(&Git::new(outbound("127.0.0.1")), url, "main", TASK).await.unwrap_err();
    assert!(matches!(&error, Failure::Transient { .. }), "{error}");
}

#[tokio::test]
async fn reads_no_file_that_is_too_large() {
    let (server, repository, ..) = server().await;
    repository.commit(&[("large", &"x".repeat(2_000_000))]).unwrap();
    let git = Git::new(outbound(server.origin()));
    let error = resolve(&git, &server.url("repo"), "main", "large").await.unwrap_err().to_string();
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_takes_its_time_only() {
    let (server, ..) = server().await;
    server.stall(true);
    let settings = GitSettings { fetch_timeout: Duration::from_millis(300), ..GitSettings::default() };
    let params = [("url", &*server.url("repo")), ("pathInRepo", TASK)];
    let question = parse(&params, &settings).unwrap();
    let error = Git::new(outbound(server.origin())).resolve(&nobody(), &question).await.unwrap_err();
    assert!(matches!(error, Failure::Transient { .. }), "{error}");
}

#[rstest]
#[case::revision(&[("revision", "-upload-pack=x")], "param \"revision\": \"-upload-pack=x\" is no branch")]
#[case::path(&[("pathInRepo", "../build.yaml")], "param \"pathInRepo\": \"../build.yaml\" is no path")]
fn checks_what_git_is_given(#[case] param: &[(&str, &str)], #[case] expected: &str) {
    let given = [("url", "https://git.test/x"), ("revision", "main"), ("pathInRepo", TASK)];
    let others = given.into_iter().filter(|(name, _)| *name != param[0].0);
    let params: Vec<_> = others.chain(param.iter().copied()).collect();
    let error = parse(&params, &GitSettings::default()).unwrap_err();
    assert!(error.starts_with(expected), "{error}");
}

#[rstest]
#[case::https("https://git.test/org/repo.git", None)]
#[case::ssh("git@git.test:org/repo", Some("use its address for https"))]
#[case::git("git://git.test/org/repo", Some("use its address for https"))]
#[case::path("/etc/passwd", Some("own machine is not read"))]
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
        From::Clone { name, .. } => (name, None),
    });
    let owned = |(server, token): (&str, Option<(&str, &str)>)| {
        (server.to_owned(), token.map(|(namespace, secret)| (namespace.to_owned(), secret.to_owned())))
    };
    assert_eq!(found, expected.map(owned));
}
