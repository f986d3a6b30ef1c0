//! Files of this machine.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::{MAX_FILES, is_wanted};

/// Folders within each other.
const MAX_DEPTH: usize = 64;

/// The wanted files of a folder, or the one file.
pub(super) async fn read(url: &str, path: &Path, limit: u64) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let path = path.to_owned();
    let wrong = |why: String| Error::unreachable(url, why, false);
    let read = tokio::task::spawn_blocking(move || read_all(&path, limit)).await;
    read.map_err(|error| wrong(error.to_string()))?.map_err(wrong)
}

fn read_all(root: &Path, limit: u64) -> Result<Vec<(String, Vec<u8>)>, String> {
    let kind = root.metadata().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file or folder; a Git repository is named as git::https://…, a bundle as oci::…"
                .to_owned()
        }
        _ => error.to_string(),
    })?;
    if kind.is_file() {
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(if is_wanted(&name) { vec![(name, read_file(root, limit)?)] } else { Vec::new() });
    }
    let (mut files, mut left) = (Vec::new(), limit);
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if depth > MAX_DEPTH {
            return Err(format!("{}: more than {MAX_DEPTH} folders within each other", folder.display()));
        }
        for path in entries(&folder)? {
            // Through links too: who may name this folder may read what it links to.
            let said = |error: std::io::Error| format!("{}: {error}", path.display());
            let kind = path.metadata().map_err(said)?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if kind.is_dir() {
                folders.push((path, depth + 1));
            } else if is_wanted(&name) {
                let content = read_file(&path, left)?;
                left -= content.len() as u64;
                files.push((name, content));
            }
            if files.len() > MAX_FILES {
                return Err(format!("it has more than {MAX_FILES} files"));
            }
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in folder.read_dir().map_err(said)? {
        let path = entry.map_err(said)?.path();
        // What Git keeps, and links that lead nowhere, are no rules.
        if path.file_name().is_some_and(|name| name != ".git") && path.exists() {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let said = |error: std::io::Error| format!("{}: {error}", path.display());
    if path.metadata().map_err(said)?.len() > limit {
        return Err("its files are too large together".to_owned());
    }
    std::fs::read(path).map_err(said)
}
