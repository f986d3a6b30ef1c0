//! What the steps of release pipelines run: one program, a subcommand per step.
//!
//! ```text
//! Release, plan, admission, Snapshot ─▶ collect ─▶ map ─▶ [ec judges] ─▶ push ─▶ sign ─▶ record ─▶ Release.status.artifacts
//! ```
//! These steps run with a release team's credentials on what tenants wrote: every value of a Snapshot, a Release or a plan is
//! hostile input. It comes in files or environment variables, never as part of a program's text. All files of a run lie in one
//! folder of its workspace, see [`workspace`].

pub mod access;
pub mod apply_mapping;
pub mod cleanup_workspace;
pub mod cluster;
pub mod collect_data;
pub mod collectors;
pub mod context;
pub mod internal_request;
mod merge;
pub mod push_snapshot;
pub mod reduce_snapshot;
pub mod release_record;
pub mod sign;
#[cfg(test)]
mod testing;
pub mod update_cr_status;
pub mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::context::{Context, Global};

/// Steps of the release pipelines.
#[derive(Debug, Parser)]
#[command(name = "release-tasks", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, Subcommand)]
enum Step {
    ApplyMapping(apply_mapping::Args),
    CleanupWorkspace(cleanup_workspace::Args),
    CollectData(collect_data::Args),
    #[command(subcommand)]
    Collectors(collectors::Command),
    CreateInternalRequest(internal_request::Args),
    CreateReleaseRecord(release_record::Args),
    PushSnapshot(push_snapshot::Args),
    ReduceSnapshot(reduce_snapshot::Args),
    Sign(sign::Args),
    UpdateCrStatus(update_cr_status::Args),
    VerifyAccess(access::Args),
    WaitForInternalRequests(internal_request::Wait),
}

impl Step {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::ApplyMapping(args) => apply_mapping::run(args, context).await,
            Self::CleanupWorkspace(args) => cleanup_workspace::run(args, context).await,
            Self::CollectData(args) => collect_data::run(args, context).await,
            Self::Collectors(command) => collectors::run(command, context).await,
            Self::CreateInternalRequest(args) => internal_request::run(args, context).await,
            Self::CreateReleaseRecord(args) => release_record::run(args, context).await,
            Self::PushSnapshot(args) => push_snapshot::run(args, context).await,
            Self::ReduceSnapshot(args) => reduce_snapshot::run(args, context).await,
            Self::Sign(args) => sign::run(args, context).await,
            Self::UpdateCrStatus(args) => update_cr_status::run(args, context).await,
            Self::VerifyAccess(args) => access::run(args, context).await,
            Self::WaitForInternalRequests(args) => internal_request::wait(args, context).await,
        }
    }
}

/// A failure whose cause callers tell by the exit code of the step. All others end with 1.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Ended {
    pub code: u8,
    pub message: String,
}

/// Runs a subcommand. A failure's last line on stderr says what is wrong.
pub fn main(cli: Cli) -> ExitCode {
    // An error means that it is installed already, which is all we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.downcast_ref::<Ended>().map_or(ExitCode::FAILURE, |ended| ended.code.into());
            eprintln!("release-tasks: {error:#}");
            code
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Cli { global, step } = cli;
    runtime.block_on(async { step.run(&Context::new(global)?).await })
}
