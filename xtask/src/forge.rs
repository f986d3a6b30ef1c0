//! `cargo xtask forge`: people, repositories and pull requests in the dev cluster's forge, for tutorials, tests and trials.
//!
//! ```text
//! state folder: forge.json ─▶ administrator's client ─▶ users, organisations, tokens, webhooks
//!               users/<name>.forge ─▶ as this user ───▶ pushes, pull requests, comments
//! ```
//! Each command can be repeated: what is there already is kept or corrected. Standard output has the one thing that was
//! asked for, so that scripts can take it up.
use anyhow::Context as _;
use testkit::gitea::Client;

use crate::{
    cluster::{Choice, Cluster},
    program::interruptible,
};

mod accounts;
mod login;
mod repositories;
pub mod scene;
mod webhook;

use login::Logins;

/// Makes users, tokens, repositories, pull requests and webhooks in the dev cluster's forge.
#[derive(Clone, Debug, clap::Args)]
pub struct ForgeArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    User(accounts::UserArgs),
    Organization(accounts::OrganizationArgs),
    Token(accounts::TokenArgs),
    Repo(repositories::RepoArgs),
    Pull(repositories::PullArgs),
    Comment(repositories::CommentArgs),
    Webhook(webhook::WebhookArgs),
    Url(repositories::UrlArgs),
}

pub async fn run(args: ForgeArgs) -> anyhow::Result<()> {
    interruptible(async {
        match args.command {
            Command::User(args) => accounts::user(&args).await,
            Command::Organization(args) => accounts::organization(&args).await,
            Command::Token(args) => accounts::token(&args).await,
            Command::Repo(args) => repositories::repo(&args).await,
            Command::Pull(args) => repositories::pull(&args).await,
            Command::Comment(args) => repositories::comment(&args).await,
            Command::Webhook(args) => webhook::run(&args).await,
            Command::Url(args) => repositories::url(&args).await,
        }
    })
    .await
}

/// The forge of a cluster that is up.
struct Forge {
    /// Of its administrator.
    client: Client,
    logins: Logins,
    /// Flags by which `cargo xtask` finds the cluster again.
    flags: String,
}

impl Forge {
    async fn of(choice: &Choice) -> anyhow::Result<Self> {
        let flags = choice.flags();
        let cluster = Cluster::load(choice)?;
        let access = cluster.forge_access()?.with_context(|| {
            format!("cluster {:?} has no forge of ours; `cargo xtask up --forge yes{flags}` gives one to a dev cluster", choice.name)
        })?;
        let client = Client::new(&access)?;
        let known = client
            .whoami()
            .await
            .with_context(|| format!("is the cluster up? `cargo xtask up{flags}` starts and repairs it"))?;
        known.with_context(|| {
            format!(
                "the forge refuses its administrator: `cargo xtask down{flags}` and `cargo xtask up{flags}` set the \
                 password again"
            )
        })?;
        Ok(Self { logins: Logins::new(cluster, access), client, flags })
    }

    /// A client of this user, or of whom a repository belongs to, or of the administrator.
    fn acting(&self, user: Option<&str>, repository: &str) -> anyhow::Result<Client> {
        let owner = repository.split('/').next().unwrap_or_default();
        let (user, password) = match user {
            Some(user) => (user, self.password(user)?),
            None => match self.logins.password(owner)? {
                Some(password) => (owner, password),
                None => return Ok(self.client.clone()),
            },
        };
        Ok(self.client.with_password(user, &password))
    }

    /// The password of a user who was made here.
    fn password(&self, user: &str) -> anyhow::Result<String> {
        self.logins.password(user)?.with_context(|| {
            format!("no password of {user} is kept here: run `cargo xtask forge user {user}{}`", self.flags)
        })
    }

    /// What to say when there is no such user.
    fn absent(&self, user: &str) -> String {
        format!("there is no user {user} at the forge: run `cargo xtask forge user {user}{}`", self.flags)
    }
}
