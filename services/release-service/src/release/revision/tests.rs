use fleet::Clock;
use fleet::outbound::Options;
use prometheus::Registry;
use rstest::rstest;
use testkit::git_server::GitServer;

use super::*;

fn client(allow: &str) -> Client {
    let options = Options { allow: allow.parse().unwrap(), ..Options::default() };
    Client::new("release-service", options, Clock::system(), &Registry::new()).unwrap()
}

fn written(url: &str, revision: &str) -> Written {
    Written { url: url.to_owned(), revision: revision.to_owned(), path: "p.yaml".to_owned() }
}

async fn answer(url: &str, revision: &str, allow: &str) -> Result<String, Failure> {
    written(url, revision).commit(&client(allow), None).await
}

async fn refusal(url: &str, revision: &str, allow: &str) -> String {
    match answer(url, revision, allow).await {
        Err(Failure::Final(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn asks_a_server() {
    let server = GitServer::start().await.unwrap();
    let repository = server.repository("catalog").unwrap();
    let first = repository.commit(&[("p.yaml", "1")]).unwrap();
    repository.git(&["tag", "-a", "-m", "first", "v1"]).unwrap();
    let second = repository.commit(&[("p.yaml", "2")]).unwrap();
    repository.git(&["branch", "production"]).unwrap();
    repository.git(&["tag", "main", &first]).unwrap();
    server.redirect("moved", "catalog");
    let url = server.url("catalog");
    for (url, revision, expected) in [
        (url.clone(), "production", &second),
        (format!("{url}/"), "refs/heads/main", &second),
        (url.clone(), "v1", &first),
        (server.url("moved"), "v1", &first),
    ] {
        assert_eq!(&answer(&url, revision, server.origin()).await.unwrap(), expected, "{url} {revision}");
    }
    let ambiguous = refusal(&url, "main", server.origin()).await;
    assert!(ambiguous.contains("write refs/heads/main or refs/tags/main"), "{ambiguous}");
    let unknown = refusal(&url, "staging", server.origin()).await;
    assert!(
        unknown.contains("revision \"staging\"") && unknown.contains("no such branch or tag"),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_commit_needs_no_call() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    assert_eq!(answer("https://git.example/catalog", commit, "").await.unwrap(), commit);
}

#[rstest]
#[case::private_address("https://10.0.0.1/catalog", "main", "--outbound-allow")]
#[case::plain_http("http://git.example/catalog", "main", "use https://")]
#[case::no_address("catalog", "main", "is no address")]
#[case::no_repository("mailto:me", "main", "is no address of a repository")]
#[case::query("https://git.example/catalog?ref=x", "main", "without ? and #")]
#[case::option("https://git.example/catalog", "--upload-pack=x", "no name of a branch")]
#[case::password("https://u:p@git.example/catalog", "main", "user name or password")]
#[tokio::test]
async fn refuses(#[case] url: &str, #[case] revision: &str, #[case] expected: &str) {
    let cause = refusal(url, revision, "").await;
    assert!(cause.starts_with("pipelineRef.params: ") && cause.contains(expected), "{cause}");
}

#[rstest]
#[case::missing("404 Not Found", Some("private"))]
#[case::private("401 Unauthorized", Some("GITHUB_TOKEN"))]
#[case::strange("400 Bad Request", Some("HTTP 400"))]
#[case::web_page("200 OK", Some("no Git server"))]
#[case::broken("500 Internal Server Error", None)]
#[case::rate_limited("429 Too Many Requests\r\nRetry-After: 60", None)]
#[tokio::test]
async fn tells_what_passes_from_what_stays(#[case] status: &'static str, #[case] expected: Option<&str>) {
    let origin =
        says(format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")).await;
    let failure = answer(&format!("{origin}/catalog"), "main", &origin).await.unwrap_err();
    match (failure, expected) {
        (Failure::Final(cause), Some(expected)) => assert!(cause.contains(expected), "{cause}"),
        (Failure::Passing(error), None) => {
            assert_eq!(error.to_string(), format!("ask {origin}/catalog which commit main is"));
        }
        (failure, _) => panic!("{failure:?}"),
    }
}

/// A server that says the same to everybody.
async fn says(answer: String) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut question = [0; 4096];
            let _ = connection.read(&mut question).await;
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    origin
}

#[rstest]
#[case::github("https://github.com/konflux-ci/catalog", true)]
#[case::without_encryption("http://github.com/konflux-ci/catalog", false)]
#[case::longer_name("https://github.com.evil.example/catalog", false)]
#[case::another("https://git.example/github.com/catalog", false)]
fn the_token_is_for_github_alone(#[case] url: &str, #[case] expected: bool) {
    let token = Secret::new("hunter2".to_owned());
    let credential = credential(&Url::parse(url).unwrap(), Some(&token)).unwrap();
    assert_eq!(credential.is_some(), expected);
}

#[rstest]
#[case::no_url("", "main", "url")]
#[case::no_revision("https://git.example/catalog", " ", "revision")]
fn names_what_is_missing(#[case] url: &str, #[case] revision: &str, #[case] expected: &str) {
    let pipeline = super::super::work::of_catalog(url, revision);
    let error = Written::of(&pipeline).unwrap().unwrap_err();
    assert!(error.starts_with(&format!("pipelineRef.params: {expected} is missing")), "{error}");
}

#[test]
fn reads_references_of_git_alone() {
    let pipeline = super::super::work::of_catalog(" https://git.example/catalog ", "main");
    let written = Written::of(&pipeline).unwrap().unwrap();
    assert_eq!((&*written.url, &*written.revision), ("https://git.example/catalog", "main"));
    assert_eq!(written.path, "pipelines/run-collectors/run-collectors.yaml");
    assert_eq!(Written::of(&PipelineRef { resolver: "bundles".to_owned(), ..pipeline }), None);
}
