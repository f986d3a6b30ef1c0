//! The files of `.tekton/`.

use std::sync::atomic::{AtomicBool, Ordering};

use forge::{Commit, FileLimits, Forge, Repository};
use pipelines_as_code_api::names::TEKTON_DIRECTORY;

use super::{Problem, Sources};

/// More than the largest repositories of pipelines have. The longest file is what one object may have in etcd.
const LIMITS: FileLimits =
    FileLimits { files: 500, file: tekton::documents::LONGEST as u64, total: 8 * 1024 * 1024 };

/// Why the files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no directory {TEKTON_DIRECTORY}/ in {repository} at {commit}")]
    NoDirectory { repository: Repository, commit: Commit },
    /// A file that is no YAML.
    #[error(transparent)]
    Invalid(#[from] Problem),
    #[error("the files of {TEKTON_DIRECTORY}/ cannot be read")]
    Forge(#[from] forge::Error),
}

impl ReadError {
    /// Whether it may be otherwise in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Forge(error) if error.is_transient())
    }
}

/// Reads what `.tekton/` has at a commit, in all its directories. Without any file in there that is YAML by its name, there are
/// no placeholders and no definitions.
pub async fn read(forge: &dyn Forge, repository: &Repository, commit: &Commit) -> Result<Sources, ReadError> {
    let is_there = AtomicBool::new(false);
    let wanted = |path: &str| {
        is_there.store(true, Ordering::Relaxed);
        is_yaml(path)
    };
    let files = forge.files(repository, commit, TEKTON_DIRECTORY, LIMITS, &wanted).await?;
    if !is_there.into_inner() {
        return Err(ReadError::NoDirectory { repository: repository.clone(), commit: commit.clone() });
    }
    let files = files.into_iter().map(|file| (file.path, file.content));
    Ok(Sources::parse(repository, commit, files)?)
}

/// By its name.
fn is_yaml(path: &str) -> bool {
    [".yaml", ".yml"].iter().any(|suffix| path.ends_with(suffix))
}
