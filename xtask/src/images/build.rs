//! Builds the workspace and finds the binaries of the services in it.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{
    paths,
    program::{Pipe, Program},
    ui,
};

/// A program to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Name of the binary target: the deployable's name everywhere.
    pub service: String,
    pub file: PathBuf,
}

/// One line of cargo's `--message-format=json`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Target {
    fn is_binary(&self) -> bool {
        self.kind.iter().any(|kind| kind == "bin")
    }
}

/// The answer of `cargo metadata`, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

/// Builds all of the workspace, so that features are unified as in the tests and nothing compiles twice, and returns the
/// binaries of the packages `services/*`, sorted by name.
pub async fn services(release: bool) -> anyhow::Result<Vec<Binary>> {
    let root = paths::repository()?;
    let step = ui::step("binaries of all services");
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    let mut binaries = Vec::new();
    let finished = Program::cargo(&root)
        .args(["build", "--workspace", "--bins", "--message-format=json-render-diagnostics"])
        .args(profile)
        .watch(|pipe, line| match pipe {
            Pipe::Stdout => binaries.extend(binary(line, &root)),
            Pipe::Stderr => step.waiting(line.trim()),
        })
        .await?;
    anyhow::ensure!(
        finished.status.success(),
        "cargo build failed ({})\n{}",
        finished.status,
        finished.stderr
    );
    binaries.sort_by(|a, b| a.service.cmp(&b.service));
    binaries.dedup();
    step.done();
    Ok(binaries)
}

/// Names of the services' binaries, sorted, without building them.
pub async fn service_names() -> anyhow::Result<Vec<String>> {
    let root = paths::repository()?;
    let text =
        Program::cargo(&root).args(["metadata", "--no-deps", "--format-version=1"]).run().await?.success()?;
    let metadata: Metadata = serde_json::from_str(&text).context("read the output of cargo metadata")?;
    let services = metadata.packages.into_iter().filter(|package| is_service(&package.manifest_path, &root));
    let binaries = services.flat_map(|package| package.targets).filter(Target::is_binary);
    let mut names: Vec<String> = binaries.map(|target| target.name).collect();
    names.sort();
    Ok(names)
}

/// Whether a package lies directly below `services/`.
fn is_service(manifest: &Path, root: &Path) -> bool {
    manifest.parent().and_then(Path::parent).is_some_and(|folder| folder == root.join("services"))
}

/// The binary that a message of cargo tells of, when its package lies directly below `services/`.
fn binary(line: &str, root: &Path) -> Option<Binary> {
    // A line that is no message of cargo's is output of some build script.
    let message: Message = serde_json::from_str(line).ok()?;
    let (manifest, target) = (message.manifest_path?, message.target?);
    if message.reason != "compiler-artifact" || !target.is_binary() || !is_service(&manifest, root) {
        return None;
    }
    Some(Binary { service: target.name, file: message.executable? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn artifact(manifest: &str, kind: &str) -> String {
        json!({
            "reason": "compiler-artifact", "manifest_path": manifest, "executable": "/target/a",
            "target": {"name": "a", "kind": [kind]}, "fresh": true,
        })
        .to_string()
    }

    #[test]
    fn only_binaries_of_services_are_deployed() {
        let found = |line: &str| binary(line, Path::new("/r")).map(|binary| binary.service);
        assert_eq!(found(&artifact("/r/services/a/Cargo.toml", "bin")), Some("a".to_owned()));
        assert_eq!(found(&artifact("/r/services/a/Cargo.toml", "lib")), None);
        assert_eq!(found(&artifact("/r/services/a/api/Cargo.toml", "bin")), None);
        assert_eq!(found(&artifact("/r/xtask/Cargo.toml", "bin")), None);
        assert_eq!(found("warning: something else"), None);
    }
}
