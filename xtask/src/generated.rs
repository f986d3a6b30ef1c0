//! Files that a command writes and that are kept under version control, so that a change of them is reviewed.
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// All that one command generates. Paths are relative to the root of the checkout.
#[derive(Debug, Default)]
pub struct Generated {
    /// Content by path.
    pub files: BTreeMap<PathBuf, String>,
    /// Folders that hold nothing else: a file left in one by an older version is removed.
    pub folders: Vec<PathBuf>,
}

impl Generated {
    /// One line for each file that is missing, differs or should not be there.
    pub fn stale(&self, root: &Path) -> anyhow::Result<Vec<String>> {
        let mut faults = Vec::new();
        for (path, content) in &self.files {
            match fs::read_to_string(root.join(path)) {
                Ok(found) if found == *content => {}
                Ok(found) => {
                    faults.push(format!("{} is stale: {}", path.display(), difference(&found, content)));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    faults.push(format!("{} is missing", path.display()));
                }
                Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
            }
        }
        for path in self.left_over(root)? {
            faults.push(format!("{} is no longer generated", path.display()));
        }
        Ok(faults)
    }

    /// Writes what differs, removes what is left over; returns how many files changed.
    pub fn write(&self, root: &Path) -> anyhow::Result<usize> {
        let mut changed = 0;
        for (path, content) in &self.files {
            let target = root.join(path);
            if fs::read_to_string(&target).is_ok_and(|found| found == *content) {
                continue;
            }
            let folder = target.parent().unwrap_or(root);
            fs::create_dir_all(folder).with_context(|| format!("create folder {}", folder.display()))?;
            fs::write(&target, content).with_context(|| format!("write {}", path.display()))?;
            changed += 1;
        }
        for path in self.left_over(root)? {
            fs::remove_file(root.join(&path)).with_context(|| format!("remove {}", path.display()))?;
            changed += 1;
        }
        Ok(changed)
    }

    fn left_over(&self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = self.folders.clone();
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(root.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("read folder {}", folder.display())),
            };
            for entry in entries {
                let entry = entry?;
                let path = folder.join(entry.file_name());
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if !self.files.contains_key(&path) {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The first line in which two texts differ.
fn difference(found: &str, expected: &str) -> String {
    let (mut old, mut new) = (found.lines(), expected.lines());
    let mut number = 1;
    loop {
        match (old.next(), new.next()) {
            (None, None) => return "only line ends differ".into(),
            (a, b) if a == b => number += 1,
            (a, b) => {
                return format!(
                    "line {number} reads {:?}, should read {:?}",
                    a.unwrap_or("(end of file)"),
                    b.unwrap_or("(end of file)")
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Generated {
        Generated {
            files: BTreeMap::from([("out/a.yaml".into(), "one\ntwo\n".into())]),
            folders: vec!["out".into()],
        }
    }

    #[test]
    fn names_what_is_missing_stale_and_left_over() -> anyhow::Result<()> {
        let root = tempfile::tempdir()?;
        assert_eq!(sample().stale(root.path())?, ["out/a.yaml is missing"]);

        fs::create_dir_all(root.path().join("out/old"))?;
        fs::write(root.path().join("out/a.yaml"), "one\n2\n")?;
        fs::write(root.path().join("out/old/b.yaml"), "")?;
        assert_eq!(
            sample().stale(root.path())?,
            [
                "out/a.yaml is stale: line 2 reads \"2\", should read \"two\"",
                "out/old/b.yaml is no longer generated"
            ]
        );
        Ok(())
    }

    #[test]
    fn writing_once_is_enough() -> anyhow::Result<()> {
        let root = tempfile::tempdir()?;
        assert_eq!(sample().write(root.path())?, 1);
        assert_eq!(sample().stale(root.path())?, Vec::<String>::new());
        assert_eq!(sample().write(root.path())?, 0);
        Ok(())
    }
}
