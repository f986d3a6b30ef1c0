//! The folder that is filled.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Error, is_root_of_trust};

const TARGETS: &str = "targets";

pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// `None` if there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Folder { path, source }),
        }
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        put(&self.0.join(name), content)
    }

    /// Writes these files, and removes those of before: who is no longer listed is no longer trusted.
    pub(super) fn replace_targets(&self, files: &[(String, Vec<u8>)]) -> Result<(), Error> {
        let targets = self.0.join(TARGETS);
        let failed = |source| Error::Folder { path: targets.clone(), source };
        fs::create_dir_all(&targets).map_err(failed)?;
        for (name, content) in files {
            put(&targets.join(name), content)?;
        }
        for entry in fs::read_dir(&targets).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_root_of_trust(&name) && !files.iter().any(|(listed, _)| *listed == name) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Whole or not at all.
fn put(path: &Path, content: &[u8]) -> Result<(), Error> {
    let partial = path.with_extension("partial");
    let write = || {
        let mut file = fs::File::create(&partial)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| Error::Folder { path: path.to_owned(), source })
}
