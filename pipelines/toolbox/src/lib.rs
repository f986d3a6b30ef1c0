//! What the steps of the build pipelines run: one program, a subcommand per step.
//!
//! ```text
//! params of a task ─▶ flags ─┐                      ┌▶ files: results, sources, an image's layout
//! logins of the pod ─────────┼▶ subcommand ─▶ tools ┼▶ registry
//!                            │   (git, buildah …)   └▶ log: the last line of a failure says why
//! ```
//! Everything a user chose (params, Dockerfiles, archives, lock files, images) is hostile input: programs get argument
//! vectors, never a shell; archives are unpacked by [`archive`] alone; whatever is fetched by a digest is checked against it.

pub mod apply_tags;
pub mod archive;
pub mod artifact;
pub mod build;
pub mod bundle;
pub mod clamav;
pub mod context;
pub mod deprecated;
pub mod git_clone;
mod hashing;
mod image;
pub mod image_index;
pub mod init;
pub mod inspect_image;
pub mod links;
pub mod prefetch;
pub mod preflight;
pub mod program;
pub mod push;
pub mod push_dockerfile;
pub mod sast;
pub mod sbom;
pub mod scan;
pub mod show_sbom;
pub mod source_build;
pub mod summary;
pub mod test_output;
#[cfg(test)]
mod testing;
mod update;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
pub use step::results;

use crate::context::{Context, Global};

/// Steps of the build pipelines.
#[derive(Debug, Parser)]
#[command(name = "toolbox", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
enum Command {
    Enter(build::Enter),
    #[command(flatten)]
    Step(Step),
}

#[derive(Debug, Subcommand)]
enum Step {
    ApplyTags(apply_tags::Args),
    #[command(subcommand)]
    Artifact(artifact::Command),
    Build(build::Args),
    ClamavScan(clamav::Args),
    DeprecatedImageCheck(deprecated::Args),
    GitClone(git_clone::Args),
    ImageIndex(image_index::Args),
    Init(init::Args),
    InspectImage(inspect_image::Args),
    Prefetch(prefetch::Args),
    Preflight(preflight::Args),
    Push(push::Args),
    PushDockerfile(push_dockerfile::Args),
    SastShellCheck(sast::shell::Args),
    SastSnykCheck(sast::snyk::Args),
    SastUnicodeCheck(sast::unicode::Args),
    #[command(subcommand)]
    Sbom(sbom::Command),
    #[command(subcommand)]
    Scan(scan::Command),
    ShowSbom(show_sbom::Args),
    SourceBuild(source_build::Args),
    Summary(summary::Args),
    TknBundle(bundle::Args),
    Update(update::Args),
}

impl Step {
    async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::ApplyTags(args) => apply_tags::run(args, context).await,
            Self::Artifact(command) => artifact::run(command, context).await,
            Self::Build(args) => build::run(args, context).await,
            Self::ClamavScan(args) => clamav::run(args, context).await,
            Self::SastShellCheck(args) => sast::shell::run(args, context).await,
            Self::SastSnykCheck(args) => sast::snyk::run(args, context).await,
            Self::SastUnicodeCheck(args) => sast::unicode::run(args, context).await,
            Self::DeprecatedImageCheck(args) => deprecated::run(args, context).await,
            Self::ImageIndex(args) => image_index::run(args, context).await,
            Self::InspectImage(args) => inspect_image::run(args, context).await,
            Self::Prefetch(args) => prefetch::run(args, context).await,
            Self::Preflight(args) => preflight::run(args, context).await,
            Self::PushDockerfile(args) => push_dockerfile::run(args, context).await,
            Self::ShowSbom(args) => show_sbom::run(args, context).await,
            Self::SourceBuild(args) => source_build::run(args, context).await,
            Self::TknBundle(args) => bundle::run(args, context).await,
            Self::GitClone(args) => git_clone::run(args, context).await,
            Self::Init(args) => init::run(args, context).await,
            Self::Push(args) => push::run(args, context).await,
            Self::Sbom(command) => command.run(context).await,
            Self::Scan(command) => command.run(context).await,
            Self::Summary(args) => summary::run(&args),
            Self::Update(args) => update::run(args, context).await,
        }
    }
}

/// Runs a subcommand. A failure's last line on stderr says what is wrong.
pub fn main(cli: Cli) -> ExitCode {
    // An error means that it is installed already, which is all we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ran = match cli.command {
        // It becomes another program, for which neither threads nor logins are wanted.
        Command::Enter(args) => build::enter(&args),
        Command::Step(step) => run(step, cli.global),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("toolbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(step: Step, global: Global) -> anyhow::Result<()> {
    let context = Context::new(global)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(step.run(&context))
}
