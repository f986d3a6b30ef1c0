//! `update`: proposes newer images in repositories, by pull request. Configured as Renovate is, of which it does a small part:
//! images in Dockerfiles, in Tekton's YAML, and wherever regular expressions of the settings find them.
//!
//! ```text
//! settings ─▶ branch ─▶ files ─▶ managers ─▶ references ─▶ registries ─▶ plan ─▶ pull requests
//!              (git)                                       (crates/registry)      (crates/forge)
//! ```

mod checkout;
mod config;
mod lookup;
mod managers;
mod patterns;
mod plan;
mod propose;
mod rules;
mod schedule;
mod versions;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use fleet::Secret;
use fleet::outbound::Url;
use forge::{Access, Changes, Provider, Repository};

use self::checkout::{Checkout, Remote};
use self::config::{Config, Task};
use self::lookup::Lookup;
use self::managers::Managers;
use self::plan::Proposal;
use self::propose::{Outcome, Proposer};
use self::rules::Rules;
use crate::context::{Context, say};

/// Open requests of one branch at once, where the settings do not say.
const REQUESTS: usize = 20;

/// Renovate's word for the default branch.
const DEFAULT_BRANCH: &str = "$default";

/// Proposes newer images in repositories, by pull request.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Settings as Renovate has them: JSON, or JavaScript that exports nothing but JSON.
    #[arg(long, env = "RENOVATE_CONFIG_FILE", value_name = "FILE")]
    config: PathBuf,
    /// File with the token of the forge.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The token of the forge, where there is no --token-file. Not as an argument, which others could see.
    #[arg(long, env = "RENOVATE_TOKEN", hide_env_values = true, hide = true, value_parser = hidden)]
    token: Option<Secret<String>>,
    /// Digests that no registry is asked for: JSON from `image:tag` to digests.
    #[arg(long, env = "UPDATE_DIGESTS", value_name = "JSON", value_parser = digests)]
    digests: Option<BTreeMap<String, String>>,
    /// Folder for what git fetches.
    #[arg(long, default_value = "/tmp", value_name = "FOLDER")]
    work: PathBuf,
    /// Says what would be proposed, and proposes nothing.
    #[arg(long)]
    dry_run: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "what clap calls")]
fn hidden(text: &str) -> Result<Secret<String>, String> {
    Ok(Secret::new(text.to_owned()))
}

fn digests(text: &str) -> Result<BTreeMap<String, String>, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; expected an object of texts"))
}

/// Goes through all repositories of the settings. One that fails does not keep the others from theirs.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let path = args.config.display().to_string();
    let text = std::fs::read_to_string(&args.config).with_context(|| format!("read {path}"))?;
    let config = Config::parse(&text).with_context(|| path.clone())?;
    let token = match &args.token_file {
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            Some(Secret::new(text.trim().to_owned()))
        }
        None => args.token,
    };
    let tasks = config.tasks();
    let updater = Updater {
        managers: Managers::new(&config).with_context(|| path.clone())?,
        rules: Rules::new(&config).with_context(|| path.clone())?,
        provider: provider(&config.platform)?,
        server: server(&config.endpoint)?,
        lookup: Lookup {
            client: &context.registry,
            keychain: &context.keychain,
            given: args.digests.unwrap_or_default(),
        },
        token,
        config,
        context,
        work: args.work,
        is_dry: args.dry_run,
    };
    let mut failed = Vec::new();
    for task in &tasks {
        if let Err(error) = updater.repository(task).await {
            say(&format!("{}: {error:#}", task.repository));
            failed.push(task.repository.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{} of {} repositories were not updated: {}", failed.len(), tasks.len(), failed.join(", "))
}

fn provider(platform: &str) -> anyhow::Result<Provider> {
    match platform.parse() {
        Ok(provider @ (Provider::GitHub | Provider::GitLab | Provider::Gitea)) => Ok(provider),
        _ => bail!("platform {platform:?} is not known here; github, gitlab, gitea and forgejo are"),
    }
}

fn server(endpoint: &str) -> anyhow::Result<Url> {
    Url::parse(endpoint)
        .with_context(|| format!("endpoint {endpoint:?}: expected an address, as https://git.example/"))
}

/// One run over the repositories of one forge.
struct Updater<'a> {
    config: Config,
    managers: Managers,
    rules: Rules,
    provider: Provider,
    server: Url,
    lookup: Lookup<'a>,
    token: Option<Secret<String>>,
    context: &'a Context,
    work: PathBuf,
    is_dry: bool,
}

impl Updater<'_> {
    async fn repository(&self, task: &Task) -> anyhow::Result<()> {
        let (owner, name) = task.repository.rsplit_once('/').context("expected owner/name")?;
        let repository = Repository::new(owner, name)?;
        let access = Access {
            token: self.token.as_ref(),
            user: Some(self.config.username.as_str()).filter(|user| !user.is_empty()),
            // The name that GitHub gives to what an App does.
            is_app: self.config.username.ends_with("[bot]"),
        };
        let changes = forge::change(self.provider, &self.server, access, &self.context.outbound)?;
        let about = changes.about(&repository).await?;
        if about.is_archived {
            say(&format!("{repository} is archived: nothing can be proposed"));
            return Ok(());
        }
        let remote = Remote {
            url: changes.clone_url(&repository),
            token: self.token.clone(),
            ca_bundle: self.context.ca_bundle.clone(),
        };
        let checkout = Checkout::new(&self.work, remote).await?;
        let mut bases: Vec<String> = match &task.base_branches[..] {
            [] => vec![about.default_branch],
            named => named
                .iter()
                .map(|name| if name == DEFAULT_BRANCH { about.default_branch.clone() } else { name.clone() })
                .collect(),
        };
        bases.dedup();
        for base in bases {
            self.branch(&*changes, &repository, &base, &checkout)
                .await
                .with_context(|| format!("branch {base}"))?;
        }
        Ok(())
    }

    async fn branch(
        &self,
        changes: &dyn Changes,
        repository: &Repository,
        base: &str,
        checkout: &Checkout,
    ) -> anyhow::Result<()> {
        let head = changes.branch_head(repository, base).await?;
        let base_head = head.with_context(|| format!("{repository} has no such branch"))?;
        checkout.fetch(base).await?;
        let files = checkout.read(base, |path| self.managers.wants(path)).await?;
        let mut found: Vec<_> =
            files.iter().flat_map(|file| self.managers.find(&file.path, &file.text)).collect();
        for dependency in &mut found {
            dependency.name = self.unaliased(&dependency.name);
        }
        let answers = self.lookup.about(&found, &self.rules, base).await;
        let now = self.context.clock.now();
        let is_time = |settings: &config::ProposalSettings| {
            settings.schedule.as_ref().is_none_or(|schedule| schedule::is_time(schedule, now))
        };
        let proposals = plan::plan(&files, &found, &self.rules, &answers.known, base, is_time);
        say(&format!(
            "{repository}, branch {base}: {} files, {} references, {} proposals",
            files.len(),
            found.len(),
            proposals.len()
        ));
        if self.is_dry {
            for proposal in &proposals {
                say(&format!("Would propose {:?} by branch {}", proposal.title, proposal.branch));
            }
            return Ok(());
        }
        let author = self.config.git_author.as_deref().and_then(propose::author);
        let proposer = Proposer { changes, repository, base, base_head, author, checkout };
        self.propose(&proposer, &proposals).await?;
        if answers.are_complete {
            self.withdraw(&proposer, &proposals).await?;
        }
        Ok(())
    }

    /// What an image is looked up by.
    fn unaliased(&self, name: &str) -> String {
        let alias = self.config.registry_aliases.iter().find_map(|(alias, image)| {
            let rest = name.strip_prefix(alias.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{image}{rest}"))
        });
        alias.unwrap_or_else(|| name.to_owned())
    }

    async fn propose(&self, proposer: &Proposer<'_>, proposals: &[Proposal]) -> anyhow::Result<()> {
        let limit = self.config.pr_concurrent_limit.filter(|limit| *limit > 0).unwrap_or(REQUESTS);
        let mut open = 0;
        for proposal in proposals {
            if open >= limit && !proposer.is_open(&proposal.branch).await? {
                say(&format!("{:?} waits: {limit} requests are open", proposal.title));
                continue;
            }
            let outcome = proposer.propose(proposal).await;
            match outcome.with_context(|| format!("propose {:?}", proposal.title))? {
                Outcome::Opened(url) => say(&format!("Opened {url}: {}", proposal.title)),
                Outcome::Updated(url) => say(&format!("Updated {url}: {}", proposal.title)),
                Outcome::Unchanged(url) => say(&format!("{url} is there already: {}", proposal.title)),
                Outcome::Theirs(what) => say(&format!("{what} is left alone: somebody else works on it")),
                Outcome::Needless => continue,
            }
            open += 1;
        }
        Ok(())
    }

    /// Closes requests for which there is no reason any more.
    async fn withdraw(&self, proposer: &Proposer<'_>, proposals: &[Proposal]) -> anyhow::Result<()> {
        for branch in plan::named_branches(&self.rules, proposer.base) {
            let is_needed = proposals.iter().any(|proposal| proposal.branch == branch);
            if !is_needed && proposer.withdraw(&branch).await? {
                say(&format!("Closed the request of branch {branch}: there is nothing left to propose"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forges_that_cannot_be_changed_are_refused() {
        for platform in ["github", "gitlab", "gitea", "forgejo"] {
            assert!(provider(platform).is_ok(), "{platform}");
        }
        for platform in ["", "bitbucket-cloud", "azure"] {
            assert!(provider(platform).is_err(), "{platform}");
        }
    }
}
