//! Images that are no service's: what pipelines of tests and of the demo run in.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::{
    RegistryArgs, binary,
    bundle::{self, Bundled},
    layer::{self, File},
};
use crate::{cluster, paths, program::Program, ui};

/// Debian's package with all of busybox in one static file.
const PACKAGE: &str = "busybox-static";
/// That file in the package.
const PROGRAM: &str = "./bin/busybox";

/// Name of the image with a shell.
const SHELL: &str = "test-shell";
/// Both are known by digest; the tag keeps the registry from dropping them.
const TAG: &str = "latest";
/// As that of our services, no user that an image has to name.
const USER: &str = "65532:65532";
/// Name of the image whose layers are Tasks and Pipelines.
const BUNDLE: &str = "test-bundle";

/// Puts an image with a POSIX shell and the usual tools into the registry; its name by digest. As of most such images, what it
/// runs by itself is `sh`.
pub async fn push(registry: &RegistryArgs, cluster: &cluster::Choice) -> anyhow::Result<String> {
    let step = ui::step("an image with a shell");
    let registry = registry.resolve(cluster).await?;
    let busybox = busybox().await.with_context(|| {
        format!("get the shell of Debian's package {PACKAGE}; elsewhere name an image that has one")
    })?;
    let architecture = binary::architecture(&busybox)?;
    // Called `sh` it is a shell that knows the other tools itself.
    let shell = layer::cached(SHELL, &[File { path: "bin/sh", mode: 0o755, content: &busybox }])?;
    let config = json!({"User": USER, "Cmd": ["sh"], "Env": ["PATH=/bin"], "WorkingDir": "/"});
    let image = bundle::assemble(architecture, &config, vec![(shell, json!({}))])?;
    let reference = registry.client()?.push(SHELL, TAG, &image).await?;
    step.done();
    Ok(reference)
}

/// The file from Debian's package, which stays in the cache.
async fn busybox() -> anyhow::Result<Vec<u8>> {
    let folder = paths::cache()?.join("packages").join(PACKAGE);
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    if package(&folder).is_none() {
        let download = || Program::new("apt-get").args(["download", PACKAGE]).directory(&folder).run();
        if !download().await?.status.success() {
            // Of a machine that never asked for packages the lists are empty.
            Program::new("apt-get").arg("update").run().await?.success()?;
            download().await?.success()?;
        }
    }
    let package = package(&folder).context("apt-get download has left no package")?;
    let folder = tempfile::tempdir().context("make a temporary folder")?;
    Program::new("dpkg-deb").arg("-x").arg(&package).arg(folder.path()).run().await?.success()?;
    let program = folder.path().join(PROGRAM);
    std::fs::read(&program).with_context(|| format!("{} has no {PROGRAM}", package.display()))
}

fn package(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "deb"))
}

/// Puts an image into the registry whose layers are these objects of `tekton.dev/v1`; its name by digest.
pub async fn push_bundle(
    registry: &RegistryArgs,
    cluster: &cluster::Choice,
    objects: &[Bundled],
) -> anyhow::Result<String> {
    let registry = registry.resolve(cluster).await?;
    let image = bundle::bundle(objects)?;
    registry.client()?.push(BUNDLE, TAG, &image).await
}
