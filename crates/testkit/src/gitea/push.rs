//! A folder becomes the next commit of a branch, by Git itself.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

use super::client::{Client, Credential};
use super::repositories::MAIN;
use crate::wait::{DEADLINE, eventually};

/// What is to be pushed where.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// `owner/name`.
    pub repository: &'a str,
    pub branch: &'a str,
    /// What the branch holds afterwards, but for what a `.gitignore` in there leaves out.
    pub folder: &'a Path,
    /// Of the commit.
    pub message: &'a str,
}

/// The commit that the branch is at after a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It had just this content before.
    Unchanged(String),
    New(String),
}

impl Pushed {
    pub fn commit(&self) -> &str {
        match self {
            Self::Unchanged(commit) | Self::New(commit) => commit,
        }
    }
}

impl Client {
    /// Makes a commit of a folder's content and pushes it. A new branch begins where `main` is; nothing is pushed if
    /// the branch has this content already.
    pub async fn push(&self, push: &Push<'_>) -> anyhow::Result<Pushed> {
        let work = tempfile::tempdir().context("make a folder for Git")?;
        let folder = std::path::absolute(push.folder)?;
        let git = Git { client: self, repository: work.path(), folder: &folder };
        let failed = || format!("push {} to {} {}", push.folder.display(), push.repository, push.branch);
        let pushed = git.push(push).await.with_context(failed)?;
        // The forge has it, but for a moment its API says what was before.
        eventually(DEADLINE, "the forge to take note of a push", async || {
            let branch = self.branch(push.repository, push.branch).await?;
            ensure!(branch.as_deref() == Some(pushed.commit()), "its branch is at {branch:?}");
            Ok(())
        })
        .await
        .with_context(failed)?;
        Ok(pushed)
    }
}

/// Git with a repository of its own and somebody else's folder as work tree, without this machine's configuration.
struct Git<'a> {
    client: &'a Client,
    repository: &'a Path,
    folder: &'a Path,
}

impl Git<'_> {
    async fn push(&self, push: &Push<'_>) -> anyhow::Result<Pushed> {
        ensure!(self.folder.is_dir(), "{} is no folder", self.folder.display());
        let url = self.client.clone_url(push.repository);
        self.run(&["init", "--quiet"]).await?;
        let heads = self.run(&["ls-remote", "--heads", &url]).await?;
        let tip = |branch: &str| {
            let reference = format!("refs/heads/{branch}");
            heads.lines().filter_map(|line| line.split_once('\t')).find(|(_, name)| *name == reference)
        };
        let parent = tip(push.branch).or_else(|| tip(MAIN));
        if let Some((_, reference)) = parent {
            self.run(&["fetch", "--quiet", "--depth", "1", &url, reference]).await?;
        }
        self.run(&["add", "--all", "."]).await?;
        let tree = self.run(&["write-tree"]).await?;
        let listed = self.run(&["ls-tree", &tree]).await?;
        ensure!(!listed.is_empty(), "there is nothing in the folder");
        let (commit, is_new) = match parent {
            Some((parent, _)) if self.run(&["rev-parse", &format!("{parent}^{{tree}}")]).await? == tree => {
                (parent.to_owned(), false)
            }
            Some((parent, _)) => {
                (self.run(&["commit-tree", &tree, "-p", parent, "-m", push.message]).await?, true)
            }
            None => (self.run(&["commit-tree", &tree, "-m", push.message]).await?, true),
        };
        if tip(push.branch).is_some_and(|(tip, _)| tip == commit) {
            return Ok(Pushed::Unchanged(commit));
        }
        self.run(&["push", "--quiet", &url, &format!("{commit}:refs/heads/{}", push.branch)]).await?;
        Ok(if is_new { Pushed::New(commit) } else { Pushed::Unchanged(commit) })
    }

    /// What it prints.
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.folder)
            // Proxies, authorities and settings of this machine are of no use here.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.repository)
            .env("GIT_DIR", self.repository)
            .env("GIT_WORK_TREE", self.folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // By the environment: others can read arguments.
        let settings = self.settings()?;
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (number, (key, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        let author = match self.client.credential() {
            Credential::Password { user, .. } => user.as_str(),
            Credential::Token(_) | Credential::Nobody => &self.client.access().administrator,
        };
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), author);
            command.env(format!("GIT_{role}_EMAIL"), format!("{author}@users.konflux.test"));
        }
        let output = command.output().await.context("run git: is it installed?")?;
        if !output.status.success() {
            let verb = arguments.first().unwrap_or(&"");
            bail!("git {verb}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// How the forge is reached, trusted and logged in to.
    fn settings(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let access = self.client.access();
        let bundle = self.repository.join("konflux-ca.crt");
        std::fs::write(&bundle, &access.certificate_authority)
            .with_context(|| format!("write {}", bundle.display()))?;
        let host = self.client.host();
        let mut settings = vec![
            ("http.sslCAInfo", bundle.display().to_string()),
            ("http.curloptResolve", format!("{host}:{}:{}", access.address.port(), access.address.ip())),
        ];
        let login = match self.client.credential() {
            Credential::Nobody => None,
            Credential::Password { user, password } => Some(format!("{user}:{password}")),
            Credential::Token(token) => Some(format!("{token}:")),
        };
        if let Some(login) = login {
            settings.push(("http.extraHeader", format!("Authorization: Basic {}", STANDARD.encode(login))));
        }
        Ok(settings)
    }
}
