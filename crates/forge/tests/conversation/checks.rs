//! What every forge has to do alike with the [`Scene`].

use std::collections::BTreeSet;

use forge::{Change, ChangedFiles, CommentId, Error, FileLimits, Forge, User};

use crate::scene::{CHANGED, MESSAGE, Scene};
use crate::world::{Answer, fails};

pub(crate) const LIMITS: FileLimits = FileLimits { files: 10, file: 1000, total: 2000 };

pub(crate) fn is_yaml(path: &str) -> bool {
    [".yaml", ".yml"].iter().any(|end| path.ends_with(end))
}

/// All that is the same everywhere.
pub(crate) async fn all(forge: &dyn Forge, scene: &Scene) {
    describes(forge, scene).await;
    tells_of_pull_requests(forge, scene).await;
    reads_directories(forge, scene).await;
    tells_what_changed(forge, scene).await;
    comments_in_place(forge, scene).await;
}

async fn describes(forge: &dyn Forge, scene: &Scene) {
    for revision in ["fix/x", scene.head.as_str()] {
        let found = forge.describe(&scene.repository, revision).await.unwrap();
        assert_eq!((&found.commit, found.title()), (&scene.head, "Fix it"), "{revision}");
        assert_eq!(found.message.trim_end(), MESSAGE);
        assert!(
            found.url.starts_with("https://localhost:") && found.url.contains(scene.head.as_str()),
            "{}",
            found.url
        );
    }
    fails!(forge.describe(&scene.repository, "gone").await, Error::NotFound { .. });
}

async fn tells_of_pull_requests(forge: &dyn Forge, scene: &Scene) {
    let own = forge.pull_request(&scene.repository, scene.pull).await.unwrap();
    assert_eq!((own.number, own.title.as_str(), own.is_open), (scene.pull, "Fix it", true));
    assert_eq!(own.author.login, "alice");
    assert_eq!((own.head.name.as_str(), own.base.name.as_str()), ("fix/x", "main"));
    assert_eq!((&own.head_commit, own.default_branch.as_str()), (&scene.head, "main"));
    assert_eq!(own.head.repository_url, own.base.repository_url);
    assert!(own.base.repository_url.ends_with(scene.repository.name()), "{:?}", own.base);
    assert_eq!(own.base.clone_url, forge.clone_url(&scene.repository));
    assert!(own.url.starts_with(&own.base.repository_url), "{}", own.url);

    let foreign = forge.pull_request(&scene.repository, scene.fork_pull).await.unwrap();
    assert_eq!((foreign.head.name.as_str(), &foreign.head_commit), ("patch", &scene.fork_head));
    assert_eq!(foreign.author.login, "mallory");
    assert!(foreign.head.repository_url.contains("mallory"), "{:?}", foreign.head);
    assert_eq!(foreign.base, own.base);

    fails!(forge.pull_request(&scene.repository, 4711).await, Error::NotFound { .. });
    assert_eq!(forge.pull_requests_of(&scene.repository, &scene.head).await.unwrap(), [scene.pull]);
    assert_eq!(forge.pull_requests_of(&scene.repository, &scene.main).await.unwrap(), [0; 0]);
}

async fn reads_directories(forge: &dyn Forge, scene: &Scene) {
    let read = async |directory, limits| {
        forge.files(&scene.repository, &scene.main, directory, limits, &is_yaml).await
    };
    let found = read(".tekton", LIMITS).await.unwrap();
    let seen: Vec<(&str, &[u8])> =
        found.iter().map(|file| (file.path.as_str(), file.content.as_slice())).collect();
    let (push, lint): (&[u8], &[u8]) = (b"kind: PipelineRun", b"kind: Task");
    assert_eq!(seen, [(".tekton/push.yaml", push), (".tekton/tasks/lint.yml", lint)]);
    // A file is no directory.
    for directory in ["nowhere", "README.md"] {
        assert_eq!(read(directory, LIMITS).await.unwrap(), [], "{directory}");
    }
    for limits in [
        FileLimits { files: 1, ..LIMITS },
        FileLimits { file: 12, ..LIMITS },
        FileLimits { total: 26, ..LIMITS },
    ] {
        fails!(read(".tekton", limits).await, Error::TooLarge { .. });
    }
}

async fn tells_what_changed(forge: &dyn Forge, scene: &Scene) {
    let one = |path: &str| BTreeSet::from([path.to_owned()]);
    let [added, deleted, modified, renamed] = CHANGED.map(one);
    let expected = ChangedFiles { added, deleted, modified, renamed };
    let gone = "b".repeat(40).parse().unwrap();
    for change in [
        Change::PullRequest(scene.pull),
        Change::Push { before: Some(scene.main.clone()), after: scene.head.clone() },
        Change::Push { before: None, after: scene.head.clone() },
        Change::Push { before: Some(gone), after: scene.head.clone() },
    ] {
        let found = forge.changed_files(&scene.repository, &change).await.unwrap();
        // Gitea's commits know no renamed files.
        let mut plain = expected.clone();
        plain.renamed.clear();
        plain.added.insert("docs/new.md".to_owned());
        plain.deleted.insert("docs/old.md".to_owned());
        assert!(found == expected || found == plain, "{change:?}: {found:?}");
    }
}

async fn comments_in_place(forge: &dyn Forge, scene: &Scene) {
    let say = async |text: &str, instead_of| -> Answer<CommentId> {
        forge.comment(&scene.repository, scene.pull, text, instead_of).await
    };
    let first = say("one", None).await.unwrap();
    let second = say("two", None).await.unwrap();
    assert_eq!(say("three", Some(first)).await.unwrap(), first);
    // Somebody has deleted it.
    let fourth = say("four", Some(CommentId(987_654_321))).await.unwrap();
    let found = forge.comments(&scene.repository, scene.pull).await.unwrap();
    let seen: Vec<(CommentId, &str)> =
        found.iter().map(|comment| (comment.id, comment.text.as_str())).collect();
    assert_eq!(seen, [(first, "three"), (second, "two"), (fourth, "four")]);
    assert!(found.iter().all(|comment| !comment.author.login.is_empty()), "{found:?}");
    // Gitea calls it a fault of its own.
    let lost = forge.comment(&scene.repository, 4711, "lost", None).await;
    fails!(lost, Error::NotFound { .. } | Error::Unreachable { .. });
}

pub(crate) async fn contributors(forge: &dyn Forge, scene: &Scene, expected: &[(User, bool)]) {
    for (user, is_one) in expected {
        let found = forge.is_contributor(&scene.repository, user).await.unwrap();
        assert_eq!(found, *is_one, "{user:?}");
    }
}
