//! What the demo sets up at the forge: a user with a repository, and a token of theirs.
use anyhow::Context as _;
use testkit::gitea::{Client, CommitStatus, NewPull, NewUser, Push, Pushed};

use super::Forge;
use crate::{
    cluster::{Choice, Cluster, unguessable},
    ui,
};

/// Scopes of the token by which pipelines-as-code reads and reports.
const SCOPES: [&str; 4] = ["write:repository", "write:issue", "read:organization", "read:user"];

/// A user of the forge, and their repository.
pub struct Scene {
    client: Client,
    user: String,
    /// `owner/name`.
    pub repository: String,
    /// Of the user, for pipelines-as-code.
    pub token: String,
    /// Name of the forge.
    pub host: String,
}

/// A pull request of the user's.
pub struct Proposal {
    pub number: u64,
    /// Where a person sees it.
    pub url: String,
    /// What its branch is at.
    pub commit: String,
}

impl Scene {
    /// `None` where the cluster has no forge of ours.
    pub async fn set(choice: &Choice, user: &str, repository: &str) -> anyhow::Result<Option<Self>> {
        if Cluster::load(choice)?.forge_access()?.is_none() {
            return Ok(None);
        }
        let forge = Forge::of(choice).await?;
        let full_name = format!("{user}/{repository}");
        let step = ui::step(format!("repository {full_name} is at the forge"));
        let password = forge.logins.password(user)?.unwrap_or_else(unguessable);
        forge
            .client
            .ensure_user(&NewUser { name: user, password: &password, is_administrator: false })
            .await?;
        forge.logins.keep_password(user, &password)?;
        forge.client.ensure_repository(&full_name, false).await?;
        let client = forge.client.with_password(user, &password);
        let token = client.new_token(user, repository, &SCOPES).await?;
        step.done();
        let host = client.host().to_owned();
        Ok(Some(Self { client, user: user.to_owned(), repository: full_name, token, host }))
    }

    /// As [`Scene::set`], with an empty repository: one of that name is deleted.
    pub async fn anew(choice: &Choice, user: &str, repository: &str) -> anyhow::Result<Option<Self>> {
        if Cluster::load(choice)?.forge_access()?.is_none() {
            return Ok(None);
        }
        let forge = Forge::of(choice).await?;
        forge.client.delete_repository(&format!("{user}/{repository}")).await?;
        Self::set(choice, user, repository).await
    }

    /// Merges the one pull request that is open, and returns the commit that `main` is at then.
    pub async fn merge_only_pull(&self) -> anyhow::Result<String> {
        let open = self.client.pulls(&self.repository).await?;
        let [pull] = &open[..] else {
            anyhow::bail!("{} has {} open pull requests, and should have one", self.repository, open.len());
        };
        self.merge(pull.number).await
    }

    /// Merges a pull request, and returns the commit that `main` is at then.
    pub async fn merge(&self, number: u64) -> anyhow::Result<String> {
        let step = ui::step(format!("{} merges pull request {number}", self.user));
        self.client.merge(&self.repository, number).await?;
        let commit = self.client.commit(&self.repository, "main").await?;
        let commit = commit.with_context(|| format!("{} has no branch main", self.repository))?;
        step.done_with(&format!("commit {commit}"));
        Ok(commit)
    }

    /// Pushes a folder to `main`. A new commit even if nothing has changed since the last one.
    pub async fn push(&self, folder: &std::path::Path, message: &str) -> anyhow::Result<String> {
        let step = ui::step(format!("{} pushes to {}", self.user, self.repository));
        let push = Push { repository: &self.repository, branch: "main", folder, message };
        let pushed = self.client.push(&push).await?;
        let Pushed::New(commit) = pushed else {
            anyhow::bail!("the content of {} is what the branch holds already", folder.display());
        };
        step.done_with(&format!("commit {commit}"));
        Ok(commit)
    }

    /// Pushes a folder to a branch, and opens a pull request of it.
    pub async fn propose(
        &self,
        folder: &std::path::Path,
        branch: &str,
        title: &str,
    ) -> anyhow::Result<Proposal> {
        let step = ui::step(format!("{} opens a pull request: {title}", self.user));
        let push = Push { repository: &self.repository, branch, folder, message: title };
        let commit = self.client.push(&push).await?.commit().to_owned();
        let pull = NewPull { title, head: branch, base: "main" };
        let number = self.client.ensure_pull(&self.repository, &pull).await?;
        let open = self.client.pulls(&self.repository).await?;
        let pull = open.into_iter().find(|open| open.number == number);
        let url = pull.with_context(|| format!("pull request {number} is not open"))?.url;
        step.done_with(&url);
        Ok(Proposal { number, url, commit })
    }

    /// A file of `main`.
    pub async fn file(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.client.file(&self.repository, "main", path).await
    }

    /// Texts of the comments on a pull request.
    pub async fn comments(&self, pull: u64) -> anyhow::Result<Vec<String>> {
        self.client.comments(&self.repository, pull).await
    }

    /// All that the forge shows at a commit.
    pub async fn statuses(&self, commit: &str) -> anyhow::Result<Vec<CommitStatus>> {
        let statuses = self.client.statuses(&self.repository, commit).await;
        statuses.with_context(|| format!("read the statuses of {commit}"))
    }

    /// What the forge shows at a commit under the context that ends like this: state and description.
    pub async fn status(&self, commit: &str, context: &str) -> anyhow::Result<Option<(String, String)>> {
        let status =
            self.statuses(commit).await?.into_iter().find(|status| status.context.ends_with(context));
        Ok(status.map(|status| (status.state, status.target_url)))
    }
}
