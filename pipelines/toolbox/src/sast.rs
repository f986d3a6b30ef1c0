//! Checks of sources.

pub mod shell;
pub mod snyk;
pub mod unicode;

use std::path::{Path, PathBuf};

use anyhow::ensure;

/// Files of a repository, at most.
const MAX_FILES: usize = 1_000_000;

/// All files of a checkout but git's own, with no link followed, in order of their paths.
fn files(source: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![source.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
        ensure!(found.len() <= MAX_FILES, "the source has more than {MAX_FILES} files");
    }
    found.sort();
    Ok(found)
}

/// Within the source, for people.
fn shown<'a>(source: &Path, file: &'a Path) -> std::path::Display<'a> {
    file.strip_prefix(source).unwrap_or(file).display()
}
