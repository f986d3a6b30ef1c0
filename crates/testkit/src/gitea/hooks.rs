//! Webhooks: of a repository, and of the whole forge.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::client::{Client, split};

/// What pipelines-as-code listens to: pushes of branches and tags, all about pull requests (opened, synchronised,
/// labelled, closed, commented on, reviewed), and comments elsewhere.
pub const EVENTS: [&str; 3] = ["push", "pull_request", "issue_comment"];

/// Begins the names of the webhooks that are made here.
const NAME: &str = "konflux";

/// A webhook to be.
#[derive(Clone, Copy)]
pub struct Hook<'a> {
    pub url: &'a str,
    /// Key of the signature in `X-Gitea-Signature`.
    pub secret: &'a str,
    pub events: &'a [&'a str],
}

#[derive(Deserialize)]
struct Known {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: Value,
    #[serde(default)]
    events: Vec<String>,
}

impl Hook<'_> {
    /// The forge neither tells nor changes the secret of a webhook. So the name says which it is, and one with
    /// another is replaced.
    fn name(&self) -> String {
        let hash = Sha256::digest(self.secret.as_bytes());
        format!("{NAME} {}", data_encoding::HEXLOWER.encode(&hash[..6]))
    }

    fn body(&self, is_system: bool) -> Value {
        let mut config = json!({ "url": self.url, "content_type": "json", "secret": self.secret });
        if is_system {
            config["is_system_webhook"] = json!("true");
        }
        json!({
            "type": "gitea",
            "name": self.name(),
            "config": config,
            "events": self.events,
            "active": true,
        })
    }
}

impl Client {
    /// Has all repositories' events sent to this address, signed, and to no other that was told so before. Whether
    /// anything was changed.
    pub async fn ensure_system_hook(&self, hook: &Hook<'_>) -> anyhow::Result<bool> {
        self.ensure_hook(&["admin", "hooks"], &[("type", "system"), ("limit", "50")], hook, true).await
    }

    /// Has a repository's events sent to this address, signed. Whether anything was changed.
    pub async fn ensure_hook_of(&self, repository: &str, hook: &Hook<'_>) -> anyhow::Result<bool> {
        let (owner, name) = split(repository)?;
        self.ensure_hook(&["repos", owner, name, "hooks"], &[("limit", "50")], hook, false).await
    }

    /// Addresses of the webhooks of a repository.
    pub async fn hooks_of(&self, repository: &str) -> anyhow::Result<Vec<String>> {
        let (owner, name) = split(repository)?;
        let what = format!("list webhooks of {repository}");
        let path = ["repos", owner, name, "hooks"];
        let answer = self.call(&what, Method::GET, &path, &[("limit", "50")], None).await?;
        Ok(urls(&answer.json::<Vec<Known>>()?))
    }

    /// Events of a repository's webhooks to this address, in the forge's words.
    pub async fn hook_events(&self, repository: &str, url: &str) -> anyhow::Result<Vec<String>> {
        let (owner, name) = split(repository)?;
        let what = format!("list webhooks of {repository}");
        let path = ["repos", owner, name, "hooks"];
        let known: Vec<Known> =
            self.call(&what, Method::GET, &path, &[("limit", "50")], None).await?.json()?;
        Ok(known.into_iter().filter(|hook| hook.config["url"] == url).flat_map(|hook| hook.events).collect())
    }

    /// Addresses of the webhooks of the whole forge.
    pub async fn system_hooks(&self) -> anyhow::Result<Vec<String>> {
        let query = [("type", "system"), ("limit", "50")];
        let answer = self.call("list its webhooks", Method::GET, &["admin", "hooks"], &query, None).await?;
        Ok(urls(&answer.json::<Vec<Known>>()?))
    }

    async fn ensure_hook(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        hook: &Hook<'_>,
        is_system: bool,
    ) -> anyhow::Result<bool> {
        let what = format!("list webhooks of {}", path.join("/"));
        let known: Vec<Known> = self.call(&what, Method::GET, path, query, None).await?.json()?;
        let is_same =
            |known: &&Known| known.config["url"] == hook.url || is_system && known.name.starts_with(NAME);
        let same: Vec<&Known> = known.iter().filter(is_same).collect();
        let body = hook.body(is_system);
        if let [only] = same[..]
            && only.name == hook.name()
            && only.config["url"] == hook.url
        {
            let what = format!("correct the webhook to {}", hook.url);
            let id = only.id.to_string();
            self.call(&what, Method::PATCH, &[path, &[&id]].concat(), &[], Some(&body)).await?.success()?;
            return Ok(false);
        }
        for old in same {
            let what = format!("remove the webhook to {}", old.config["url"]);
            let id = old.id.to_string();
            self.call(&what, Method::DELETE, &[path, &[&id]].concat(), &[], None).await?.success()?;
        }
        let what = format!("make a webhook to {}", hook.url);
        self.call(&what, Method::POST, path, &[], Some(&body)).await?.success()?;
        Ok(true)
    }
}

fn urls(hooks: &[Known]) -> Vec<String> {
    hooks.iter().filter_map(|hook| hook.config["url"].as_str()).map(str::to_owned).collect()
}
