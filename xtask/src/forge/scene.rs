//! What the demo sets up at the forge: a user with a repository, and a token of theirs.
use anyhow::Context as _;
use testkit::gitea::{Client, NewUser, Push, Pushed};

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
        Ok(Some(Self { client, user: user.to_owned(), repository: full_name, token }))
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

    /// What the forge shows at a commit under the context that ends like this: state and description.
    pub async fn status(&self, commit: &str, context: &str) -> anyhow::Result<Option<(String, String)>> {
        let statuses = self.client.statuses(&self.repository, commit).await;
        let statuses = statuses.with_context(|| format!("read the statuses of {commit}"))?;
        let status = statuses.into_iter().find(|status| status.context.ends_with(context));
        Ok(status.map(|status| (status.state, status.target_url)))
    }
}
