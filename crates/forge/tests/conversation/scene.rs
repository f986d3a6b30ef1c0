//! One scene, set at every forge: a repository with a pull request of its own and one from a fork.

use forge::{Commit, Repository};
use testkit::forge::{Access, Entry, Model, NewPull, Signature};

use crate::world::repository;

/// What is on `main`.
pub(crate) const MAIN: [(&str, &str); 7] = [
    (".tekton/notes.txt", "not YAML"),
    (".tekton/push.yaml", "kind: PipelineRun"),
    (".tekton/tasks/lint.yml", "kind: Task"),
    ("README.md", "Read me"),
    ("docs/a.md", "one\n"),
    ("docs/gone.md", "It goes.\n"),
    ("docs/old.md", "A text that is long enough to be known again.\nIn two lines.\n"),
];

/// What is on `fix/x` afterwards, and how it differs: added, deleted, modified, renamed.
pub(crate) const FIX: [(&str, &str); 7] = [
    (".tekton/notes.txt", "not YAML"),
    (".tekton/push.yaml", "kind: PipelineRun"),
    (".tekton/tasks/lint.yml", "kind: Task"),
    ("README.md", "Read me"),
    ("docs/a.md", "two\n"),
    ("docs/new.md", "A text that is long enough to be known again.\nIn two lines.\n"),
    ("src/added.rs", "fn main() {}\n"),
];
pub(crate) const CHANGED: [&str; 4] = ["src/added.rs", "docs/gone.md", "docs/a.md", "docs/new.md"];

pub(crate) const MESSAGE: &str = "Fix it\n\nAt last.";

/// What there is to know.
pub(crate) struct Scene {
    pub(crate) repository: Repository,
    pub(crate) main: Commit,
    /// Of `fix/x`, and of the pull request 1, which alice has opened.
    pub(crate) head: Commit,
    pub(crate) pull: u64,
    /// From `patch` of mallory's fork.
    pub(crate) fork_head: Commit,
    pub(crate) fork_pull: u64,
}

/// Sets it in a fake, in `full_name`. alice and robot are members of its owner, carol is a collaborator, mallory is a
/// stranger. robot may do everything.
pub(crate) fn fill(model: &mut Model, full_name: &str) -> Scene {
    let (owner, _) = full_name.rsplit_once('/').unwrap();
    model.organization(owner);
    model.member(owner, "robot", Access::Admin).unwrap();
    model.member(owner, "alice", Access::Write).unwrap();
    for login in ["carol", "mallory"] {
        model.user(login);
    }
    model.empty_repository(full_name).unwrap().make_private().collaborator("carol", Access::Read);
    let files: Vec<(&str, Option<&[u8]>)> =
        MAIN.iter().map(|(path, text)| (*path, Some(text.as_bytes()))).collect();
    let main = model.commit(full_name, "main", "Begin", &files).unwrap();
    let changed: Vec<(&str, Option<&[u8]>)> = ["docs/gone.md", "docs/old.md"]
        .into_iter()
        .map(|path| (path, None))
        .chain(
            FIX.iter().filter(|file| !MAIN.contains(file)).map(|(path, text)| (*path, Some(text.as_bytes()))),
        )
        .collect();
    let head = model.commit(full_name, "fix/x", MESSAGE, &changed).unwrap();
    let fork = model.fork(full_name, "mallory").unwrap().full_name();
    let fork_head = model.commit(&fork, "patch", "Patch", &[("patched", Some(b"x"))]).unwrap();
    let new = |from, head, author| NewPull {
        title: "Fix it",
        body: "",
        author,
        from,
        head,
        base: "main",
        draft: false,
    };
    let pull = model.open_pull(full_name, new(full_name, "fix/x", "alice")).unwrap();
    let fork_pull = model.open_pull(full_name, new(&fork, "patch", "mallory")).unwrap();
    Scene {
        repository: repository(full_name),
        main: main.parse().unwrap(),
        head: head.parse().unwrap(),
        pull,
        fork_head: fork_head.parse().unwrap(),
        fork_pull,
    }
}

/// A commit on `main` with a symbolic link in `.tekton`.
pub(crate) fn with_link(model: &mut Model, full_name: &str) -> Commit {
    let repository = model.repo(full_name).unwrap();
    let parent = repository.head("main").unwrap().to_owned();
    let by = Signature { name: "T".to_owned(), email: "t@example.com".to_owned(), date: model.now() };
    let objects = model.objects_mut(full_name).unwrap();
    let tree = objects.commit(&parent).unwrap().tree.clone();
    let mut files = objects.files(&tree);
    let sha = objects.put_blob(b"/etc/passwd");
    files.insert(".tekton/link.yaml".to_owned(), Entry { mode: "120000".to_owned(), sha });
    let tree = objects.put_files(&files);
    let commit = objects.put_commit(&tree, &[parent], "Link", by.clone(), by);
    model.set_ref(full_name, "refs/heads/main", &commit).unwrap();
    commit.parse().unwrap()
}
