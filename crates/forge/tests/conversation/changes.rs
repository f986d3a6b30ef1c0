//! What is changed at forges: the same at each of them.

mod gitea;
mod github;
mod gitlab;
mod races;

use fleet::Secret;
use forge::{
    Author, Changes, Commit, Error, FileChange, Hook, NewCommit, NewRequest, OpenRequest, Opened, Repository,
};

use crate::world::fails;

/// Bytes that are no text.
const BINARY: &[u8] = &[0, 159, 146, 150, 255];

const TARGET: &str = "https://events.test/hook";

fn write(path: &str, content: &[u8]) -> FileChange {
    FileChange { path: path.to_owned(), content: Some(content.to_vec()), executable: false }
}

fn delete(path: &str) -> FileChange {
    FileChange { path: path.to_owned(), content: None, executable: false }
}

fn commit(branch: &str, base: &Commit, changes: Vec<FileChange>) -> NewCommit {
    NewCommit {
        branch: branch.to_owned(),
        base: base.clone(),
        changes,
        message: "Update app\n\nIn two lines.".to_owned(),
        author: Some(Author { name: "konflux".to_owned(), email: "konflux@example.com".to_owned() }),
    }
}

fn request(head: &str, labels: &[&str]) -> NewRequest {
    NewRequest {
        head: head.to_owned(),
        base: "main".to_owned(),
        title: "Konflux update app".to_owned(),
        body: "Read *this*.".to_owned(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    }
}

fn hook(secret: &str) -> Hook {
    Hook { url: TARGET.to_owned(), secret: Secret::new(secret.to_owned()), verify_tls: true }
}

async fn head(forge: &dyn Changes, repository: &Repository, branch: &str) -> Option<Commit> {
    forge.branch_head(repository, branch).await.unwrap()
}

/// `None` if there is no such file.
async fn text(forge: &dyn Changes, repository: &Repository, at: &Commit, path: &str) -> Option<Vec<u8>> {
    let content = forge.file(repository, at, path, 1000).await;
    if let Err(error) = &content {
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
    content.ok()
}

/// What was opened, if something was.
fn opened(opened: Opened) -> Option<OpenRequest> {
    match opened {
        Opened::Request(open) => Some(open),
        Opened::NoDifference => None,
    }
}

/// Of a repository with the files of [`MAIN`](crate::scene::MAIN) on `main`, where the credential may do everything.
async fn all(forge: &dyn Changes, repository: &Repository) {
    let about = forge.about(repository).await.unwrap();
    assert_eq!((about.default_branch.as_str(), about.is_private, about.is_archived), ("main", true, false));
    assert!(about.url.ends_with(&repository.to_string()), "{}", about.url);
    let main = head(forge, repository, "main").await.unwrap();
    commits(forge, repository, &main).await;
    requests(forge, repository, &main).await;
    assert_eq!(head(forge, repository, "main").await, Some(main), "main is as it was");
    hooks(forge, repository).await;
}

/// Leaves a branch `konflux/app`.
async fn commits(forge: &dyn Changes, repository: &Repository, main: &Commit) {
    let branch = "konflux/app";
    assert_eq!(head(forge, repository, branch).await, None);
    let new = commit(
        branch,
        main,
        vec![
            write(".tekton/app-push.yaml", b"kind: PipelineRun\n"),
            write("docs/a.md", b"two\n"),
            delete("none"),
        ],
    );
    let first = forge.push(repository, &new).await.unwrap();
    assert_eq!(head(forge, repository, branch).await.as_ref(), Some(&first));
    assert_eq!(
        text(forge, repository, &first, ".tekton/app-push.yaml").await.unwrap(),
        b"kind: PipelineRun\n"
    );
    assert_eq!(text(forge, repository, &first, "docs/a.md").await.unwrap(), b"two\n");
    assert_eq!(text(forge, repository, &first, "README.md").await.unwrap(), b"Read me");
    let described = forge.describe(repository, first.as_str()).await.unwrap();
    assert_eq!(described.message.trim_end(), "Update app\n\nIn two lines.");

    fails!(forge.begin(repository, &new).await, Error::Conflict { .. });
    assert_eq!(head(forge, repository, branch).await.as_ref(), Some(&first));

    // Where the branch began does not count any more.
    let more =
        commit(branch, main, vec![write("logo", BINARY), delete("docs/a.md"), write("README.md", b"")]);
    let second = forge.push(repository, &more).await.unwrap();
    assert_eq!(head(forge, repository, branch).await.as_ref(), Some(&second));
    assert_eq!(text(forge, repository, &second, "logo").await.unwrap(), BINARY);
    assert_eq!(text(forge, repository, &second, "README.md").await.unwrap(), b"");
    assert_eq!(text(forge, repository, &second, "docs/a.md").await, None);
    assert!(text(forge, repository, &second, ".tekton/app-push.yaml").await.is_some(), "it stays");
}

async fn requests(forge: &dyn Changes, repository: &Repository, main: &Commit) {
    let branch = "konflux/app";
    assert_eq!(forge.requests(repository, branch, "main").await.unwrap(), []);
    let made = forge.open_request(repository, &request(branch, &["konflux-nudge"])).await.unwrap();
    let OpenRequest { number, url } = opened(made).unwrap();
    let open = forge.requests(repository, branch, "main").await.unwrap();
    assert_eq!(open, [OpenRequest { number, url: url.clone() }]);
    assert!(url.contains(&repository.to_string()), "{url}");
    let seen = forge.pull_request(repository, number).await.unwrap();
    assert_eq!((seen.title.as_str(), seen.labels), ("Konflux update app", vec!["konflux-nudge".to_owned()]));
    // Those of other branches, and from forks, are others.
    assert_eq!(forge.requests(repository, "fix/x", "gone").await.unwrap(), []);
    assert_eq!(forge.requests(repository, "patch", "main").await.unwrap(), []);
    fails!(forge.open_request(repository, &request(branch, &[])).await, Error::Conflict { .. });

    let mut better = request(branch, &["konflux-nudge", "second"]);
    "Better".clone_into(&mut better.title);
    forge.update_request(repository, number, &better).await.unwrap();
    let mut seen = forge.pull_request(repository, number).await.unwrap();
    seen.labels.sort_unstable();
    assert_eq!((seen.title.as_str(), seen.labels.join(",")), ("Better", "konflux-nudge,second".to_owned()));

    assert!(forge.delete_branch(repository, branch).await.unwrap());
    assert!(!forge.delete_branch(repository, branch).await.unwrap());
    assert_eq!(head(forge, repository, branch).await, None);
    assert_eq!(forge.requests(repository, branch, "main").await.unwrap(), []);
    assert!(!forge.pull_request(repository, number).await.unwrap().is_open);
    let lost = commit("konflux/lost", main, vec![write("a", b"a")]);
    let lost = NewCommit { base: "0123456789012345678901234567890123456789".parse().unwrap(), ..lost };
    assert!(forge.push(repository, &lost).await.is_err());
    assert!(forge.begin(repository, &lost).await.is_err());
    assert_eq!(head(forge, repository, "konflux/lost").await, None);
}

async fn hooks(forge: &dyn Changes, repository: &Repository) {
    assert!(!forge.delete_hook(repository, TARGET).await.unwrap());
    assert!(forge.ensure_hook(repository, &hook("one")).await.unwrap());
    assert!(!forge.ensure_hook(repository, &hook("one")).await.unwrap());
    assert!(forge.delete_hook(repository, TARGET).await.unwrap());
    assert!(!forge.delete_hook(repository, TARGET).await.unwrap());
}
