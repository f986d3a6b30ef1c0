//! `sbom generate`: writes what is in an image, and in what it was built from.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use jiff::Timestamp;
use sbom::purls::ImageContents;
use sbom::{About, BaseImage, Inventory, Stage, cyclonedx, spdx};
use serde::{Deserialize, Serialize};

use super::attach::MAX_SBOM;
use super::collect::Collector;
use super::kind::Scope;
use super::origins::Origins;
use super::{layout, tree};
use crate::context::say;
use crate::results;

/// Lists the packages of source trees and of an image.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A source tree, whose lockfiles are read.
    #[arg(long, value_name = "DIR")]
    source: Vec<PathBuf>,
    /// The image's root, mounted or unpacked.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// The image as an OCI layout.
    #[arg(long, value_name = "DIR", conflicts_with = "root")]
    layout: Option<PathBuf>,
    /// A list in CycloneDX JSON whose components are added. One that is not there adds none.
    #[arg(long, value_name = "FILE")]
    merge: Vec<PathBuf>,
    /// The list of base images that `build` writes. One that is not there says that there are none.
    #[arg(long, value_name = "FILE")]
    base_images: Option<PathBuf>,
    /// Name of the image, with its tag.
    #[arg(long, default_value = "")]
    image: String,
    #[arg(long, value_name = "FILE")]
    cyclonedx: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    spdx: Option<PathBuf>,
    /// The package URLs alone.
    #[arg(long, value_name = "FILE")]
    purls: Option<PathBuf>,
    /// Also reads in Java classes where they come from, which the platform's artifact cache writes into them.
    #[arg(long)]
    java_origins: bool,
    /// How many Java artifacts are from where. Not written without `--java-origins`.
    #[arg(long, value_name = "PATH")]
    result_sbom_java_components_count: Option<PathBuf>,
    /// Java artifacts that the platform did not build, separated by commas.
    #[arg(long, value_name = "PATH")]
    result_java_community_dependencies: Option<PathBuf>,
}

/// An entry of the file of `--base-images`.
#[derive(Debug, Deserialize)]
struct Base {
    /// From 0.
    stage: u32,
    /// With its tag.
    name: String,
    digest: String,
    /// Whether the last stage stands on it.
    #[serde(default)]
    is_final: bool,
}

/// No network, and nothing to wait for but files.
pub fn run(args: Args, now: Timestamp) -> anyhow::Result<()> {
    let mut inventory = Inventory::default();
    for source in &args.source {
        let mut collector = Collector::new(Scope::Source);
        tree::read(source, Scope::Source, &mut collector)?;
        take(&mut inventory, collector, "");
    }
    let mut image = Collector::new(Scope::Image);
    if args.java_origins {
        image = image.with_origins();
    }
    if let Some(root) = &args.root {
        tree::read(root, Scope::Image, &mut image)?;
    }
    if let Some(folder) = &args.layout {
        layout::read(folder, &mut image).with_context(|| format!("layout {}", folder.display()))?;
    }
    let origins = image.origins.take();
    for package in origins.iter().flat_map(Origins::packages) {
        inventory.add(package);
    }
    take(&mut inventory, image, "/");
    for path in &args.merge {
        if let Some(bytes) = optional(path)? {
            let bom = cyclonedx::Bom::read(&bytes).with_context(|| format!("merge {}", path.display()))?;
            inventory.merge(bom);
        }
    }
    if let Some(bytes) = args.base_images.as_deref().map(optional).transpose()?.flatten() {
        inventory.build_on(base_images(&bytes).context("--base-images")?);
    }
    say(&format!("{} packages, {} base images", inventory.len(), inventory.base_images().len()));
    let about = About { image: args.image, created: now, tool_version: env!("CARGO_PKG_VERSION").to_owned() };
    write(args.cyclonedx.as_deref(), || cyclonedx::Bom::new(&inventory, &about))?;
    write(args.spdx.as_deref(), || spdx::Document::new(&inventory, &about))?;
    write(args.purls.as_deref(), || ImageContents::from(&inventory))?;
    if let (Some(path), Some(origins)) = (&args.result_sbom_java_components_count, &origins) {
        // Readers know it with the blank that it always had.
        results::write(path, &format!(" {}", serde_json::to_string(&origins.counts())?))?;
    }
    if let Some(path) = &args.result_java_community_dependencies {
        let community: Vec<&str> = origins.iter().flat_map(Origins::community).collect();
        results::write(path, &community.join(","))?;
    }
    Ok(())
}

/// Adds what was found, and says what was not. `root` is put before the paths.
fn take(inventory: &mut Inventory, collector: Collector, root: &str) {
    let (packages, unread) = collector.finish();
    for mut package in packages {
        package.found_in = package.found_in.iter().map(|path| format!("{root}{path}")).collect();
        inventory.add(package);
    }
    for file in &unread {
        say(&format!("Not listed: {root}{file}"));
    }
}

fn optional(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => {
            let size = metadata.with_context(|| format!("read {}", path.display()))?.len();
            ensure!(size <= MAX_SBOM, "{} has {size} bytes; at most {MAX_SBOM} are read", path.display());
        }
    }
    std::fs::read(path).map(Some).with_context(|| format!("read {}", path.display()))
}

fn base_images(bytes: &[u8]) -> anyhow::Result<Vec<(BaseImage, Stage)>> {
    let list: Vec<Base> = serde_json::from_slice(bytes)?;
    let images = list.into_iter().map(|base| {
        let image = format!("{}@{}", base.name, base.digest).parse()?;
        Ok((image, if base.is_final { Stage::Base } else { Stage::Builder(base.stage) }))
    });
    images.collect()
}

fn write<T: Serialize>(path: Option<&Path>, document: impl FnOnce() -> T) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let context = || format!("write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(context)?);
    serde_json::to_writer(&mut file, &document()).with_context(context)?;
    file.flush().with_context(context)
}
