//! Git's objects: blobs, trees and commits under the names that Git itself would give them.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::HEXLOWER;
use jiff::Timestamp;

/// What stands for "no commit" in pushes that create or delete a ref.
pub const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// All objects of a repository and its forks, which share them as on the real forges.
#[derive(Debug, Default)]
pub struct Objects {
    blobs: HashMap<String, Vec<u8>>,
    trees: HashMap<String, BTreeMap<String, Entry>>,
    commits: HashMap<String, Commit>,
}

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `100644`, `100755`, `120000` (symbolic link) or `040000` (tree).
    pub mode: String,
    pub sha: String,
}

#[derive(Clone, Debug)]
pub struct Commit {
    pub sha: String,
    pub tree: String,
    pub parents: Vec<String>,
    pub message: String,
    pub author: Signature,
    pub committer: Signature,
}

#[derive(Clone, Debug)]
pub struct Signature {
    pub name: String,
    pub email: String,
    pub date: Timestamp,
}

/// A file that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    pub path: String,
    pub kind: ChangeKind,
    /// Of the new content; of the old for a removed file.
    pub sha: String,
    pub additions: usize,
    pub deletions: usize,
    /// Hunk without file headers.
    pub patch: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Removed,
    /// The same content under another name.
    Renamed {
        from: String,
    },
}

impl Entry {
    pub fn is_tree(&self) -> bool {
        self.mode == "040000"
    }

    /// `blob` or `tree`, as both APIs name it.
    pub fn kind(&self) -> &'static str {
        if self.is_tree() { "tree" } else { "blob" }
    }
}

impl Commit {
    /// First line of the message.
    pub fn title(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

impl Objects {
    pub fn put_blob(&mut self, content: &[u8]) -> String {
        let sha = name("blob", content);
        self.blobs.insert(sha.clone(), content.to_vec());
        sha
    }

    pub fn blob(&self, sha: &str) -> Option<&[u8]> {
        self.blobs.get(sha).map(Vec::as_slice)
    }

    pub fn put_tree(&mut self, entries: BTreeMap<String, Entry>) -> String {
        // Git sorts a directory as if its name ended in a slash.
        let mut sorted: Vec<(String, &String, &Entry)> = entries
            .iter()
            .map(|(name, entry)| (format!("{name}{}", if entry.is_tree() { "/" } else { "" }), name, entry))
            .collect();
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        let mut bytes = Vec::new();
        for (_, name, entry) in sorted {
            bytes.extend_from_slice(format!("{} {name}\0", entry.mode.trim_start_matches('0')).as_bytes());
            bytes.extend(HEXLOWER.decode(entry.sha.as_bytes()).unwrap_or_default());
        }
        let sha = name("tree", &bytes);
        self.trees.insert(sha.clone(), entries);
        sha
    }

    pub fn tree(&self, sha: &str) -> Option<&BTreeMap<String, Entry>> {
        self.trees.get(sha)
    }

    pub fn put_commit(
        &mut self,
        tree: &str,
        parents: &[String],
        message: &str,
        author: Signature,
        committer: Signature,
    ) -> String {
        let mut text = format!("tree {tree}\n");
        text.extend(parents.iter().map(|parent| format!("parent {parent}\n")));
        let line = |who: &str, by: &Signature| {
            format!("{who} {} <{}> {} +0000\n", by.name, by.email, by.date.as_second())
        };
        text.push_str(&line("author", &author));
        text.push_str(&line("committer", &committer));
        text.push('\n');
        text.push_str(message);
        let sha = name("commit", text.as_bytes());
        let commit = Commit {
            sha: sha.clone(),
            tree: tree.to_owned(),
            parents: parents.to_vec(),
            message: message.to_owned(),
            author,
            committer,
        };
        self.commits.insert(sha.clone(), commit);
        sha
    }

    pub fn commit(&self, sha: &str) -> Option<&Commit> {
        self.commits.get(sha)
    }

    /// The commit whose name begins so, of at least seven digits and not ambiguous.
    pub fn commit_by_prefix(&self, prefix: &str) -> Option<&Commit> {
        if prefix.len() < 7 {
            return None;
        }
        let mut found = self.commits.values().filter(|commit| commit.sha.starts_with(prefix));
        found.next().filter(|_| found.next().is_none())
    }

    /// What stands at `path`; the tree itself at the empty path.
    pub fn entry(&self, tree: &str, path: &str) -> Option<Entry> {
        let root = Entry { mode: "040000".to_owned(), sha: tree.to_owned() };
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(root, |entry, part| self.tree(&entry.sha)?.get(part).cloned())
    }

    pub fn file(&self, tree: &str, path: &str) -> Option<&[u8]> {
        self.blob(&self.entry(tree, path)?.sha)
    }

    /// Everything below a tree, directories too, by path.
    pub fn walk(&self, tree: &str) -> BTreeMap<String, Entry> {
        let mut found = BTreeMap::new();
        for (name, entry) in self.tree(tree).into_iter().flatten() {
            if entry.is_tree() {
                let below = self.walk(&entry.sha);
                found.extend(below.into_iter().map(|(path, entry)| (format!("{name}/{path}"), entry)));
            }
            found.insert(name.clone(), entry.clone());
        }
        found
    }

    /// The files below a tree, by path.
    pub fn files(&self, tree: &str) -> BTreeMap<String, Entry> {
        let mut found = self.walk(tree);
        found.retain(|_, entry| !entry.is_tree());
        found
    }

    /// The tree that holds these files.
    pub fn put_files(&mut self, files: &BTreeMap<String, Entry>) -> String {
        let mut entries = BTreeMap::new();
        let mut below: BTreeMap<&str, BTreeMap<String, Entry>> = BTreeMap::new();
        for (path, entry) in files {
            match path.split_once('/') {
                None => _ = entries.insert(path.clone(), entry.clone()),
                Some((directory, rest)) => {
                    below.entry(directory).or_default().insert(rest.to_owned(), entry.clone());
                }
            }
        }
        for (directory, files) in below {
            let sha = self.put_files(&files);
            entries.insert(directory.to_owned(), Entry { mode: "040000".to_owned(), sha });
        }
        self.put_tree(entries)
    }

    /// The commit and all before it, newest first.
    pub fn history(&self, from: &str) -> Vec<&Commit> {
        let mut seen = HashSet::new();
        let mut queue = VecDeque::from([from]);
        let mut found = Vec::new();
        while let Some(sha) = queue.pop_front() {
            let Some(commit) = self.commit(sha).filter(|_| seen.insert(sha)) else { continue };
            queue.extend(commit.parents.iter().map(String::as_str));
            found.push(commit);
        }
        found
    }

    pub fn is_ancestor(&self, ancestor: &str, of: &str) -> bool {
        self.history(of).iter().any(|commit| commit.sha == ancestor)
    }

    pub fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        let before: HashSet<&str> = self.history(one).iter().map(|commit| commit.sha.as_str()).collect();
        let shared = self.history(other).into_iter().find(|commit| before.contains(commit.sha.as_str()));
        shared.map(|commit| commit.sha.clone())
    }

    /// Commits of `head` that `base` has not, newest first.
    pub fn commits_between(&self, base: &str, head: &str) -> Vec<&Commit> {
        let before: HashSet<&str> = self.history(base).iter().map(|commit| commit.sha.as_str()).collect();
        self.history(head).into_iter().filter(|commit| !before.contains(commit.sha.as_str())).collect()
    }

    /// The files that differ between the trees of two commits, by path. No commit is as an empty one.
    pub fn diff(&self, old: Option<&str>, new: Option<&str>) -> Vec<FileChange> {
        let files = |sha: Option<&str>| {
            sha.and_then(|sha| self.commit(sha)).map(|commit| self.files(&commit.tree)).unwrap_or_default()
        };
        let (old, new) = (files(old), files(new));
        let mut removed: BTreeMap<&String, &Entry> =
            old.iter().filter(|(path, _)| !new.contains_key(*path)).collect();
        let mut changes = Vec::new();
        for (path, entry) in &new {
            let kind = match old.get(path) {
                Some(before) if before == entry => continue,
                Some(_) => ChangeKind::Modified,
                None => match removed.iter().find(|(_, old)| old.sha == entry.sha).map(|(path, _)| *path) {
                    Some(from) => {
                        removed.remove(from);
                        ChangeKind::Renamed { from: from.clone() }
                    }
                    None => ChangeKind::Added,
                },
            };
            let before = match &kind {
                ChangeKind::Renamed { from } => old.get(from),
                _ => old.get(path),
            };
            changes.push(self.change(path, kind, before, Some(entry)));
        }
        let removed =
            removed.into_iter().map(|(path, e)| self.change(path, ChangeKind::Removed, Some(e), None));
        changes.extend(removed);
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        changes
    }

    fn change(&self, path: &str, kind: ChangeKind, old: Option<&Entry>, new: Option<&Entry>) -> FileChange {
        let text = |entry: Option<&Entry>| {
            entry.and_then(|e| self.blob(&e.sha)).map(String::from_utf8_lossy).unwrap_or_default()
        };
        let (before, after) = (text(old), text(new));
        let (removed, added) = differing_lines(&before, &after);
        let lines = removed.lines.iter().map(|line| format!("-{line}\n"));
        let lines = lines.chain(added.lines.iter().map(|line| format!("+{line}\n")));
        let header = format!(
            "@@ -{},{} +{},{} @@\n",
            removed.first,
            removed.lines.len(),
            added.first,
            added.lines.len()
        );
        FileChange {
            path: path.to_owned(),
            kind,
            sha: new.or(old).map(|entry| entry.sha.clone()).unwrap_or_default(),
            additions: added.lines.len(),
            deletions: removed.lines.len(),
            patch: std::iter::once(header).chain(lines).collect(),
        }
    }
}

/// A run of lines; `first` counts from 1.
struct Lines<'a> {
    first: usize,
    lines: Vec<&'a str>,
}

/// What is left of both texts without the lines that they begin and end with together: one hunk, not the smallest.
fn differing_lines<'a>(old: &'a str, new: &'a str) -> (Lines<'a>, Lines<'a>) {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let (old, new) = (&old[same..], &new[same..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(one, other)| one == other).count();
    let run = |lines: &[&'a str]| Lines { first: same + 1, lines: lines[..lines.len() - end].to_vec() };
    (run(old), run(new))
}

fn name(kind: &str, content: &[u8]) -> String {
    let mut bytes = format!("{kind} {}\0", content.len()).into_bytes();
    bytes.extend_from_slice(content);
    HEXLOWER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(objects: &mut Objects, content: &str) -> Entry {
        Entry { mode: "100644".to_owned(), sha: objects.put_blob(content.as_bytes()) }
    }

    /// The names were taken from Git itself.
    #[test]
    fn names_objects_as_git_does() {
        let mut objects = Objects::default();
        assert_eq!(objects.put_blob(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(objects.put_tree(BTreeMap::new()), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        // `a.txt` before `a/`, though `a` comes before `a.txt`.
        let hello = blob(&mut objects, "hello\n");
        let files = [("a.txt".to_owned(), hello.clone()), ("a/b".to_owned(), hello)].into();
        let tree = objects.put_files(&files);
        assert_eq!(tree, "165480a8ee00d9b2e7f603ad75e7357811d78720");
        let by = Signature {
            name: "A".to_owned(),
            email: "a@example.com".to_owned(),
            date: Timestamp::from_second(1_700_000_000).unwrap(),
        };
        let commit = objects.put_commit(&tree, &[], "one\n", by.clone(), by);
        assert_eq!(commit, "8cc5aef17d528ca5ab893dd430004fec8bf9beaa");
    }

    #[test]
    fn tells_what_changed() {
        let mut objects = Objects::default();
        let same = blob(&mut objects, "same\n");
        let (old, new) = (blob(&mut objects, "a\nb\nc\n"), blob(&mut objects, "a\nx\ny\nc\n"));
        let gone = blob(&mut objects, "gone\n");
        let before = [("keep", &same), ("old-name", &gone), ("text", &old), ("z", &same)];
        let after = [("dir/new-name", &gone), ("keep", &same), ("text", &new)];
        let mut commit = |files: &[(&str, &Entry)]| {
            let files = files.iter().map(|(path, entry)| ((*path).to_owned(), (*entry).clone())).collect();
            let tree = objects.put_files(&files);
            let by = Signature { name: "A".to_owned(), email: String::new(), date: Timestamp::UNIX_EPOCH };
            objects.put_commit(&tree, &[], "", by.clone(), by)
        };
        let (before, after) = (commit(&before), commit(&after));
        let changes = objects.diff(Some(&before), Some(&after));
        let seen: Vec<_> =
            changes.iter().map(|c| (c.path.as_str(), &c.kind, c.additions, c.deletions)).collect();
        let renamed = ChangeKind::Renamed { from: "old-name".to_owned() };
        let expected = [
            ("dir/new-name", &renamed, 0, 0),
            ("text", &ChangeKind::Modified, 2, 1),
            ("z", &ChangeKind::Removed, 0, 1),
        ];
        assert_eq!(seen, expected);
        assert_eq!(changes[1].patch, "@@ -2,1 +2,2 @@\n-b\n+x\n+y\n");
    }
}
