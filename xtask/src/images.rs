//! `cargo xtask images`: an OCI image of every service, pushed to a registry.
//!
//! ```text
//! cargo build ─▶ binaries ─▶ layers (cached, deterministic) ─▶ registry ─▶ images.json, read by `deploy`
//! Debian packages, programs of steps ─▶ images of steps ─▶ bundles of tasks ─▶ bundles of pipelines ─▶ trusted-tasks.yaml
//! policy/ ─▶ bundles of policies, and of data that trusts these tasks
//! Debian packages ─▶ the database of results
//! ```
//! An image is two layers on nothing: what every service needs (certificate authorities, a user that is not root), and
//! the static binary. Those of the resolvers and of `ec` have Git, too. That of the engine's entrypoint is the binary alone: pods mount it as a volume. The same binary gives
//! the same digest, whenever and wherever it is packed.
use std::{path::PathBuf, time::SystemTime};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::{cluster, deploy::counted, paths, program::interruptible, ui};

mod binary;
mod build;
mod bundle;
mod bundles;
mod databases;
mod debian;
mod git;
mod image;
mod index;
mod layer;
mod policy;
mod postgres;
pub mod record;
mod registry;
mod revision;
pub mod shell;
mod toolbox;
mod trusted;

pub use bundle::Bundled;
pub use image::MANIFEST_TYPE;
pub use layer::digest;
pub use registry::RegistryArgs;

/// Repository of our images below the registry, and how manifests name them before a registry is put in front.
pub const REPOSITORY: &str = "konflux";

/// Tag of what is named by its content, for people who look for it.
const LATEST: &str = "latest";

/// How many images are pushed at once: enough to hide latency, few enough for a laptop's uplink.
const PARALLEL_PUSHES: usize = 3;

/// Builds an image of every service and pushes it to a registry.
#[derive(Clone, Debug, clap::Args)]
pub struct ImagesArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Joins images of several architectures, pushed before under tags with suffixes, under one tag.
    Index(index::IndexArgs),
    /// Only what pipelines need: images of steps and of samples, databases, bundles. What was recorded of services stays.
    Pipelines,
}

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    pub cluster: cluster::Choice,
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Build with the release profile: smaller and faster, but a second build beside that of the tests.
    #[arg(long)]
    pub release: bool,
    /// Tag of the images. Default: the Git commit; with local changes `<commit>-dirty-<hash of the binary>`.
    #[arg(long)]
    pub tag: Option<String>,
    /// Where to write the digests. Default: the state folder of the cluster, where `deploy` looks.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

impl Options {
    /// What the command line would be with this cluster and registry, and nothing else.
    pub fn of(cluster: cluster::Choice, registry: RegistryArgs) -> Self {
        Self { cluster, registry, release: false, tag: None, output: None }
    }
}

pub async fn run(args: ImagesArgs) -> anyhow::Result<()> {
    interruptible(async {
        let made = match args.action {
            Some(Action::Index(index)) => index::make(index, &args.options).await?,
            Some(Action::Pipelines) => make_for_pipelines(&args.options).await?,
            None => make(&args.options).await?,
        };
        for (service, image) in made.images {
            ui::answer(&format!("{service} {}", image.reference));
        }
        Ok(())
    })
    .await
}

/// Builds, packs and pushes the images of all services, and records their digests.
pub async fn make(options: &Options) -> anyhow::Result<record::Images> {
    let registry = options.registry.resolve(&options.cluster).await?;
    let built = build::workspace(options.release).await?;
    let mut binaries = built.services;
    anyhow::ensure!(
        !binaries.is_empty(),
        "no package below services/ has a binary: nothing to make an image of"
    );
    let entrypoint = build::entrypoint().await?;
    binaries.push(entrypoint.clone());
    let revision = revision::of(&paths::repository()?).await;
    let base = layer::base()?;

    let step = ui::step(format!("{} in {}", counted(binaries.len(), "image"), registry.prefix));
    let client = registry.client()?;
    let mut pushed: Vec<_> = futures::stream::iter(binaries)
        .map(|binary| {
            let (base, entrypoint, revision, client, step) = (&base, &entrypoint, &revision, &client, &step);
            async move {
                let service = binary.service.clone();
                step.waiting(&format!("packing {service}"));
                let image = if service == build::ENTRYPOINT {
                    image::pack_entrypoint(binary, revision).await?
                } else {
                    image::pack(binary, base.clone(), entrypoint, revision).await?
                };
                let tag = options.tag.clone().unwrap_or_else(|| revision.tag(&image.content));
                step.waiting(&format!("pushing {service}"));
                let reference = client.push(&service, &tag, &image).await?;
                let pinned = record::Image { reference, tag, architecture: image.architecture.to_owned() };
                anyhow::Ok((service, pinned, image.size()))
            }
        })
        .buffer_unordered(PARALLEL_PUSHES)
        .try_collect()
        .await?;

    step.done();
    pushed.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let mut images = record::Images {
        registry: registry.prefix.clone(),
        images: pushed.iter().map(|(service, image, _)| (service.clone(), image.clone())).collect(),
    };
    push_for_pipelines(options, &registry, built.steps, &mut images).await?;
    for (service, image, size) in &pushed {
        ui::note(&format!("{service}:{} ({:.1} MB)", image.tag, megabytes(*size)));
    }
    Ok(images)
}

/// As [`make`], of what pipelines need alone.
async fn make_for_pipelines(options: &Options) -> anyhow::Result<record::Images> {
    let registry = options.registry.resolve(&options.cluster).await?;
    let steps = build::steps(options.release).await?;
    let mut images = record::Images::read(&record_file(options)?)?.unwrap_or_default();
    // Images of another registry would not be found in this one.
    if images.registry != registry.prefix {
        images = record::Images { registry: registry.prefix.clone(), ..record::Images::default() };
    }
    push_for_pipelines(options, &registry, steps, &mut images).await?;
    Ok(images)
}

/// Makes and pushes the images of steps and of samples, databases and bundles.
async fn push_for_pipelines(
    options: &Options,
    registry: &registry::Registry,
    programs: build::Steps,
    images: &mut record::Images,
) -> anyhow::Result<()> {
    let base = layer::base()?;
    let mut packed = toolbox::pack(&programs, &base).await?;
    let (_, first) = packed.first().context("pipelines have images")?;
    // No pipeline's, but made as theirs are: of Debian's packages.
    packed.push((postgres::POSTGRES, postgres::pack(first.architecture, &base).await?));
    let client = registry.client()?;
    let step = ui::step(format!("{} for pipelines and the database", counted(packed.len(), "image")));
    let mut sizes = Vec::new();
    for (name, image) in packed {
        step.waiting(&format!("pushing {name}"));
        // What is in it names it, whatever the commit is.
        let tag = options.tag.clone().unwrap_or_else(|| LATEST.to_owned());
        let reference = client.push(name, &tag, &image).await?;
        let pinned = record::Image { reference, tag, architecture: image.architecture.to_owned() };
        images.images.insert(name.to_owned(), pinned);
        sizes.push(format!("{name} {:.1} MB", megabytes(image.size())));
    }
    step.done_with(&sizes.join(", "));
    push_bundles(options, registry, &client, images).await?;
    databases::push_vulnerabilities(registry, &programs.toolbox).await
}

/// Pushes the bundles of tasks and pipelines that run in these images, and records what was pushed.
async fn push_bundles(
    options: &Options,
    registry: &registry::Registry,
    client: &registry::Client<'_>,
    images: &mut record::Images,
) -> anyhow::Result<()> {
    let revision = revision::of(&paths::repository()?).await;
    let pushed = bundles::push(registry, client, &images.images, &revision).await?;
    images.images.extend(pushed.named);
    let file = record_file(options)?;
    let trusted = file.with_file_name(trusted::FILE);
    let mut data = trusted::TrustedTasks::read(&trusted)?;
    data.add(&pushed.tasks, SystemTime::now().try_into().context("read this machine's clock")?);
    data.write(&trusted)?;
    let policies = policy::push(client, &data).await?;
    images.images.extend(policies.into_iter().map(|(name, image)| (name.to_owned(), image)));
    images.write(&file).with_context(|| format!("record the digests in {}", file.display()))?;
    ui::note(&format!("digests are in {}, bundles to trust in {}", file.display(), trusted.display()));
    Ok(())
}

/// Builds the program that the pipelines engine puts into pods, as it is shipped. Returns its file.
pub async fn entrypoint() -> anyhow::Result<PathBuf> {
    Ok(build::entrypoint().await?.file)
}

/// Where the digests are recorded, for `deploy`.
pub fn record_file(options: &Options) -> anyhow::Result<PathBuf> {
    match &options.output {
        Some(file) => Ok(file.clone()),
        None => record::default_file(&options.cluster),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
