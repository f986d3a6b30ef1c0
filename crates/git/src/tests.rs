//! Against repositories that the program `git` makes, as paths and behind a server of smart HTTP.

use fleet::outbound::{Client, Options};
use testkit::git_server::{GitServer, Repository as Served};

use super::*;
use crate::gateway::MAX_REDIRECTS;

const TASK: &str = "tasks/build.yaml";
const LIMITS: Limits = Limits { timeout: Duration::from_secs(30), transfer: 10_000_000, content: 1_000_000 };

fn outbound(allow: &str) -> Client {
    let options = Options { allow: allow.parse().unwrap(), ..Options::default() };
    Client::new("test", options, fleet::Clock::system(), &prometheus::Registry::new()).unwrap()
}

/// A server with a repository `repo` of two commits; and the names of both.
async fn server() -> (GitServer, Served, String, String) {
    let server = GitServer::start().await.unwrap();
    let repository = server.repository("repo").unwrap();
    let first = repository.commit(&[(TASK, "kind: Task # 1")]).unwrap();
    let files =
        [("policy/a.rego", "package a"), ("policy/deep/b.rego", "package b"), ("policy/README.md", "words")];
    let second = repository.commit(&files).unwrap();
    (server, repository, first, second)
}

fn url(server: &GitServer, repository: &str) -> Url {
    server.url(repository).parse().unwrap()
}

fn is_rego(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extension == "rego")
}

#[tokio::test]
async fn fetches_the_wanted_files_of_a_folder() {
    let (server, repository, first, second) = server().await;
    std::os::unix::fs::symlink("/etc/passwd", repository.folder().join("policy/link.rego")).unwrap();
    let third = repository.commit(&[]).unwrap();
    let (git, url) = (Git::new(outbound(server.origin())), url(&server, "repo"));
    let expected = [("a.rego", "package a"), ("deep/b.rego", "package b")]
        .map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec()));
    for (revision, commit) in [(None, &third), (Some("main"), &third), (Some(second.as_str()), &second)] {
        let tree = git.tree(&url, revision, "policy", is_rego, LIMITS).await.unwrap();
        assert_eq!((&tree.commit, tree.files.as_slice()), (commit, expected.as_slice()), "{revision:?}");
    }
    let whole = git.tree(&url, None, "", |_| true, LIMITS).await.unwrap();
    let paths: Vec<_> = whole.files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["policy/README.md", "policy/a.rego", "policy/deep/b.rego", TASK]);
    let error = git.tree(&url, Some(&first), "policy", is_rego, LIMITS).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no folder \"policy\""), "{error}");
    let error = git.tree(&url, None, "policy/a.rego", is_rego, LIMITS).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no folder \"policy/a.rego\""), "{error}");
}

/// A server that cannot leave contents out sends them with the commit; one that can is asked once for all that are wanted.
#[tokio::test]
async fn asks_for_all_files_at_once() {
    let (server, repository, ..) = server().await;
    let git = Git::new(outbound(server.origin()));
    for (filter, packs) in [("true", 3), ("false", 2)] {
        repository.git(&["config", "uploadpack.allowFilter", filter]).unwrap();
        let before = server.calls().len();
        let tree = git.tree(&url(&server, "repo"), None, "", |_| true, LIMITS).await.unwrap();
        assert_eq!(tree.files.len(), 4);
        let calls = server.calls().split_off(before);
        let asked = calls.iter().filter(|call| call.ends_with("git-upload-pack")).count();
        assert!(asked <= packs * 2, "{calls:?}");
    }
}

#[tokio::test]
async fn finds_the_last_change_of_a_path() {
    let (server, repository, first, second) = server().await;
    let git = Git::new(outbound(server.origin()));
    let url = url(&server, "repo");
    for (path, commit) in [(TASK, &first), ("policy", &second), ("policy/a.rego", &second)] {
        assert_eq!(git.last_change(&url, None, path, LIMITS).await.as_ref(), Ok(commit), "{path}");
    }
    let third = repository.commit(&[(TASK, "kind: Task # 3")]).unwrap();
    assert_eq!(git.last_change(&url, None, TASK, LIMITS).await, Ok(third));
    assert_eq!(git.last_change(&url, Some(&second), TASK, LIMITS).await, Ok(first));
    let error = git.last_change(&url, None, "gone", LIMITS).await.unwrap_err();
    assert!(error.to_string().starts_with("there is no file or folder \"gone\""), "{error}");
}

#[tokio::test]
async fn stops_at_its_limits() {
    let (server, repository, ..) = server().await;
    repository.commit(&[("large", &"x".repeat(2_000_000))]).unwrap();
    let (git, url) = (Git::new(outbound(server.origin())), url(&server, "repo"));
    let error = git.file(&url, "main", "large", LIMITS).await.unwrap_err();
    assert_eq!(error, Error::refused("the file is larger than 1000000 bytes"));
    let error = git.tree(&url, None, "", |path| path == "large", LIMITS).await.unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");

    // Of names that cannot be compressed away: folders are fetched whole.
    let names = std::iter::repeat_with(|| {
        format!("tasks/{}", data_encoding::HEXLOWER.encode(&rand::random::<[u8; 32]>()))
    });
    let files: Vec<_> = names.take(2000).map(|name| (name.clone(), name)).collect();
    let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    repository.commit(&files).unwrap();
    let error = git.file(&url, "main", TASK, Limits { transfer: 50_000, ..LIMITS }).await.unwrap_err();
    assert_eq!(error, Error::refused("the repository is too large"));
}

/// A program that runs where this one does has its address to guess.
#[tokio::test]
async fn the_gateway_is_for_one_program_and_one_repository() {
    let (server, ..) = server().await;
    server.repository("other").unwrap();
    let gateway = Gateway::start(&outbound(server.origin()), url(&server, "repo"), 1_000_000, LIMITS.timeout)
        .await
        .unwrap();
    let (origin, _) = gateway.url().rsplit_once('/').unwrap();
    for (url, is_open) in [
        (gateway.url().to_owned(), true),
        (origin.to_owned(), false),
        (format!("{origin}/00"), false),
        (format!("{}/../other", gateway.url()), false),
    ] {
        let fetched = Repository::make(&url).unwrap().fetch("main", Depth::Commit).await;
        assert_eq!(fetched.is_ok(), is_open, "{url}: {fetched:?}");
    }
    assert!(server.calls().iter().all(|call| call.starts_with("/repo/")), "{:?}", server.calls());
}

#[tokio::test]
async fn follows_so_many_redirects_and_no_more() {
    let (server, ..) = server().await;
    server.redirect("moved", "repo");
    server.redirect("round", "round");
    let git = Git::new(outbound(server.origin()));
    git.file(&url(&server, "moved"), "main", TASK, LIMITS).await.unwrap();
    let error = git.file(&url(&server, "round"), "main", TASK, LIMITS).await.unwrap_err();
    assert!(error.to_string().contains("redirects"), "{error}");
    let calls = server.calls().iter().filter(|call| call.starts_with("/round/")).count();
    assert_eq!(calls, MAX_REDIRECTS + 1);
}

#[tokio::test]
async fn a_server_that_never_answers_takes_its_time_only() {
    let (server, ..) = server().await;
    server.stall(true);
    let limits = Limits { timeout: Duration::from_millis(300), ..LIMITS };
    let git = Git::new(outbound(server.origin()));
    let error = git.tree(&url(&server, "repo"), None, "", |_| true, limits).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}
