//! What the checkout holds, as Git sees it.
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::program::Program;

/// Files under version control and new ones that are not ignored, relative to `root`, in order.
pub async fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = Program::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .directory(root)
        .run()
        .await?
        .success()?;
    let mut files: Vec<PathBuf> = listed
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        // Deleted, but not yet in Git's eyes.
        .filter(|path| root.join(path).is_file())
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// A text file of the checkout; nothing if it is no text.
pub fn text(root: &Path, path: &Path) -> anyhow::Result<Option<String>> {
    let bytes = std::fs::read(root.join(path)).with_context(|| format!("read {}", path.display()))?;
    Ok(String::from_utf8(bytes).ok())
}
