//! `ec sigstore`

use std::process::ExitCode;

use anyhow::Context as _;
use attest::tuf;
use fleet::outbound;

use super::{Context, Outcome};

/// Larger is no `root.json`.
const MAX_ROOT: u64 = 512 * 1024;

#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Fetch the roots of trust from a TUF mirror into $TUF_ROOT, where `ec validate image` finds them.
    Initialize {
        /// URL of the mirror. Empty: there is nothing to do.
        #[arg(long, default_value = "", value_name = "URL")]
        mirror: String,
        /// First `root.json` that the mirror is trusted by: a file or a URL. Absent: that of the mirror, trusted at first sight.
        /// Not looked at if $TUF_ROOT has one.
        #[arg(long, value_name = "ROOT")]
        root: Option<String>,
    },
}

pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    let Command::Initialize { mirror, root } = command;
    if mirror.is_empty() {
        super::say("No TUF mirror is named (--mirror): there is nothing to initialize\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let environment = &context.environment;
    let outbound = &environment.sigstore.outbound;
    let directory = environment.sigstore.tuf_root.clone();
    let directory = directory.context("no folder for the roots of trust: set --tuf-root or TUF_ROOT")?;
    std::fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let mirror = mirror.parse().with_context(|| format!("--mirror {mirror:?} is no URL"))?;
    let root = match root {
        Some(root) => Some(content(&root, outbound).await.with_context(|| format!("--root {root}"))?),
        None => None,
    };
    let client = tuf::Client::new(outbound.clone(), mirror, directory.clone());
    let updated = client.update(root.as_deref(), environment.clock.now()).await?;
    super::say(&format!(
        "Roots of trust in {}, signed by version {} of the root: {}\n",
        directory.display(),
        updated.root_version,
        updated.files.join(", ")
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Of a file, or of what a URL leads to.
async fn content(root: &str, outbound: &outbound::Client) -> anyhow::Result<Vec<u8>> {
    if !root.contains("://") {
        return Ok(std::fs::read(root)?);
    }
    let request = outbound::Request::get(root.parse()?).limit(MAX_ROOT);
    Ok(outbound.fetch(request).await?.success()?.body().to_vec())
}
