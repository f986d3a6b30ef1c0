//! `scan`: compares what is in an image with what is known of vulnerabilities.
//!
//! ```text
//! OSV JSON (folders, zips) ─▶ scan database ─▶ OCI artifact: a layer per ecosystem ─┐
//! image ─▶ attached SBOM, else its layers ─▶ package URLs ─▶ Subject ───────────────┴▶ scan image ─▶ counts by severity
//! ```
//! Finding nothing needs a database that has something to say: without one, or with one that knows nothing of an image's kind of
//! packages, the result says so and is no success.

mod build;
mod database;
mod findings;
mod image;
mod matching;
mod osv;
mod severity;
mod subject;

use crate::context::Context;

/// Looks for known vulnerabilities.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Image(image::Args),
    Database(build::Args),
}

impl Command {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Image(args) => image::run(&args, context).await,
            Self::Database(args) => build::run(&args, context).await,
        }
    }
}
