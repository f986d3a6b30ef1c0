//! `ec fetch`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{Context, Outcome};
use crate::sources::Fetched;

/// Bytes of a hash in a folder's name.
const HASH: usize = 5;

#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Fetch rules and data into folders `policy/<hash of the URL>` and `data/<hash of the URL>`.
    Policy(Args),
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// URL of rules. May be repeated.
    #[arg(short, long, value_name = "URL")]
    source: Vec<String>,
    /// URL of data. May be repeated.
    #[arg(long, value_name = "URL")]
    data_source: Vec<String>,
    /// Folder to fetch to.
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    dest: PathBuf,
    /// Fetch to a new folder for temporary files instead, and say which.
    #[arg(short, long, conflicts_with = "dest")]
    work_dir: bool,
}

pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    let Command::Policy(args) = command;
    anyhow::ensure!(
        !args.source.is_empty() || !args.data_source.is_empty(),
        "there is nothing to fetch: name a URL (--source, --data-source)"
    );
    let to = if args.work_dir {
        tempfile::Builder::new().prefix("ec-work-").tempdir().context("make a folder")?.keep()
    } else {
        args.dest
    };
    for (urls, kind) in [(&args.source, "policy"), (&args.data_source, "data")] {
        for url in urls {
            let fetched = context.environment.sources.fetch(url).await?;
            if kind == "policy" {
                // A source without rules is an error here as everywhere.
                fetched.modules()?;
            }
            let folder = to.join(kind).join(hash(url));
            write(&fetched, &folder)?;
            super::say(&format!("{} -> {}\n", fetched.pinned, folder.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn hash(url: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(url)[..HASH])
}

fn write(fetched: &Fetched, folder: &Path) -> anyhow::Result<()> {
    for (path, content) in &fetched.files {
        anyhow::ensure!(git::is_path(path), "{}: {path:?} is no path of a file", fetched.url);
        let path = folder.join(path);
        let said = || format!("write {}", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(said)?;
        std::fs::write(&path, content).with_context(said)?;
    }
    Ok(())
}
