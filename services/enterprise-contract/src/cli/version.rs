//! `ec version`

use std::process::ExitCode;

use serde_json::json;

use super::Outcome;
use crate::judge::VERSION;

const ENGINE: &str = "regorus 0.14";

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON.
    #[arg(short, long, conflicts_with = "short")]
    json: bool,
    /// The bare version.
    #[arg(short, long)]
    short: bool,
}

pub(super) fn run(args: &Args) -> Outcome {
    let text = if args.short {
        format!("{VERSION}\n")
    } else if args.json {
        format!(
            "{}\n",
            json!({"Version": VERSION, "Components": [{"Name": "Rego engine", "Version": ENGINE}]})
        )
    } else {
        format!("Version            {VERSION}\nRego engine        {ENGINE}\n")
    };
    super::say(&text)?;
    Ok(ExitCode::SUCCESS)
}
