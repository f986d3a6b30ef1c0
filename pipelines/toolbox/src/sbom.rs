//! `sbom`: lists what is in an image, attaches the list, and checks one.
//!
//! ```text
//! source tree ──▶ tree ───┐                                        ┌▶ sbom-cyclonedx.json ─▶ attach ─▶ sha256-<hex>.sbom
//! image ─▶ layout, layers ┼▶ Collector ─▶ ecosystem::* ─▶ Inventory ┼▶ sbom-spdx.json
//! prefetch's bom.json ────┘   (which file is of which kind)        └▶ sbom-purl.json
//! ```
//! All that is read was written by others: each kind of file has a size that it may have, archives a depth and a number of entries.
//! A file that cannot be read is named in the log, and the list goes on without it.

mod attach;
mod check;
mod collect;
mod ecosystem;
#[cfg(test)]
pub(crate) mod fuzz;
pub mod generate;
pub mod image;
mod kind;
mod layers;
mod layout;
mod origins;
mod tar;
mod tree;

pub use collect::{Collector, Unread};
pub use kind::Scope;

use crate::context::Context;

/// Lists what is in an image.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Generate(generate::Args),
    Attach(attach::Args),
    Check(check::Args),
}

impl Command {
    pub async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Generate(args) => generate::run(args, context.clock.now()),
            Self::Attach(args) => attach::run(&args, context).await,
            Self::Check(args) => check::run(&args, context).await,
        }
    }
}
