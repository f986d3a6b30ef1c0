//! `build`: an image of a Dockerfile, without privilege.
//!
//! ```text
//! Dockerfile ─▶ base images ─▶ digests ─▶ pull ─┐          ┌▶ OCI layout, for SBOM and push
//!  (source, web)  (registry, by the pod's login) └▶ build ──┴▶ BASE_IMAGES_DIGESTS, base images of each stage
//!                                       (sandbox: no logins, no results, hermetic: no network)
//! ```
//! What a tag led to is decided once: the Dockerfile is built with digests in the place of tags, so what is reported is what
//! was used.

pub mod base_images;
mod buildah;
mod dockerfile;
mod expand;
mod find;
mod inputs;
mod sandbox;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::context::{Context, Flag, bound, say};
use crate::results;
use buildah::Buildah;
use dockerfile::Dockerfile;
pub(crate) use find::{find, inside};
use inputs::Mount;
use sandbox::Sandbox;
pub use sandbox::{Enter, enter};

/// Builds an image of a Dockerfile.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the image.
    #[arg(long)]
    image: String,
    /// Path in the context or in the source, or an http(s) address.
    #[arg(long, default_value = "./Dockerfile")]
    dockerfile: String,
    /// Folder of the source that `COPY` copies from.
    #[arg(long, default_value = ".")]
    context: String,
    /// The checkout.
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    #[arg(long, default_value = "true", value_name = "BOOL")]
    tls_verify: Flag,
    /// Builds without network.
    #[arg(long, default_value = "false", value_name = "BOOL")]
    hermetic: Flag,
    /// What `prefetch` has written.
    #[arg(long, value_name = "DIR")]
    cachi2: Option<PathBuf>,
    /// After which age the registry may drop the image, as `5d`.
    #[arg(long, default_value = "")]
    image_expires_after: String,
    #[arg(long, default_value = "")]
    commit_sha: String,
    /// Folder of the source with settings for RPM repositories.
    #[arg(long, default_value = "repos.d")]
    yum_repos_d_src: String,
    /// Folder of the source with such settings that an earlier task has put there.
    #[arg(long, default_value = "fetched.repos.d")]
    yum_repos_d_fetched: String,
    /// Where the build sees them.
    #[arg(long, default_value = "/etc/yum.repos.d")]
    yum_repos_d_target: String,
    /// Stage that becomes the image. Empty: the last.
    #[arg(long, default_value = "")]
    target_stage: String,
    /// Keys of a subscription, which the build sees in /etc/pki/entitlement.
    #[arg(long, value_name = "DIR")]
    entitlement: Option<PathBuf>,
    /// File of the source with a line `name=value` for each argument.
    #[arg(long, default_value = "")]
    build_args_file: String,
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    further: Vec<String>,
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Where buildah keeps images: a volume, large enough for the base images and the built one.
    #[arg(long, default_value = "/var/lib/containers", value_name = "DIR")]
    storage: PathBuf,
    /// Where the image is written to.
    #[arg(long, value_name = "DIR")]
    layout: PathBuf,
    /// Where to write which images the stages stand on.
    #[arg(long, value_name = "FILE")]
    base_images: Option<PathBuf>,
    /// Folders that the build must not see, beside Tekton's and the service account's.
    #[arg(long, value_name = "DIR")]
    hide: Vec<PathBuf>,
    /// Address of a cache for Maven that `mvn` in the Dockerfile uses.
    #[arg(
        long,
        env = "JVM_BUILD_WORKSPACE_ARTIFACT_CACHE_PORT_80_TCP_ADDR",
        default_value = "",
        value_name = "HOST"
    )]
    jvm_cache: String,
    #[arg(long, value_name = "PATH")]
    result_base_images_digests: PathBuf,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    crate::push::verified(args.tls_verify)?;
    let source = args.source.canonicalize().with_context(|| format!("open {}", args.source.display()))?;
    let found = find(&source, &args.context, &args.dockerfile, context).await?;
    let folder = inside(&source, Path::new(&args.context))?
        .filter(|folder| folder.is_dir())
        .with_context(|| format!("the source has no folder {}, which the context names", args.context))?;
    let given = inputs::build_args(&source, &args.build_args_file, &args.further)?;
    let dockerfile = Dockerfile::parse(&found.text, &given)?;
    let target = dockerfile.target(&args.target_stage)?;
    let pinned = base_images::resolve(dockerfile.images(target), context).await?;
    let described = base_images::described(&dockerfile, target, &pinned);
    base_images::show(&described);

    fs::create_dir_all(&args.storage).with_context(|| format!("create {}", args.storage.display()))?;
    let work = tempfile::tempdir_in(&args.storage).context("create a folder for the build")?;
    let buildah = Buildah::new(&args.storage, work.path(), context).await?;
    for image in pinned.values() {
        buildah.pull(image).await?;
    }
    let mounts = Mounts::new(&args, &source, work.path(), dockerfile.runs_maven())?;
    let (first, maven) = (mounts.first(), mounts.first_maven());
    let rewritten = dockerfile.rewritten(&pinned, first, maven)?;
    let file = work.path().join("Dockerfile");
    fs::write(&file, rewritten)?;

    let mut arguments: Vec<OsString> =
        vec!["--file".into(), file.into(), "--tag".into(), args.image.clone().into()];
    if let Some(ignore) = &found.ignore {
        let file = work.path().join("ignore");
        fs::write(&file, ignore)?;
        arguments.extend(["--ignorefile".into(), file.into()]);
    }
    let mut flag = |name: &str, value: String| arguments.extend([name.into(), value.into()]);
    if !args.target_stage.is_empty() {
        flag("--target", args.target_stage.clone());
    }
    for (name, value) in &given {
        flag("--build-arg", format!("{name}={value}"));
    }
    for label in
        inputs::labels(&args.commit_sha, &args.image_expires_after, context.clock.now(), &args.labels)
    {
        flag("--label", label);
    }
    if let Some(base) = described.iter().find(|image| image.is_final) {
        flag("--annotation", format!("org.opencontainers.image.base.name={}", base.name));
        flag("--annotation", format!("org.opencontainers.image.base.digest={}", base.digest));
    }
    arguments.extend(mounts.all.iter().flat_map(|mount| mount.argument(buildah.has_overlay())));

    let sandbox = Sandbox::closed(&args.hide, !args.hermetic.0);
    if args.hermetic.0 {
        say("Builds without network");
    }
    buildah.build(&sandbox, arguments, &folder).await?;
    buildah.export(&args.image, &args.layout).await?;
    if let Some(path) = &args.base_images {
        fs::write(path, serde_json::to_vec(&described)?)
            .with_context(|| format!("write {}", path.display()))?;
    }
    let lines = base_images::lines(&dockerfile, target, &pinned);
    results::write(&args.result_base_images_digests, &lines)
}

/// What the build gets beside its context, and what each `RUN` does with it.
struct Mounts {
    all: Vec<Mount>,
    has_prefetched: bool,
    has_maven_cache: bool,
}

impl Mounts {
    fn new(args: &Args, source: &Path, work: &Path, runs_maven: bool) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        let cachi2 = bound(args.cachi2.clone()).filter(|folder| folder.join("cachi2.env").is_file());
        if let Some(folder) = &cachi2 {
            all.push(Mount::changeable(folder, "/cachi2"));
        }
        let folders = [&args.yum_repos_d_src, &args.yum_repos_d_fetched];
        let repositories = inputs::rpm_repositories(source, folders, cachi2.as_deref(), work)?;
        if let Some(folder) = repositories {
            ensure!(
                args.yum_repos_d_target.starts_with('/') && !args.yum_repos_d_target.contains(':'),
                "--yum-repos-d-target {} is no absolute path",
                args.yum_repos_d_target
            );
            all.push(Mount::fixed(&folder, &args.yum_repos_d_target));
        }
        if let Some(folder) = bound(args.entitlement.clone()) {
            all.push(Mount::fixed(&folder, "/etc/pki/entitlement"));
        }
        let has_maven_cache = runs_maven && !args.jvm_cache.is_empty();
        if has_maven_cache {
            all.push(Mount::fixed(&inputs::maven_settings(&args.jvm_cache, work)?, "/run/konflux/maven"));
        }
        Ok(Self { all, has_prefetched: cachi2.is_some(), has_maven_cache })
    }

    fn first(&self) -> &'static str {
        if self.has_prefetched { ". /cachi2/cachi2.env && " } else { "" }
    }

    fn first_maven(&self) -> &'static str {
        if self.has_maven_cache {
            r#"mvn() { command mvn --settings /run/konflux/maven/settings.xml "$@"; } && "#
        } else {
            ""
        }
    }
}
