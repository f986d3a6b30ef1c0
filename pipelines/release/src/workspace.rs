//! The files that the steps of a run share: JSON below the root of a workspace.
//!
//! ```text
//! <workspace>/<uid of the run>/release.json, data.json, snapshot_spec.json, …
//! ```
//! Paths are relative to the root of the workspace, as results of tasks hand them on. None leads out of it, be it by its words or
//! by a link that somebody left there.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// No file that steps exchange is larger; a Snapshot has at most 1.5 MB.
const LIMIT: u64 = 32 << 20;

/// A folder that steps share.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Without links.
    root: PathBuf,
}

impl Workspace {
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let open =
            root.canonicalize().with_context(|| format!("open the workspace at {}", root.display()))?;
        ensure!(open.is_dir(), "the workspace at {} is no folder", root.display());
        Ok(Self { root: open })
    }

    /// The root itself, without links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file or folder of this path is, or would be.
    pub fn path(&self, relative: &str) -> anyhow::Result<PathBuf> {
        let words = Path::new(relative);
        ensure!(!relative.trim().is_empty(), "an empty path: give one below the workspace");
        let is_plain = words.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(
            is_plain,
            "{relative:?} is no path below the workspace: it must have no .., no . and no / at its start"
        );
        let path = self.root.join(words);
        // What is there decides: a link in the middle may lead anywhere.
        let mut ancestors = path.ancestors();
        let real = ancestors
            .find_map(|ancestor| ancestor.symlink_metadata().is_ok().then(|| ancestor.canonicalize()));
        match real {
            Some(Ok(real)) if real.starts_with(&self.root) => Ok(path),
            Some(Err(error)) => Err(error).with_context(|| format!("look for {relative:?} in the workspace")),
            _ => bail!("{relative:?} leads out of the workspace"),
        }
    }

    /// The folder of this path, which is made if it is not there.
    pub fn folder(&self, relative: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(relative)?;
        std::fs::create_dir_all(&path)
            .with_context(|| format!("make the folder {relative:?} in the workspace"))?;
        Ok(path)
    }

    pub fn has(&self, relative: &str) -> anyhow::Result<bool> {
        Ok(self.path(relative)?.exists())
    }

    pub fn read(&self, relative: &str) -> anyhow::Result<Vec<u8>> {
        read(&self.path(relative)?).with_context(|| format!("read {relative:?} of the workspace"))
    }

    pub fn read_json<T: DeserializeOwned>(&self, relative: &str) -> anyhow::Result<T> {
        let bytes = self.read(relative)?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{relative:?} of the workspace is not the JSON that is expected"))
    }

    /// Writes a file, and the folders that it is in: wholly or not at all, so that a step that is killed leaves no half of one.
    pub fn write(&self, relative: &str, content: &[u8]) -> anyhow::Result<()> {
        let path = self.path(relative)?;
        let folder = path.parent().unwrap_or(&self.root);
        let write = || {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(content)?;
            // The step that reads it may be another user's; the name of a temporary file is for its maker alone.
            file.as_file().set_permissions(Permissions::from_mode(0o644))?;
            file.persist(&path)?;
            Ok::<_, std::io::Error>(())
        };
        write().with_context(|| format!("write {relative:?} of the workspace"))
    }

    pub fn write_json(&self, relative: &str, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(value).with_context(|| format!("write {relative:?}"))?;
        text.push(b'\n');
        self.write(relative, &text)
    }
}

/// Reads a file, of bounded size.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(LIMIT + 1).read_to_end(&mut content)?;
    ensure!(content.len() as u64 <= LIMIT, "it has more than {LIMIT} bytes");
    Ok(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn workspace() -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("root")).unwrap();
        let workspace = Workspace::open(&folder.path().join("root")).unwrap();
        (folder, workspace)
    }

    #[test]
    fn what_is_written_is_read_and_written_again() {
        let (_folder, workspace) = workspace();
        assert!(!workspace.has("run/data.json").unwrap());
        for value in [json!({"a": 1}), json!({})] {
            workspace.write_json("run/data.json", &value).unwrap();
            assert_eq!(workspace.read_json::<Value>("run/data.json").unwrap(), value);
        }
        let mode = workspace.path("run/data.json").unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "steps of other users read it");
        // Nothing is left beside it.
        assert_eq!(workspace.path("run").unwrap().read_dir().unwrap().count(), 1);
    }

    #[rstest]
    #[case::empty("")]
    #[case::blank(" ")]
    #[case::up("../x")]
    #[case::up_within("a/../../x")]
    #[case::absolute("/etc/passwd")]
    #[case::here(".")]
    fn no_path_leads_out_by_its_words(#[case] relative: &str) {
        let (_folder, workspace) = workspace();
        workspace.path(relative).unwrap_err();
        workspace.write(relative, b"x").unwrap_err();
    }

    #[rstest]
    #[case::folder("link", "link/x.json")]
    #[case::file("link", "link")]
    fn no_path_leads_out_by_a_link(#[case] link: &str, #[case] relative: &str) {
        let (folder, workspace) = workspace();
        std::fs::write(folder.path().join("x.json"), "{}").unwrap();
        std::os::unix::fs::symlink(folder.path(), workspace.root().join(link)).unwrap();
        let error = workspace.read(relative).unwrap_err().to_string();
        assert!(error.contains("leads out of the workspace"), "{error}");
        assert!(workspace.write(relative, b"x").is_err());
        assert_eq!(std::fs::read(folder.path().join("x.json")).unwrap(), b"{}");
    }

    #[test]
    fn a_dangling_link_is_not_written_through() {
        let (folder, workspace) = workspace();
        std::os::unix::fs::symlink(folder.path().join("new"), workspace.root().join("link")).unwrap();
        workspace.write("link", b"x").unwrap_err();
        assert!(!folder.path().join("new").exists());
    }

    #[test]
    fn never_panics_and_stays_below_the_workspace() {
        let (folder, workspace) = workspace();
        std::os::unix::fs::symlink(folder.path(), workspace.root().join("l")).unwrap();
        let root = workspace.root().to_owned();
        testkit::fuzz(file!(), &"[a./l\\\\~ ]{0,8}|\\PC{0,12}", |relative| {
            if let Ok(path) = workspace.path(&relative) {
                prop_assert!(path.starts_with(&root) && path != root, "{}", path.display());
                prop_assert!(
                    !path.components().any(|part| part == Component::ParentDir),
                    "{}",
                    path.display()
                );
                prop_assert!(!path.starts_with(root.join("l")), "{}", path.display());
            }
            Ok(())
        });
    }

    #[test]
    fn an_error_names_the_file() {
        let (_folder, workspace) = workspace();
        workspace.write("run/data.json", b"{").unwrap();
        for (path, words) in [("run/data.json", "not the JSON"), ("run/none.json", "read \"run/none.json\"")]
        {
            let error = workspace.read_json::<Value>(path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(path), "{error}");
        }
    }
}
