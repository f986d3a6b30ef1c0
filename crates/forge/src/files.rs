//! All files of a directory, whatever the forge.

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::contents::{Commit, Contents, Repository};
use crate::conversation::{File, FileLimits};
use crate::error::Error;

/// Files that are read at once.
const AT_ONCE: usize = 8;

/// Directories that are looked into.
const MAX_DIRECTORIES: usize = 64;

/// Lists directories.
pub(crate) trait Reader: Contents {
    /// What a directory of a commit holds, and maybe what its directories hold. [`Error::NotFound`] if there is none.
    fn entries<'a>(
        &'a self,
        repository: &'a Repository,
        commit: &'a Commit,
        directory: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Error>>;
}

/// Something in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    /// From the root of the repository.
    pub(crate) path: String,
    /// In bytes, where the forge tells of it.
    pub(crate) size: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    /// To be looked into.
    Directory,
    /// A link, a submodule, or a directory that was looked into already.
    Other,
}

/// See [`Forge::files`](crate::Forge::files).
pub(crate) async fn read_all<R: Reader + ?Sized>(
    reader: &R,
    repository: &Repository,
    commit: &Commit,
    directory: &str,
    limits: FileLimits,
    wanted: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Vec<File>, Error> {
    let too_large = |limit| Error::TooLarge {
        what: format!("directory {directory:?} of {repository} at {commit}"),
        limit,
    };
    let paths = paths(reader, repository, commit, directory, wanted).await?;
    let total = paths.iter().map(|(_, size)| size.unwrap_or_default()).sum::<u64>();
    if paths.len() > limits.files || total > limits.total {
        return Err(too_large(limits.total));
    }
    let read = paths.into_iter().map(|(path, _)| async move {
        let content = reader.file(repository, commit, &path, limits.file).await?;
        Ok::<_, Error>(File { path, content })
    });
    let mut files: Vec<File> = stream::iter(read).buffered(AT_ONCE).try_collect().await?;
    // Not all forges tell of sizes beforehand.
    if files.iter().map(|file| file.content.len() as u64).sum::<u64>() > limits.total {
        return Err(too_large(limits.total));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Paths of all files that are wanted, with their sizes.
async fn paths<R: Reader + ?Sized>(
    reader: &R,
    repository: &Repository,
    commit: &Commit,
    directory: &str,
    wanted: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Vec<(String, Option<u64>)>, Error> {
    let (mut found, mut directories) = (Vec::new(), vec![directory.to_owned()]);
    let mut seen = 0;
    while let Some(next) = directories.pop() {
        seen += 1;
        if seen > MAX_DIRECTORIES {
            return Err(Error::Invalid {
                what: format!("directory {directory:?} of {repository} at {commit}"),
                reason: format!("it has more than {MAX_DIRECTORIES} directories"),
            });
        }
        let entries = match reader.entries(repository, commit, &next).await {
            Err(Error::NotFound { .. }) => Vec::new(),
            other => other?,
        };
        for entry in entries {
            match entry.kind {
                EntryKind::Directory => directories.push(entry.path),
                EntryKind::File if wanted(&entry.path) => found.push((entry.path, entry.size)),
                EntryKind::File | EntryKind::Other => {}
            }
        }
    }
    Ok(found)
}
