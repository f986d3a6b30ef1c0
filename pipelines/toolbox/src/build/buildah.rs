//! buildah, as a build runs it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use registry::Reference;

use super::sandbox::Sandbox;
use crate::context::{Context, say};
use crate::program::{Ended, Program};

/// buildah with one storage, which later steps of a task share.
pub(super) struct Buildah<'a> {
    storage: &'a Path,
    driver: &'static str,
    work: &'a Path,
    auth_file: Option<&'a Path>,
    /// Folder with `ca.crt`.
    certificates: Option<PathBuf>,
}

/// How buildah keeps layers: the first copies nothing, the second works everywhere.
const DRIVERS: [&str; 2] = ["overlay", "vfs"];

impl<'a> Buildah<'a> {
    /// Finds out which storage driver works here.
    pub(super) async fn new(storage: &'a Path, work: &'a Path, context: &'a Context) -> anyhow::Result<Self> {
        let certificates = work.join("certificates");
        if let Some(bundle) = &context.ca_bundle {
            fs::create_dir_all(&certificates)?;
            fs::copy(bundle, certificates.join("ca.crt"))?;
        }
        let mut buildah = Self {
            storage,
            driver: DRIVERS[0],
            work,
            auth_file: context.auth_file.as_deref(),
            certificates: context.ca_bundle.is_some().then_some(certificates),
        };
        let look = buildah.program().args(["images", "--quiet"]).capture().quiet();
        if let Err(error) = Sandbox::open().run(look).await?.success() {
            say(&format!(
                "Storage driver {} does not work here, {} is used: {error}",
                DRIVERS[0], DRIVERS[1]
            ));
            buildah.driver = DRIVERS[1];
        }
        Ok(buildah)
    }

    /// Whether what is mounted into a build can be covered by a layer that takes its writes.
    pub(super) fn has_overlay(&self) -> bool {
        self.driver == DRIVERS[0]
    }

    fn program(&self) -> Program {
        Program::new("buildah")
            .arg("--storage-driver")
            .arg(self.driver)
            .arg("--root")
            .arg(self.storage.join("storage"))
            .arg("--runroot")
            .arg(self.storage.join("run"))
            .env("BUILDAH_ISOLATION", "chroot")
            .env("HOME", self.work)
            // Images pass through there: it has to be as large as the storage.
            .env("TMPDIR", self.work)
    }

    /// Gets an image.
    pub(super) async fn pull(&self, image: &Reference) -> anyhow::Result<()> {
        let mut pull = self.program().args(["pull", "--quiet"]);
        if let Some(file) = self.auth_file {
            pull = pull.arg("--authfile").arg(file);
        }
        if let Some(folder) = &self.certificates {
            pull = pull.arg("--cert-dir").arg(folder);
        }
        let ended = Sandbox::open().run(pull.arg("--").arg(image.to_string()).quiet()).await?;
        success(ended).with_context(|| format!("pull {image}"))
    }

    /// Runs a build; what it needs of registries has to be there.
    pub(super) async fn build(
        &self,
        sandbox: &Sandbox,
        arguments: Vec<std::ffi::OsString>,
        folder: &Path,
    ) -> anyhow::Result<()> {
        let build = self.program().args(["build", "--pull-never", "--http-proxy=false", "--no-cache"]);
        // Who may change the root a second time finds the way out of the first, to the sources and what else the pod has.
        let build = build.arg("--cap-drop=CAP_SYS_CHROOT");
        let build = build.args(arguments).arg("--").arg(folder);
        success(sandbox.run(build).await?).context("build the image")
    }

    /// Writes the built image as an OCI layout. Without compressing it: that is done once, when it is pushed.
    pub(super) async fn export(&self, image: &str, layout: &Path) -> anyhow::Result<()> {
        let mut to = std::ffi::OsString::from("oci:");
        to.push(layout);
        let push = self.program().args(["push", "--quiet", "--disable-compression", "--", image]).arg(to);
        success(Sandbox::open().run(push.quiet()).await?).context("write the built image")
    }
}

fn success(ended: Ended) -> anyhow::Result<()> {
    let is_full = ended.tail.iter().any(|line| line.contains("no space left on device"));
    let result = ended.success().map(drop);
    if is_full && result.is_err() {
        return result.context("the disk is full: the volume of the build has no space left");
    }
    Ok(result?)
}
