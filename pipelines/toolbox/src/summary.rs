//! `summary`: the last lines of a build, for people.

use std::path::PathBuf;

use serde::Deserialize;

use crate::context::{bound, say};

/// Shows what was built of what.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    pipelinerun_name: String,
    #[arg(long)]
    git_url: String,
    #[arg(long)]
    image_url: String,
    #[arg(long, default_value = "Succeeded")]
    build_task_status: String,
    /// Where `source_build_result.json` lies, if sources were published.
    #[arg(long, value_name = "DIR")]
    workspace: Option<std::ffi::OsString>,
}

#[derive(Deserialize)]
struct SourceBuild {
    #[serde(default)]
    status: String,
    #[serde(default)]
    image_url: String,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    say(&format!("\nBuild Summary:\n\nBuild repository: {}", args.git_url));
    if args.build_task_status == "Succeeded" {
        say(&format!("Generated Image is in : {}", args.image_url));
    }
    let source = bound(args.workspace.clone().map(PathBuf::from))
        .and_then(|folder| std::fs::read(folder.join("source_build_result.json")).ok())
        .and_then(|file| serde_json::from_slice::<SourceBuild>(&file).ok())
        .filter(|source| source.status == "success" && !source.image_url.is_empty());
    if let Some(source) = source {
        say(&format!("Generated Source Image is in : {}", source.image_url));
    }
    say(&format!("\nEnd Summary of {}", args.pipelinerun_name));
    Ok(())
}
