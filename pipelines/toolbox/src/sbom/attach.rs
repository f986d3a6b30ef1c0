//! `sbom attach`: puts a bill of materials beside an image, where cosign looks for it.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use registry::{Attached, Blob};
use sbom::Format;
use serde_json::json;

use crate::context::{Context, say};
use crate::image::{CONFIG, MANIFEST, descriptor, pinned};
use crate::results;

/// Larger ones are refused by those who would read them.
pub(crate) const MAX_SBOM: u64 = 64 << 20;

/// Pushes a bill of materials as `sha256-<hex>.sbom` of an image.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The image, with its tag.
    #[arg(long)]
    image_url: String,
    /// Digest of the image's manifest, `sha256:<hex>`.
    #[arg(long)]
    image_digest: String,
    /// CycloneDX or SPDX in JSON.
    #[arg(long, value_name = "FILE")]
    sbom: PathBuf,
    /// Where the bill of materials itself is, as `repository@sha256:<hex>`.
    #[arg(long, value_name = "PATH")]
    result_sbom_blob_url: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let image = pinned(&args.image_url, &args.image_digest)?;
    let digest = image.digest().context("an image is attached to by its digest")?;
    let path = args.sbom.display();
    let size = args.sbom.metadata().with_context(|| format!("read {path}"))?.len();
    ensure!(size <= MAX_SBOM, "{path} has {size} bytes; at most {MAX_SBOM} are attached");
    let bytes = std::fs::read(&args.sbom).with_context(|| format!("read {path}"))?;
    let media_type = Format::detect(&bytes).with_context(|| path.to_string())?.media_type();

    let layer = Blob::bytes(bytes);
    // As cosign writes it. Without a time, so that the same list is the same manifest.
    let config = Blob::bytes(serde_json::to_vec(&json!({
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer.digest().to_string()] },
    }))?);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config.digest(), config.size()),
        "layers": [descriptor(media_type, layer.digest(), layer.size())],
    });
    for blob in [&layer, &config] {
        context.registry.push_blob(&image, blob, &context.keychain).await?;
    }
    let to = Attached::Sbom.reference(&image, digest);
    context.registry.push_manifest(&to, MANIFEST, serde_json::to_vec(&manifest)?, &context.keychain).await?;
    say(&format!("Attached {path} as {to}"));
    let Some(result) = &args.result_sbom_blob_url else { return Ok(()) };
    results::write(result, &image.at(layer.digest().clone()).to_string())
}
