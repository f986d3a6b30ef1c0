//! `ec init`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::Outcome;

const SAMPLE: &str = include_str!("init/sample.rego");
const NAME: &str = "sample.rego";

#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a policy with one rule to begin with. A file that is there already is left alone.
    Policies {
        /// Folder to make it in.
        #[arg(short, long, default_value = ".", value_name = "DIR")]
        dest_dir: PathBuf,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    let Command::Policies { dest_dir } = command;
    std::fs::create_dir_all(dest_dir).with_context(|| format!("make folder {}", dest_dir.display()))?;
    let path = dest_dir.join(NAME);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.with_context(|| format!("make {}", path.display()))?;
    file.write_all(SAMPLE.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    super::say(&format!("Made {}\n", path.display()))?;
    Ok(ExitCode::SUCCESS)
}
