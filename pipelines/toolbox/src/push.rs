//! `push`: puts a built image into the registry, with its SBOM in it.
//!
//! Layers of the base image go as its own registry keeps them: they are not compressed again, and a registry that has them
//! is not sent them.

mod layers;
mod layout;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use registry::{Blob, Digest, Reference};
use serde_json::{Value, json};

use crate::context::{Context, Flag, say};
use crate::image::{CONFIG, MANIFEST, descriptor};
use crate::results;
use layers::Layer;
use layout::Image;

/// Layers that are worked on at once: few, for a registry takes few calls of one client.
const TOGETHER: usize = 2;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(10);

/// Puts a built image into the registry.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it goes.
    #[arg(long)]
    image: String,
    /// What `build` has written.
    #[arg(long, value_name = "DIR")]
    layout: PathBuf,
    #[arg(long, default_value = "true", value_name = "BOOL")]
    tls_verify: Flag,
    /// File that becomes part of the image, and its path there. One that is missing is left out.
    #[arg(long = "add", value_name = "FILE=PATH")]
    added: Vec<Added>,
    #[arg(long, default_value_t = 5)]
    tries: u32,
    #[arg(long, value_name = "PATH")]
    result_image_url: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_image_digest: PathBuf,
    #[arg(long, value_name = "PATH")]
    result_image_ref: Option<PathBuf>,
}

/// A file, and where it lies in the image.
#[derive(Clone, Debug)]
struct Added {
    file: PathBuf,
    path: String,
}

impl FromStr for Added {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((file, path)) if path.starts_with('/') && !path.contains("..") => {
                Ok(Self { file: file.into(), path: path.to_owned() })
            }
            _ => Err("expected a file, =, and an absolute path in the image"),
        }
    }
}

pub async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    verified(args.tls_verify)?;
    let to: Reference = args.image.parse().context("--image")?;
    let image = Image::read(&args.layout).context("read the built image")?;
    let ready = Ready::new(image, &args, context).await?;
    let digest = tried(args.tries, PAUSE, async || ready.push(&to, &args.layout, context).await)
        .await
        .with_context(|| format!("push {to}"))?;
    say(&format!("Pushed {to} as {digest}"));
    results::write(&args.result_image_url, &args.image)?;
    results::write(&args.result_image_digest, digest.as_str())?;
    if let Some(path) = &args.result_image_ref {
        results::write(path, &to.at(digest).to_string())?;
    }
    Ok(())
}

/// Refuses a registry whose certificate would not be looked at: a login would go to whoever answers.
pub(crate) fn verified(tls_verify: Flag) -> anyhow::Result<()> {
    ensure!(
        tls_verify.0,
        "TLSVERIFY=false is not supported: put the registry's certificate authority into the ConfigMap trusted-ca instead"
    );
    Ok(())
}

/// Tries something several times, as long as what is wrong may pass by itself.
async fn tried<T>(
    tries: u32,
    pause: Duration,
    attempt: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut number = 1;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let is_transient = error
            .chain()
            .any(|cause| cause.downcast_ref::<registry::Error>().is_some_and(registry::Error::is_transient));
        if !is_transient || number >= tries {
            return Err(error);
        }
        say(&format!("Try {number} of {tries} failed, the next one is in {} s: {error:#}", pause.as_secs()));
        tokio::time::sleep(pause).await;
        number += 1;
    }
}

/// An image whose parts are as they will be in the registry.
struct Ready {
    layers: Vec<Layer>,
    config: Blob,
    manifest: Value,
}

impl Ready {
    async fn new(mut image: Image, args: &Args, context: &Context) -> anyhow::Result<Self> {
        let base = image
            .annotation("org.opencontainers.image.base.name")
            .zip(image.annotation("org.opencontainers.image.base.digest"));
        let known = match base {
            Some((name, digest)) => {
                let architecture = image.config["architecture"].as_str().unwrap_or_default();
                layers::of_base(name, digest, architecture, context).await
            }
            None => Vec::new(),
        };
        let prepared =
            image.layers()?.into_iter().enumerate().map(async |(number, (file, content))| {
                layers::prepare(&file, &content, number, &known).await
            });
        let mut layers: Vec<_> = futures::stream::iter(prepared).buffered(TOGETHER).try_collect().await?;
        let added: Vec<_> = args.added.iter().filter(|added| added.file.is_file()).collect();
        if !added.is_empty() {
            let files: Vec<(&Path, &str)> =
                added.iter().map(|added| (added.file.as_path(), added.path.as_str())).collect();
            let now = context.clock.now();
            let (layer, unpacked) = layers::of_files(&files, &args.layout, now)?;
            layers.push(layer);
            append(&mut image.config["rootfs"]["diff_ids"], unpacked.as_str().into())?;
            let history =
                json!({"created": now.to_string(), "created_by": "toolbox push", "comment": "SBOM"});
            append(&mut image.config["history"], history)?;
        }
        let config = Blob::bytes(serde_json::to_vec(&image.config)?);
        let mut manifest = image.manifest;
        manifest["mediaType"] = MANIFEST.into();
        manifest["config"] = descriptor(CONFIG, config.digest(), config.size());
        manifest["layers"] = layers.iter().map(|layer| layer.descriptor.clone()).collect();
        Ok(Self { layers, config, manifest })
    }

    async fn push(&self, to: &Reference, folder: &Path, context: &Context) -> anyhow::Result<Digest> {
        let layers = self.layers.iter().map(|layer| layer.push(to, folder, context));
        futures::stream::iter(layers).buffer_unordered(TOGETHER).try_collect::<Vec<()>>().await?;
        let (client, keychain) = (&context.registry, &context.keychain);
        client.push_blob(to, &self.config, keychain).await?;
        Ok(client.push_manifest(to, MANIFEST, serde_json::to_vec(&self.manifest)?, keychain).await?)
    }
}

fn append(list: &mut Value, entry: Value) -> anyhow::Result<()> {
    match list {
        Value::Array(list) => list.push(entry),
        Value::Null => *list = vec![entry].into(),
        _ => bail!("the configuration of the image is broken"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
