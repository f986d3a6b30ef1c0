//! `push-dockerfile`: keeps the Dockerfile beside the image that was built of it.

use std::path::PathBuf;

use anyhow::Context as _;
use registry::{Blob, Reference};
use serde_json::json;

use crate::build;
use crate::context::{Context, say};
use crate::image::{self, MANIFEST, descriptor};
use crate::results;

const ARTIFACT: &str = "application/vnd.konflux.dockerfile";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Attaches a Dockerfile to the image that was built of it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    image: String,
    #[arg(long)]
    image_digest: String,
    /// The checkout.
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    #[arg(long, default_value = "./Dockerfile")]
    dockerfile: String,
    #[arg(long, default_value = ".")]
    context: String,
    /// Follows the image's digest in the tag.
    #[arg(long, default_value = ".dockerfile")]
    tag_suffix: String,
    #[arg(long, value_name = "PATH")]
    result_image_ref: Option<PathBuf>,
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let image = image::pinned(&args.image, &args.image_digest)?;
    let source = args.source.canonicalize().with_context(|| format!("open {}", args.source.display()))?;
    let found = build::find(&source, &args.context, &args.dockerfile, context).await?;
    let digest = image.digest().context("--image-digest")?;
    let to: Reference = image.tagged(&format!("sha256-{}{}", digest.hex(), args.tag_suffix))?;
    let (config, file) = (Blob::bytes("{}"), Blob::bytes(found.text));
    for blob in [&config, &file] {
        context.registry.push_blob(&to, blob, &context.keychain).await?;
    }
    let mut layer = descriptor(ARTIFACT, file.digest(), file.size());
    layer["annotations"] = json!({"org.opencontainers.image.title": "Dockerfile"});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": ARTIFACT, "layers": [layer],
        "config": descriptor(EMPTY, config.digest(), config.size()),
    });
    let pushed =
        context.registry.push_manifest(&to, MANIFEST, manifest.to_string(), &context.keychain).await?;
    say(&format!("Attached the Dockerfile as {to}"));
    match &args.result_image_ref {
        Some(path) => results::write(path, &to.at(pushed).to_string()),
        None => Ok(()),
    }
}
