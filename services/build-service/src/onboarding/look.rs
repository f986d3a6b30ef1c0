//! What is asked of a repository that is not changed.

use forge::{Commit, Error};

use crate::failure::Failure;
use crate::git::{Access, Source, is_commit};

/// Bytes of a file of which it is asked whether it is there. A larger one is there too.
const LARGEST: u64 = 64 * 1024;

/// What a build without Pipelines as Code needs to know of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Whether cloning needs credentials.
    pub(crate) is_private: bool,
    /// The commit to build. Unknown if the forge does not tell: it is built all the same.
    pub(crate) commit: Option<String>,
}

/// Looks at a repository (specification, section 4.2). What the forge does not show counts as private.
pub(crate) async fn look(access: &Access, source: &Source) -> Result<Looked, Failure> {
    let about = match access.changes.about(&source.repository).await {
        Ok(about) => Some(about),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(access.refused(source, &error)),
    };
    let is_private = about.as_ref().is_none_or(|about| about.is_private);
    let branch = source.revision.clone().or_else(|| about.map(|about| about.default_branch));
    let Some(revision) = branch.filter(|name| !name.is_empty()) else {
        return Ok(Looked { is_private, commit: None });
    };
    if is_commit(&revision) {
        return Ok(Looked { is_private, commit: Some(revision) });
    }
    // A tag is at a commit as well.
    let commit = match access.changes.commit(&source.repository, &revision).await {
        Ok(commit) => Some(commit.to_string()),
        Err(error) => {
            let repository = source.name();
            tracing::warn!(repository, revision, %error, "The commit to build is not known");
            None
        }
    };
    Ok(Looked { is_private, commit })
}

/// Whether a branch has a file.
pub(crate) async fn file_exists(
    access: &Access,
    source: &Source,
    branch: &str,
    path: &str,
) -> Result<bool, Failure> {
    let head = access.head(source, branch).await?;
    exists_at(access, source, &head, path).await
}

pub(super) async fn exists_at(
    access: &Access,
    source: &Source,
    commit: &Commit,
    path: &str,
) -> Result<bool, Failure> {
    match access.changes.file(&source.repository, commit, path, LARGEST).await {
        Ok(_) | Err(Error::TooLarge { .. }) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(access.refused(source, &error)),
    }
}
