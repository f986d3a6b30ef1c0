//! `cargo xtask forge repo`, `pull`, `comment` and `url`.
use std::path::PathBuf;

use anyhow::ensure;
use testkit::gitea::{NewPull, Push, Pushed};

use super::{Forge, login::check_name};
use crate::{cluster::Choice, ui};

/// Makes a repository, fills a branch of it from a folder, and prints where it is cloned from.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RepoArgs {
    /// OWNER/NAME; the owner is a user or an organisation.
    repository: String,
    #[command(flatten)]
    cluster: Choice,
    /// Let only its members see it.
    #[arg(long)]
    private: bool,
    /// Folder whose content becomes the branch's next commit, unless it is what the branch has.
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// A new branch begins where `main` is.
    #[arg(long, default_value = "main", requires = "from")]
    branch: String,
    #[arg(long, default_value = "Take the content of a folder", requires = "from")]
    message: String,
    /// Who pushes: a user made by `cargo xtask forge user`. Default: the owner if they were, else the administrator.
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
}

pub(super) async fn repo(args: &RepoArgs) -> anyhow::Result<()> {
    let owner = owner(&args.repository)?;
    let forge = Forge::of(&args.cluster).await?;
    ensure!(
        forge.client.has_account(owner).await?,
        "there is no {owner} at the forge: make it by `cargo xtask forge user {owner}{flags}` or `cargo xtask forge \
         organization {owner}{flags}`",
        flags = forge.flags
    );
    let step = ui::step(format!("repository {} is there", args.repository));
    forge.client.ensure_repository(&args.repository, args.private).await?;
    step.done();
    if let Some(folder) = &args.from {
        let step = ui::step(format!("{} is pushed to {}", folder.display(), args.branch));
        let client = forge.acting(args.user.as_deref(), &args.repository)?;
        let push =
            Push { repository: &args.repository, branch: &args.branch, folder, message: &args.message };
        match client.push(&push).await? {
            Pushed::New(commit) => step.done_with(&format!("commit {commit}")),
            Pushed::Unchanged(commit) => step.done_with(&format!("it is as commit {commit} was")),
        }
    }
    ui::answer(&forge.client.clone_url(&args.repository));
    Ok(())
}

/// Opens a pull request, unless one of the same branches is open, and prints its page.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct PullArgs {
    /// OWNER/NAME.
    repository: String,
    #[command(flatten)]
    cluster: Choice,
    /// Branch with the change; that of a fork as OWNER:BRANCH.
    #[arg(long, value_name = "BRANCH")]
    head: String,
    /// Branch to merge into.
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    base: String,
    /// Default: the branch's name.
    #[arg(long)]
    title: Option<String>,
    /// Who opens it. Default: the owner if made by `cargo xtask forge user`, else the administrator.
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
}

pub(super) async fn pull(args: &PullArgs) -> anyhow::Result<()> {
    owner(&args.repository)?;
    let forge = Forge::of(&args.cluster).await?;
    let client = forge.acting(args.user.as_deref(), &args.repository)?;
    let step = ui::step(format!("pull request of {} is open", args.head));
    let title = args.title.as_deref().unwrap_or(&args.head);
    let number =
        client.ensure_pull(&args.repository, &NewPull { title, head: &args.head, base: &args.base }).await?;
    step.done_with(&format!("number {number}"));
    ui::answer(&format!("{}{}/pulls/{number}", client.url(), args.repository));
    Ok(())
}

/// Writes a comment on a pull request, such as `/retest`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CommentArgs {
    /// OWNER/NAME.
    repository: String,
    /// Of the pull request.
    number: u64,
    text: String,
    #[command(flatten)]
    cluster: Choice,
    /// Who writes it. Default: the owner if made by `cargo xtask forge user`, else the administrator.
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
}

pub(super) async fn comment(args: &CommentArgs) -> anyhow::Result<()> {
    owner(&args.repository)?;
    let forge = Forge::of(&args.cluster).await?;
    let client = forge.acting(args.user.as_deref(), &args.repository)?;
    let step = ui::step(format!("comment on pull request {} is written", args.number));
    client.comment(&args.repository, args.number, &args.text).await?;
    step.done();
    Ok(())
}

/// Prints the address of the forge, or where a repository is cloned from.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct UrlArgs {
    /// OWNER/NAME.
    repository: Option<String>,
    #[command(flatten)]
    cluster: Choice,
    /// With name and password of a user made by `cargo xtask forge user`. Whoever sees the address can log in.
    #[arg(long, value_name = "USER")]
    credentials: Option<String>,
    /// By number instead of name, for programs on this machine that do not resolve the name.
    #[arg(long)]
    by_address: bool,
}

pub(super) async fn url(args: &UrlArgs) -> anyhow::Result<()> {
    let forge = Forge::of(&args.cluster).await?;
    let mut url = match &args.repository {
        Some(repository) => {
            owner(repository)?;
            forge.client.clone_url(repository)
        }
        None => forge.client.url().to_owned(),
    };
    if args.by_address {
        url = url.replacen(forge.client.host(), &forge.logins.address().to_string(), 1);
    }
    if let Some(user) = &args.credentials {
        let password = forge.password(user)?;
        url = url.replacen("https://", &format!("https://{user}:{password}@"), 1);
    }
    ui::answer(&url);
    Ok(())
}

/// Owner of OWNER/NAME.
fn owner(repository: &str) -> anyhow::Result<&str> {
    match repository.split_once('/') {
        Some((owner, name)) if !name.is_empty() && !name.contains('/') => {
            check_name("owner", owner)?;
            Ok(owner)
        }
        _ => anyhow::bail!("repository {repository:?}: write it as OWNER/NAME"),
    }
}
