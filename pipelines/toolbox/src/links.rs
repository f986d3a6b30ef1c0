//! Symbolic links of a tree that lead out of it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows.
const MAX_FOLLOWED: usize = 40;

/// A link that leads out of its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outward {
    /// Within the tree.
    pub link: PathBuf,
    pub target: PathBuf,
}

impl fmt::Display for Outward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.link.display(), self.target.display())
    }
}

/// All links below `root` that lead out of it, or in a circle. Where a link leads is followed as the kernel does, also for
/// targets that are not there (yet): `a/b/..` is another place than `a` where `b` is a link.
pub fn outward(root: &Path) -> io::Result<Vec<Outward>> {
    let root = root.canonicalize()?;
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_symlink() && !stays_inside(&root, &entry.path()) {
                let path = entry.path();
                let link = path.strip_prefix(&root).unwrap_or(&path).to_owned();
                found.push(Outward { link, target: path.read_link()? });
            }
        }
    }
    found.sort_by(|one, other| one.link.cmp(&other.link));
    Ok(found)
}

/// Whether no step on the way to where `path` leads is outside `root`, which is canonical.
fn stays_inside(root: &Path, path: &Path) -> bool {
    let Ok(inner) = path.strip_prefix(root) else { return false };
    let mut at = root.to_owned();
    let mut rest: VecDeque<PathBuf> = inner.components().map(|part| part.as_os_str().into()).collect();
    let mut followed = 0;
    while let Some(part) = rest.pop_front() {
        match part.components().next() {
            Some(Component::ParentDir) => {
                at.pop();
                if !at.starts_with(root) {
                    return false;
                }
            }
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                let Ok(target) = next.read_link() else {
                    at = next;
                    continue;
                };
                followed += 1;
                if followed > MAX_FOLLOWED {
                    return false;
                }
                let target = if target.is_absolute() {
                    let Ok(inner) = target.strip_prefix(root) else { return false };
                    root.clone_into(&mut at);
                    inner.to_owned()
                } else {
                    target
                };
                for part in target.components().rev() {
                    rest.push_front(part.as_os_str().into());
                }
            }
            // `.`, and nothing.
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::inside("dir/file", true)]
    #[case::not_there("dir/nothing/at/all", true)]
    #[case::up_and_down_again("dir/../dir/file", true)]
    #[case::root_itself("dir/..", true)]
    #[case::absolute("/etc/passwd", false)]
    #[case::parent("../x", false)]
    #[case::parent_and_back("../tree/dir", false)]
    #[case::parent_at_the_end("dir/../..", false)]
    // By its text it stays inside: deep/link is deep, and two up is the root.
    #[case::over_another_link("deep/down/link/../../..", false)]
    #[case::circle("circle", false)]
    fn follows_as_the_kernel_does(#[case] target: &str, #[case] is_inside: bool) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("tree");
        std::fs::create_dir_all(root.join("dir")).unwrap();
        std::fs::create_dir_all(root.join("deep/down")).unwrap();
        std::fs::write(root.join("dir/file"), "").unwrap();
        symlink("../../dir", root.join("deep/down/link")).unwrap();
        symlink(target, root.join("circle")).unwrap();
        let found = outward(&root).unwrap();
        let expected = Outward { link: "circle".into(), target: target.into() };
        assert_eq!(found, if is_inside { vec![] } else { vec![expected] });
    }

    #[test]
    fn an_absolute_link_into_the_tree_is_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("dir")).unwrap();
        symlink(root.join("dir"), root.join("a")).unwrap();
        symlink("/", root.join("dir/b")).unwrap();
        let found = outward(&root).unwrap();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), ["dir/b -> /"]);
    }
}
