//! The files of packages, laid out as a root file system.
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};

/// Folders that are links into `usr`, as in every Debian that was installed.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];
/// Folders that programs expect and no package brings, with their mode.
const SKELETON: [(&str, u32); 8] = [
    ("dev", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];
/// Where scanners of images look for packages if there is no package manager: a file for each.
const PACKAGES: &str = "var/lib/dpkg/status.d";

#[derive(Default)]
pub struct Tree {
    /// By path without leading or trailing slash.
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    mode: u32,
    uid: u64,
    gid: u64,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Folder,
    File(Arc<[u8]>),
    /// A symbolic link, and what it says.
    Link(String),
}

impl Tree {
    /// A tree with the folders that every root file system has.
    pub fn with_skeleton() -> Self {
        let mut tree = Self::default();
        for (path, mode) in SKELETON {
            tree.insert(path.to_owned(), Node { mode, uid: 0, gid: 0, what: What::Folder });
        }
        tree
    }

    /// Adds a package's files, but those that are left out, and says that it is there.
    pub fn add_package(&mut self, file: &Path, is_left_out: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let control = Command::new("dpkg-deb").arg("--field").arg(file).output().context("run dpkg-deb")?;
        ensure!(control.status.success(), "{}", String::from_utf8_lossy(&control.stderr).trim());
        let text = String::from_utf8(control.stdout).context("the package's description is no text")?;
        let name = field(&text, "Package").context("the package's description does not name it")?;
        // What dpkg would have written of a package that it has installed.
        let status = format!("{}\nStatus: install ok installed\n", text.trim_end());
        let node = Node { mode: 0o644, uid: 0, gid: 0, what: What::File(status.into_bytes().into()) };
        self.insert(format!("{PACKAGES}/{name}"), node);

        let mut unpacker = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(file)
            .stdout(Stdio::piped())
            .spawn()
            .context("run dpkg-deb")?;
        let output = unpacker.stdout.take().context("dpkg-deb has an output")?;
        let added = self.add_archive(output, is_left_out);
        let status = unpacker.wait()?;
        added?;
        ensure!(status.success(), "dpkg-deb failed ({status})");
        Ok(())
    }

    fn add_archive(
        &mut self,
        archive: impl std::io::Read,
        is_left_out: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = clean(&entry.path()?)?;
            if path.is_empty() || is_left_out(&path) {
                continue;
            }
            let header = entry.header();
            let (mode, uid, gid) = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
            let target = entry.link_name()?.map(|name| name.to_string_lossy().into_owned());
            let what = match (header.entry_type(), target) {
                (tar::EntryType::Directory, _) => What::Folder,
                (tar::EntryType::Symlink, Some(target)) => What::Link(target),
                (tar::EntryType::Link, Some(target)) => {
                    let target = clean(Path::new(&target))?;
                    let Some(node) = self.nodes.get(&target) else {
                        bail!("{path} is another name of {target}, which the package does not have")
                    };
                    node.what.clone()
                }
                (tar::EntryType::Regular, _) => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content)?;
                    What::File(content.into())
                }
                (other, _) => bail!("{path} is of a kind that no image needs: {other:?}"),
            };
            self.insert(path, Node { mode, uid, gid, what });
        }
        Ok(())
    }

    fn insert(&mut self, path: String, node: Node) {
        // A folder of several packages is as the first has it.
        if node.what == What::Folder && self.nodes.contains_key(&path) {
            return;
        }
        self.nodes.insert(path, node);
    }

    /// The tree as a tar archive, sorted by path, without times.
    pub fn archive(&self) -> anyhow::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut folders = BTreeSet::new();
        let mut written: BTreeMap<*const u8, &str> = BTreeMap::new();
        for link in MERGED {
            append_link(&mut archive, link, &format!("usr/{link}"), tar::EntryType::Symlink)?;
        }
        for (path, node) in &self.nodes {
            // Folders that no package has said anything of.
            for (end, _) in path.match_indices('/') {
                let folder = &path[..end];
                if !self.nodes.contains_key(folder) && folders.insert(folder) {
                    append(&mut archive, folder, &header(0o755, 0, 0, tar::EntryType::Directory, 0), &[])?;
                }
            }
            match &node.what {
                What::Folder => {
                    let header = header(node.mode, node.uid, node.gid, tar::EntryType::Directory, 0);
                    append(&mut archive, path, &header, &[])?;
                }
                What::Link(target) => append_link(&mut archive, path, target, tar::EntryType::Symlink)?,
                What::File(content) => match written.get(&content.as_ptr()) {
                    Some(first) if !content.is_empty() => {
                        append_link(&mut archive, path, first, tar::EntryType::Link)?;
                    }
                    _ => {
                        written.insert(content.as_ptr(), path);
                        let size = content.len() as u64;
                        let header = header(node.mode, node.uid, node.gid, tar::EntryType::Regular, size);
                        append(&mut archive, path, &header, content)?;
                    }
                },
            }
        }
        let mut archive = archive.into_inner()?;
        archive.flush()?;
        Ok(archive)
    }
}

fn header(mode: u32, uid: u64, gid: u64, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    header: &tar::Header,
    content: &[u8],
) -> std::io::Result<()> {
    archive.append_data(&mut header.clone(), path, content)
}

fn append_link(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    target: &str,
    kind: tar::EntryType,
) -> std::io::Result<()> {
    archive.append_link(&mut header(0o777, 0, 0, kind, 0), path, target)
}

/// A path of a package without `./`, with `bin`, `lib` and their like in `usr`.
fn clean(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{} is no text", path.display()))?;
    let text = text.trim_start_matches("./").trim_end_matches('/');
    let text = if text == "." { "" } else { text };
    ensure!(!text.split('/').any(|part| part == ".."), "{text} leads out of the package");
    let first = text.split('/').next().unwrap_or_default();
    Ok(if MERGED.contains(&first) { format!("usr/{text}") } else { text.to_owned() })
}

/// A field of a package's description.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package's archive: name, content of a file or target of a link.
    fn package(files: &[(&str, &str, tar::EntryType)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content, kind) in files {
            let mut header = header(0o755, 0, 0, *kind, 0);
            // As Debian's are, with the time of a build.
            header.set_mtime(1_700_000_000);
            if *kind == tar::EntryType::Regular {
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, path, content.as_bytes()).unwrap();
            } else {
                archive.append_link(&mut header, path, content).unwrap();
            }
        }
        archive.into_inner().unwrap()
    }

    fn listed(archive: &[u8]) -> Vec<(String, tar::EntryType, String)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap();
        let entries = entries.map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            let target = entry.link_name().unwrap().map(|name| name.display().to_string());
            let path = entry.path().unwrap().display().to_string();
            (path, entry.header().entry_type(), target.unwrap_or_default())
        });
        entries.skip(MERGED.len()).collect()
    }

    #[test]
    fn packages_share_one_tree_without_times_and_with_usr_merged() {
        use tar::EntryType::{Directory, Link, Regular, Symlink};
        let mut tree = Tree::default();
        let shell = package(&[("./bin/dash", "program", Regular), ("./bin/sh", "dash", Symlink)]);
        tree.add_archive(&shell[..], |_| false).unwrap();
        let git = package(&[
            ("./usr/lib/git-core/git", "git", Regular),
            ("./usr/bin/git", "./usr/lib/git-core/git", Link),
            ("./usr/share/man/git.1", "page", Regular),
        ]);
        tree.add_archive(&git[..], |path| path.starts_with("usr/share/man")).unwrap();
        let expected = [
            ("usr/", Directory, ""),
            ("usr/bin/", Directory, ""),
            ("usr/bin/dash", Regular, ""),
            ("usr/bin/git", Regular, ""),
            ("usr/bin/sh", Symlink, "dash"),
            ("usr/lib/", Directory, ""),
            ("usr/lib/git-core/", Directory, ""),
            ("usr/lib/git-core/git", Link, "usr/bin/git"),
        ];
        let expected = expected
            .map(|(path, kind, target)| (path.trim_end_matches('/').to_owned(), kind, target.to_owned()));
        let archive = tree.archive().unwrap();
        let found: Vec<_> = listed(&archive)
            .into_iter()
            .map(|(path, kind, target)| (path.trim_end_matches('/').to_owned(), kind, target))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(archive, tree.archive().unwrap(), "the same tree is the same archive");
    }

    #[test]
    fn a_path_out_of_the_package_is_refused() {
        assert!(clean(Path::new("./usr/../../etc")).is_err());
        assert_eq!(clean(Path::new("./")).unwrap(), "");
        assert_eq!(clean(Path::new("./lib64/ld.so")).unwrap(), "usr/lib64/ld.so");
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "Package: git\nVersion: 1:2\nX-Package: no\n";
        assert_eq!(field(text, "Package"), Some("git"));
        assert_eq!(field(text, "Version"), Some("1:2"));
        assert_eq!(field(text, "Pack"), None);
    }
}
