//! Builds the workspace and finds the binaries of the services in it.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use super::{
    postgres::POSTGRES,
    toolbox::{self, RELEASE_TASKS, TOOLBOX},
};
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

/// What is built of the workspace to be put into images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Of the packages `services/*` and `services/*/watcher`, sorted by name.
    pub services: Vec<Binary>,
    pub steps: Steps,
}

/// The programs that steps of pipelines run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Of builds.
    pub toolbox: Binary,
    /// Of releases.
    pub release_tasks: Binary,
}

impl Steps {
    /// Takes them out of what cargo has built.
    fn take(binaries: &mut Vec<Binary>) -> anyhow::Result<Self> {
        let mut take = |name: &str| {
            let found = binaries.iter().position(|binary| binary.service == name);
            let found = found.map(|index| binaries.swap_remove(index));
            found.with_context(|| format!("cargo names no executable {name}"))
        };
        Ok(Self { toolbox: take(TOOLBOX)?, release_tasks: take(RELEASE_TASKS)? })
    }
}

/// Folders of the packages with programs of [`Steps`].
const STEP_PACKAGES: [&str; 2] = ["pipelines/toolbox", "pipelines/release"];

/// The program that the pipelines engine puts into pods: no service, but an image beside theirs.
pub const ENTRYPOINT: &str = "entrypoint";

/// The most that the entrypoint may have, in bytes: a ConfigMap takes 1 MiB of content in all (runtime specification of the
/// engine, section 2.1).
const ENTRYPOINT_LIMIT: u64 = 1_000_000;

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

/// Builds all of the workspace, so that features are unified as in the tests and nothing compiles twice.
pub async fn workspace(release: bool) -> anyhow::Result<Built> {
    let mut services = built(&["--workspace", "--bins"], "binaries of all services", release).await?;
    let steps = Steps::take(&mut services)?;
    services.sort_by(|a, b| a.service.cmp(&b.service));
    services.dedup();
    Ok(Built { services, steps })
}

/// Builds what steps run alone, with the features that the whole workspace gives it.
pub async fn steps(release: bool) -> anyhow::Result<Steps> {
    let what = ["--bin", TOOLBOX, "--bin", RELEASE_TASKS];
    Steps::take(&mut built(&what, "binaries of steps", release).await?)
}

/// The binaries of ours among what cargo builds of this.
async fn built(what: &[&str], shown: &str, release: bool) -> anyhow::Result<Vec<Binary>> {
    let root = paths::repository()?;
    let step = ui::step(shown.to_owned());
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    let mut binaries = Vec::new();
    let finished = Program::cargo(&root)
        .arg("build")
        .args(what)
        .arg("--message-format=json-render-diagnostics")
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
    step.done();
    Ok(binaries)
}

/// Builds the entrypoint as it is shipped: without standard library and C library (decision 0019), for the kernel alone. The
/// flags are for its last crate only; the profile is in the root Cargo.toml.
pub async fn entrypoint() -> anyhow::Result<Binary> {
    let root = paths::repository()?;
    let step = ui::step("entrypoint");
    let messages = Program::cargo(&root)
        .args(["rustc", "--package=pipelines-entrypoint", "--bin", ENTRYPOINT])
        .args(["--profile=entrypoint", "--features=freestanding", "--message-format=json-render-diagnostics"])
        // At a fixed address, because nothing would relocate it; without the start code of a C library.
        .args(["--", "-Crelocation-model=static", "-Clink-arg=-nostartfiles", "-Clink-arg=-nostdlib"])
        .run()
        .await?
        .success()?;
    let is_ours = |message: &Message| message.target.as_ref().is_some_and(|target| target.name == ENTRYPOINT);
    let file = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(is_ours)
        .find_map(|message| message.executable)
        .context("cargo names no executable of pipelines-entrypoint")?;
    let size = tokio::fs::metadata(&file).await.with_context(|| format!("read {}", file.display()))?.len();
    fits(size)?;
    step.done_with(&format!("{size} bytes"));
    Ok(Binary { service: ENTRYPOINT.to_owned(), file })
}

fn fits(size: u64) -> anyhow::Result<()> {
    anyhow::ensure!(
        size <= ENTRYPOINT_LIMIT,
        "the entrypoint has {size} bytes, and a ConfigMap has room for {ENTRYPOINT_LIMIT}: see what has grown with \
         `cargo bloat`, or take back what brought it (docs/decisions/0019-the-entrypoint-has-no-library.md)"
    );
    Ok(())
}

/// Names of all images, sorted, without building them.
pub async fn image_names() -> anyhow::Result<Vec<String>> {
    let mut names = service_names().await?;
    names.push(ENTRYPOINT.to_owned());
    names.extend(toolbox::names().map(str::to_owned));
    names.push(POSTGRES.to_owned());
    names.sort();
    Ok(names)
}

/// Names of the services' binaries, sorted, without building them.
async fn service_names() -> anyhow::Result<Vec<String>> {
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

/// Whether a package lies directly below `services/`, or is the watcher of one that does.
fn is_service(manifest: &Path, root: &Path) -> bool {
    let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root.join("services")).ok());
    let parts: Vec<_> = folder.into_iter().flatten().filter_map(|part| part.to_str()).collect();
    matches!(parts.as_slice(), [_] | [_, "watcher"])
}

/// Whether a package has a program of [`Steps`].
fn is_of_steps(manifest: &Path, root: &Path) -> bool {
    manifest.parent().is_some_and(|folder| STEP_PACKAGES.iter().any(|package| folder == root.join(package)))
}

/// The binary that a message of cargo tells of, when its package is a service's, or one of steps.
fn binary(line: &str, root: &Path) -> Option<Binary> {
    // A line that is no message of cargo's is output of some build script.
    let message: Message = serde_json::from_str(line).ok()?;
    let (manifest, target) = (message.manifest_path?, message.target?);
    let is_ours = is_service(&manifest, root) || is_of_steps(&manifest, root);
    if message.reason != "compiler-artifact" || !target.is_binary() || !is_ours {
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
        assert_eq!(found(&artifact("/r/services/a/watcher/Cargo.toml", "bin")), Some("a".to_owned()));
        assert_eq!(found(&artifact("/r/xtask/Cargo.toml", "bin")), None);
        assert_eq!(found("warning: something else"), None);
        assert_eq!(found(&artifact("/r/pipelines/toolbox/Cargo.toml", "bin")), Some("a".to_owned()));
        assert_eq!(found(&artifact("/r/pipelines/release/Cargo.toml", "bin")), Some("a".to_owned()));
        assert_eq!(found(&artifact("/r/pipelines/other/Cargo.toml", "bin")), None);
        // It is built another way.
        assert_eq!(found(&artifact("/r/services/a/entrypoint/Cargo.toml", "bin")), None);
    }

    #[test]
    fn programs_of_steps_are_no_services() {
        let named = |name: &str| Binary { service: name.to_owned(), file: "/target/a".into() };
        let mut binaries = vec![named(RELEASE_TASKS), named("a"), named(TOOLBOX)];
        let steps = Steps::take(&mut binaries).unwrap();
        assert_eq!((&*steps.toolbox.service, &*steps.release_tasks.service), (TOOLBOX, RELEASE_TASKS));
        assert_eq!(binaries, [named("a")]);
        let error = Steps::take(&mut vec![named(TOOLBOX)]).unwrap_err().to_string();
        assert!(error.contains(RELEASE_TASKS), "{error}");
    }

    #[test]
    fn entrypoint_has_to_fit_a_config_map() {
        fits(ENTRYPOINT_LIMIT).unwrap();
        assert!(fits(ENTRYPOINT_LIMIT + 1).unwrap_err().to_string().contains("1000001 bytes"));
    }

    /// Slow for a unit test, but the only one that sees what is shipped grow.
    #[tokio::test]
    async fn entrypoint_fits_as_it_is() {
        entrypoint().await.unwrap();
    }
}
