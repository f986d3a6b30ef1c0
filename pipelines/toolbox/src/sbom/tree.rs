//! Reads a folder: a source tree, or an image's root.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::collect::Collector;
use super::kind::Scope;

const MAX_ENTRIES: usize = 4_000_000;
const MAX_DEPTH: usize = 128;
/// `O_NOFOLLOW | O_NONBLOCK` of Linux: neither a link that was put in place of a file, nor a pipe that nobody writes to.
const CAREFULLY: i32 = 0o400_000 | 0o4000;

/// Reads all files of a folder that say something of packages. Links are not followed: they may lead anywhere.
pub(super) fn read(root: &Path, scope: Scope, collector: &mut Collector) -> anyhow::Result<()> {
    let mut waiting = vec![String::new()];
    let mut entries = 0;
    while let Some(folder) = waiting.pop() {
        let path = root.join(&folder);
        let mut children = match path.read_dir() {
            Ok(children) => children.collect::<io::Result<Vec<_>>>()?,
            // Folders that only their owner may read are none of a build's.
            Err(error) if !folder.is_empty() && error.kind() == io::ErrorKind::PermissionDenied => {
                collector.unread(&folder, "no permission");
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("read folder {}", path.display())),
        };
        // So that the same tree is always read in the same order.
        children.sort_by_key(std::fs::DirEntry::file_name);
        for child in children {
            entries += 1;
            if entries > MAX_ENTRIES {
                bail!("{} has more than 4,000,000 files", root.display());
            }
            let Ok(name) = child.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = child.file_type()?;
            if kind.is_dir() {
                if !is_passed_over(&path, &name, scope) && path.matches('/').count() < MAX_DEPTH {
                    waiting.push(path);
                }
            } else if kind.is_file() {
                self::file(root, &path, collector)?;
            }
        }
    }
    Ok(())
}

/// Folders that have nothing of the tree's own: packages in them have lockfiles too, which nobody uses. Of an image, what the kernel
/// shows there.
fn is_passed_over(path: &str, name: &str, scope: Scope) -> bool {
    match scope {
        Scope::Source => matches!(name, ".git" | "node_modules"),
        Scope::Image => matches!(path, "proc" | "sys" | "dev"),
    }
}

fn file(root: &Path, path: &str, collector: &mut Collector) -> anyhow::Result<()> {
    // Most files are of no interest, and finding out their size would be a call for each.
    if !collector.may_want(path) {
        return Ok(());
    }
    let opened = OpenOptions::new().read(true).custom_flags(CAREFULLY).open(root.join(path));
    let (mut file, metadata): (File, _) = match opened.and_then(|file| Ok((file.metadata()?, file))) {
        Ok((metadata, file)) if metadata.is_file() => (file, metadata),
        Ok(_) => return Ok(()),
        Err(error) => {
            collector.unread(path, error.to_string());
            return Ok(());
        }
    };
    let is_executable = metadata.mode() & 0o111 != 0;
    collector.file(path, is_executable, metadata.len(), &mut file).with_context(|| format!("read {path}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_not_followed_and_what_is_not_the_trees_is_passed_over() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("requirements.txt"), "secret==1.0").unwrap();
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        for folder in ["sub", ".git", "node_modules/a"] {
            fs::create_dir_all(at(folder)).unwrap();
            fs::write(
                at(folder).join("requirements.txt"),
                format!("{}==1.0", folder.replace(['.', '/'], "")),
            )
            .unwrap();
        }
        symlink(outside.path(), at("link")).unwrap();
        symlink(outside.path().join("requirements.txt"), at("requirements.txt")).unwrap();
        symlink("/", at("sub/root")).unwrap();
        let mut collector = Collector::new(Scope::Source);
        read(tree.path(), Scope::Source, &mut collector).unwrap();
        let (packages, unread) = collector.finish();
        assert_eq!(
            packages.iter().map(|package| package.purl.to_string()).collect::<Vec<_>>(),
            ["pkg:pypi/sub@1.0"]
        );
        assert_eq!(packages[0].found_in.first().unwrap(), "sub/requirements.txt");
        assert!(unread.is_empty());
        let error = read(&at("missing"), Scope::Source, &mut Collector::new(Scope::Source)).unwrap_err();
        assert!(error.to_string().starts_with("read folder "), "{error}");
    }
}
