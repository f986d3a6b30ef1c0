//! Brings proposals to a forge: a branch with one commit after another, and a pull request from it.
//!
//! ```text
//! no branch ─▶ push, open         branch, request ─▶ push what is different, retitle
//! branch without request (merged, closed, or we were killed) ─▶ delete it, begin anew
//! branch that somebody else has pushed to ─▶ is theirs
//! ```

use anyhow::Context as _;
use forge::{Author, Changes, Commit, FileChange, NewCommit, NewRequest, OpenRequest, Opened, Repository};

use super::checkout::Checkout;
use super::plan::Proposal;

/// Last line of our commits, by which a branch that somebody has worked on is told from one that is ours.
const MARK: &str = "Proposed-by: konflux update";

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Opened(String),
    Updated(String),
    /// It is there already.
    Unchanged(String),
    /// Somebody has pushed to the branch, or asked that it be left alone.
    Theirs(String),
    /// The base branch has it all.
    Needless,
}

/// Where proposals for one branch go.
pub(crate) struct Proposer<'a> {
    pub(crate) changes: &'a dyn Changes,
    pub(crate) repository: &'a Repository,
    pub(crate) base: &'a str,
    pub(crate) base_head: Commit,
    pub(crate) author: Option<Author>,
    pub(crate) checkout: &'a Checkout,
}

impl Proposer<'_> {
    /// Whether a request from this branch is open.
    pub(crate) async fn is_open(&self, branch: &str) -> anyhow::Result<bool> {
        Ok(self.open(branch).await?.is_some())
    }

    /// Brings one proposal to the forge.
    pub(crate) async fn propose(&self, proposal: &Proposal) -> anyhow::Result<Outcome> {
        if proposal.files.is_empty() {
            return Ok(Outcome::Needless);
        }
        let branch = proposal.branch.as_str();
        let request = self.open(branch).await?;
        let head = self.changes.branch_head(self.repository, branch).await?;
        match (request, head) {
            (Some(request), Some(head)) => self.update(proposal, &request, &head).await,
            (None, Some(head)) => {
                if !self.is_ours(&head).await? {
                    return Ok(Outcome::Theirs(format!("branch {branch}")));
                }
                self.changes.delete_branch(self.repository, branch).await?;
                self.begin(proposal).await
            }
            (_, None) => self.begin(proposal).await,
        }
    }

    /// Closes the request of a branch of ours that has nothing left to propose. Whether there was one.
    pub(crate) async fn withdraw(&self, branch: &str) -> anyhow::Result<bool> {
        if self.open(branch).await?.is_none() {
            return Ok(false);
        }
        let head = self.changes.branch_head(self.repository, branch).await?;
        match head {
            Some(head) if self.is_ours(&head).await? => {
                Ok(self.changes.delete_branch(self.repository, branch).await?)
            }
            _ => Ok(false),
        }
    }

    async fn open(&self, branch: &str) -> anyhow::Result<Option<OpenRequest>> {
        let requests = self.changes.requests(self.repository, branch, self.base).await?;
        Ok(requests.into_iter().next())
    }

    async fn is_ours(&self, head: &Commit) -> anyhow::Result<bool> {
        let described = self.changes.describe(self.repository, head.as_str()).await?;
        Ok(described.message.lines().any(|line| line.trim() == MARK))
    }

    async fn begin(&self, proposal: &Proposal) -> anyhow::Result<Outcome> {
        self.push(proposal).await?;
        match self.changes.open_request(self.repository, &self.request(proposal)).await? {
            Opened::Request(request) => Ok(Outcome::Opened(request.url)),
            Opened::NoDifference => {
                self.changes.delete_branch(self.repository, &proposal.branch).await?;
                Ok(Outcome::Needless)
            }
        }
    }

    async fn update(
        &self,
        proposal: &Proposal,
        request: &OpenRequest,
        head: &Commit,
    ) -> anyhow::Result<Outcome> {
        if !self.is_ours(head).await? || self.is_stopped(proposal, request).await? {
            return Ok(Outcome::Theirs(request.url.clone()));
        }
        let branch = proposal.branch.as_str();
        self.checkout.fetch(branch).await?;
        let is_changed = |path: &str| proposal.files.iter().any(|file| file.path == path);
        let there = self.checkout.read(branch, is_changed).await?;
        if proposal.files.iter().all(|file| there.contains(file)) {
            return Ok(Outcome::Unchanged(request.url.clone()));
        }
        self.push(proposal).await?;
        self.changes.update_request(self.repository, request.number, &self.request(proposal)).await?;
        Ok(Outcome::Updated(request.url.clone()))
    }

    async fn is_stopped(&self, proposal: &Proposal, request: &OpenRequest) -> anyhow::Result<bool> {
        // A label that we give ourselves stops nobody.
        let Some(label) = proposal.stop_label.as_ref().filter(|label| !proposal.labels.contains(label))
        else {
            return Ok(false);
        };
        let found = self.changes.pull_request(self.repository, request.number).await?;
        Ok(found.labels.contains(label))
    }

    async fn push(&self, proposal: &Proposal) -> anyhow::Result<()> {
        let change = |file: &super::plan::TextFile| FileChange {
            path: file.path.clone(),
            content: Some(file.text.clone().into_bytes()),
            executable: file.is_executable,
        };
        let commit = NewCommit {
            branch: proposal.branch.clone(),
            base: self.base_head.clone(),
            changes: proposal.files.iter().map(change).collect(),
            message: format!("{}\n\n{MARK}\n", proposal.title),
            author: self.author.clone(),
        };
        let pushed = self.changes.push(self.repository, &commit).await;
        pushed.map(drop).with_context(|| format!("push to branch {}", proposal.branch))
    }

    fn request(&self, proposal: &Proposal) -> NewRequest {
        NewRequest {
            head: proposal.branch.clone(),
            base: self.base.to_owned(),
            title: proposal.title.clone(),
            body: proposal.body.clone(),
            labels: proposal.labels.clone(),
        }
    }
}

/// `Name <address>`.
pub(crate) fn author(text: &str) -> Option<Author> {
    let (name, rest) = text.split_once('<')?;
    let email = rest.trim_end().strip_suffix('>')?;
    let (name, email) = (name.trim().to_owned(), email.trim().to_owned());
    (!name.is_empty() && !email.is_empty()).then_some(Author { name, email })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_has_name_and_address() {
        let found = author("konflux[bot] <1+konflux[bot]@users.example>").unwrap();
        assert_eq!(
            (found.name.as_str(), found.email.as_str()),
            ("konflux[bot]", "1+konflux[bot]@users.example")
        );
        for text in ["", "a@b.example", "<a@b.example>", "a <>"] {
            assert_eq!(author(text), None, "{text:?}");
        }
    }
}
