//! `cargo xtask forge user`, `organization` and `token`.
use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context as _, ensure};
use testkit::gitea::{NewUser, Role};

use super::{Forge, login::check_name};
use crate::{
    cluster::{Choice, unguessable},
    ui,
};

/// Makes a user; prints the file with the password.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct UserArgs {
    user: String,
    #[command(flatten)]
    cluster: Choice,
    /// Take this password instead of a new one: the content of a file.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Let the user administrate the forge.
    #[arg(long)]
    admin: bool,
}

pub(super) async fn user(args: &UserArgs) -> anyhow::Result<()> {
    check_name("user", &args.user)?;
    let forge = Forge::of(&args.cluster).await?;
    ensure!(
        args.user != forge.logins.administrator(),
        "{} is the forge's administrator, whose password is in forge.json of the state folder",
        args.user
    );
    let password = match (&args.password_file, forge.logins.password(&args.user)?) {
        (Some(file), _) => std::fs::read_to_string(file)
            .with_context(|| format!("read --password-file {}", file.display()))?
            .trim()
            .to_owned(),
        (None, Some(kept)) => kept,
        (None, None) => unguessable(),
    };
    let step = ui::step(format!("user {} is there", args.user));
    let user = NewUser { name: &args.user, password: &password, is_administrator: args.admin };
    forge.client.ensure_user(&user).await?;
    let file = forge.logins.keep_password(&args.user, &password)?;
    step.done();
    ui::answer(&file.display().to_string());
    Ok(())
}

/// Makes an organisation, and has users in one of its teams.
#[derive(Clone, Debug, clap::Args)]
#[command(visible_alias = "org")]
pub(super) struct OrganizationArgs {
    organization: String,
    #[command(flatten)]
    cluster: Choice,
    /// A user who is to be in the team. Can be repeated.
    #[arg(long, value_name = "USER")]
    member: Vec<String>,
    /// The team; made if there is none of this name.
    #[arg(long, default_value = "Owners")]
    team: String,
    /// What a new team may do in all repositories of the organisation: read, write or admin.
    #[arg(long, default_value = "write")]
    role: Role,
}

pub(super) async fn organization(args: &OrganizationArgs) -> anyhow::Result<()> {
    check_name("organisation", &args.organization)?;
    let forge = Forge::of(&args.cluster).await?;
    let step = ui::step(format!("organisation {} is there", args.organization));
    forge.client.ensure_organization(&args.organization).await?;
    for member in &args.member {
        step.waiting(&format!("member {member}"));
        ensure!(forge.client.has_account(member).await?, "{}", forge.absent(member));
        forge.client.ensure_member(&args.organization, &args.team, args.role, member).await?;
    }
    step.done();
    Ok(())
}

/// Makes an access token of a user, and prints it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TokenArgs {
    user: String,
    #[command(flatten)]
    cluster: Choice,
    /// What it is called. One of the same name and scopes is printed again.
    #[arg(long, value_name = "NAME", default_value = "konflux")]
    token: String,
    /// What it may do, as `write:repository`. Can be repeated.
    #[arg(long, default_values = ["write:repository", "write:issue", "read:organization", "read:user"])]
    scope: Vec<String>,
}

pub(super) async fn token(args: &TokenArgs) -> anyhow::Result<()> {
    check_name("user", &args.user)?;
    check_name("token", &args.token)?;
    let forge = Forge::of(&args.cluster).await?;
    ensure!(forge.client.has_account(&args.user).await?, "{}", forge.absent(&args.user));
    let kept = forge.logins.token(&args.user, &args.token)?;
    let known = forge.client.token(&args.user, &args.token).await?;
    let step = ui::step(format!("token {} of {} is there", args.token, args.user));
    let token = match (kept, known) {
        (Some(kept), Some(known)) if known.is(&kept) && set(&known.scopes) == set(&args.scope) => kept,
        _ => {
            let scopes: Vec<&str> = args.scope.iter().map(String::as_str).collect();
            let token = forge.client.new_token(&args.user, &args.token, &scopes).await?;
            forge.logins.keep_token(&args.user, &args.token, &token)?;
            token
        }
    };
    step.done();
    ui::answer(&token);
    Ok(())
}

fn set(scopes: &[String]) -> BTreeSet<&str> {
    scopes.iter().map(String::as_str).collect()
}
