//! Other commands of this program, run as their user would.
use std::{ffi::OsString, path::PathBuf};

use anyhow::Context as _;

use crate::program::Program;

/// Runs `cargo xtask <arguments>`, which shows its own progress; whether it succeeded.
pub async fn run(arguments: &[OsString]) -> anyhow::Result<bool> {
    let ourselves = std::env::current_exe().context("find our own program")?;
    Ok(Program::new(ourselves).args(arguments).show().await?.success())
}

/// The Go program that holds etcd, the API server and kubectl, built first if this machine does not have it.
pub async fn kube_binary() -> anyhow::Result<PathBuf> {
    if let Ok(binary) = testkit::tools::kube_binary() {
        return Ok(binary);
    }
    build_programs().await?;
    Ok(testkit::tools::kube_binary()?)
}

/// Has Gitea, against which tests run, built first if this machine does not have it.
pub async fn gitea() -> anyhow::Result<()> {
    if testkit::tools::gitea().is_err() {
        build_programs().await?;
    }
    Ok(())
}

/// Has cosign, which tests take for a witness, built first if this machine does not have it.
pub async fn cosign() -> anyhow::Result<()> {
    if testkit::tools::cosign().is_err() {
        build_programs().await?;
    }
    Ok(())
}

/// Has the S3 server, which tests store objects in, built first if this machine does not have it.
pub async fn s3() -> anyhow::Result<()> {
    if testkit::tools::s3().is_err() {
        build_programs().await?;
    }
    Ok(())
}

async fn build_programs() -> anyhow::Result<()> {
    let is_built = run(&["up".into(), "--build-only".into()]).await?;
    anyhow::ensure!(is_built, "the programs of the cluster were not built: see above");
    Ok(())
}
