//! `cargo xtask forge webhook`.
use std::path::PathBuf;

use anyhow::Context as _;
use testkit::gitea::{EVENTS, Hook};

use super::Forge;
use crate::{cluster::Choice, ui};

/// Has a repository's events sent to an address in the cluster, or lists where events go.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct WebhookArgs {
    /// OWNER/NAME. Without it: the webhook that sees every repository, which `cargo xtask up` makes.
    repository: Option<String>,
    #[command(flatten)]
    cluster: Choice,
    /// Where to send events. Services and pods can be reached, and this machine by its end of the cluster's link.
    #[arg(long, requires_all = ["repository", "secret_file"])]
    url: Option<String>,
    /// File with the key of the events' signatures.
    #[arg(long, value_name = "FILE", requires = "url")]
    secret_file: Option<PathBuf>,
    /// Which events. Can be repeated.
    #[arg(long, default_values = EVENTS, requires = "url")]
    event: Vec<String>,
}

pub(super) async fn run(args: &WebhookArgs) -> anyhow::Result<()> {
    let forge = Forge::of(&args.cluster).await?;
    if let (Some(repository), Some(url), Some(file)) = (&args.repository, &args.url, &args.secret_file) {
        let secret = std::fs::read_to_string(file)
            .with_context(|| format!("read --secret-file {}", file.display()))?;
        let events: Vec<&str> = args.event.iter().map(String::as_str).collect();
        let step = ui::step(format!("{repository} sends its events to {url}"));
        forge
            .client
            .ensure_hook_of(repository, &Hook { url, secret: secret.trim(), events: &events })
            .await?;
        step.done();
    }
    let urls = match &args.repository {
        Some(repository) => forge.client.hooks_of(repository).await?,
        None => forge.client.system_hooks().await?,
    };
    ui::answer(&urls.join("\n"));
    Ok(())
}
