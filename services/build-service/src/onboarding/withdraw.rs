//! The end of building a Component by the pipelines in its repository (specification, section 4.7).

use forge::{Commit, FileChange, NewCommit, NewRequest, Opened};

use super::look::exists_at;
use super::words::Words;
use crate::failure::Failure;
use crate::git::{Access, Source};

/// Takes back what [`propose`](super::propose) has proposed: closes the request, or, where it has been merged, opens one that
/// deletes the files. The URL of the latter; `None` if none is needed.
pub(crate) async fn withdraw(
    access: &Access,
    source: &Source,
    branch: &str,
    paths: &[String],
    component: &str,
) -> Result<Option<String>, Failure> {
    let words = Words::new(access, component);
    let (changes, repository, head) = (&access.changes, &source.repository, words.branch());
    let refused = |error| access.refused(source, &error);
    let open = changes.requests(repository, &head, branch).await.map_err(refused)?;
    // Which closes the request.
    changes.delete_branch(repository, &head).await.map_err(refused)?;
    if !open.is_empty() {
        return Ok(None);
    }
    let Some(base) = changes.branch_head(repository, branch).await.map_err(refused)? else {
        return Ok(None);
    };
    let there = there_are(access, source, &base, paths).await?;
    if there.is_empty() {
        return Ok(None);
    }
    purge(access, source, branch, &base, there, &words).await
}

async fn purge(
    access: &Access,
    source: &Source,
    branch: &str,
    base: &Commit,
    paths: Vec<String>,
    words: &Words<'_>,
) -> Result<Option<String>, Failure> {
    let (changes, repository, head) = (&access.changes, &source.repository, words.purge_branch());
    let refused = |error| access.refused(source, &error);
    let open = changes.requests(repository, &head, branch).await.map_err(refused)?;
    if open.is_empty() {
        // One of an earlier time, which may have been merged.
        changes.delete_branch(repository, &head).await.map_err(refused)?;
    }
    let known =
        if open.is_empty() { None } else { changes.branch_head(repository, &head).await.map_err(refused)? };
    let left = match &known {
        Some(known) => there_are(access, source, known, &paths).await?,
        None => paths,
    };
    if !left.is_empty() {
        let deletions = left.into_iter().map(|path| FileChange { path, content: None, executable: false });
        let commit = NewCommit {
            branch: head.clone(),
            base: base.clone(),
            changes: deletions.collect(),
            message: words.purge_title(),
            author: Some(words.author()),
        };
        changes.push(repository, &commit).await.map_err(refused)?;
    }
    if let Some(open) = open.into_iter().next() {
        return Ok(Some(open.url));
    }
    let new = NewRequest {
        head,
        base: branch.to_owned(),
        title: words.purge_title(),
        body: words.purge_body(),
        labels: Vec::new(),
    };
    Ok(match changes.open_request(repository, &new).await.map_err(refused)? {
        Opened::Request(open) => Some(open.url),
        // Somebody else has deleted them meanwhile.
        Opened::NoDifference => None,
    })
}

/// Which of the files a commit has.
async fn there_are(
    access: &Access,
    source: &Source,
    commit: &Commit,
    paths: &[String],
) -> Result<Vec<String>, Failure> {
    let mut there = Vec::new();
    for path in paths {
        if exists_at(access, source, commit, path).await? {
            there.push(path.clone());
        }
    }
    Ok(there)
}
