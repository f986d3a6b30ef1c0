//! Images of a registry, platform by platform.

use std::fs::File;
use std::io::{self, Read, Seek as _};

use anyhow::{Context as _, bail};
use registry::{Digest, Document, ImageManifest, Manifest, Platform};
use sbom::Package;

use super::collect::{Collector, Unread};
use super::kind::Scope;
use super::layers::{self, Layers};
use super::tar::{self, Archive};
use crate::context::Context;
use crate::image::pinned;

/// Of an index. One with more is not checked in part.
const MAX_PLATFORMS: usize = 64;
/// Of a layer as it is packed.
const MAX_LAYER: u64 = 32 << 30;

/// An image for one platform.
#[derive(Clone, Debug)]
pub struct Member {
    /// Unknown of an image that is no part of an index.
    pub platform: Option<Platform>,
    pub manifest: Manifest,
    layers: Vec<Digest>,
}

/// Images behind a digest: itself, or those for each platform.
pub async fn members(image_url: &str, image_digest: &str, context: &Context) -> anyhow::Result<Vec<Member>> {
    let image = pinned(image_url, image_digest)?;
    let manifest = context.registry.manifest(&image, &context.keychain).await?;
    match manifest.document()? {
        Document::Image(image) => Ok(vec![Member::new(None, manifest, image)]),
        Document::Index(entries) => {
            // Attestations are for no platform.
            let is_known = |part: &str| !part.is_empty() && part != "unknown";
            let images: Vec<_> = entries
                .into_iter()
                .filter_map(|entry| Some((entry.platform?, entry.digest)))
                .filter(|(platform, _)| is_known(&platform.os) && is_known(&platform.architecture))
                .collect();
            if images.is_empty() || images.len() > MAX_PLATFORMS {
                bail!("{image_url}: its index has {} images; 1 to {MAX_PLATFORMS} are checked", images.len());
            }
            let mut members = Vec::new();
            for (platform, digest) in images {
                let manifest =
                    context.registry.manifest(&manifest.reference.at(digest), &context.keychain).await?;
                let Document::Image(image) = manifest.document()? else {
                    bail!("{}: an index within an index", manifest.reference);
                };
                members.push(Member::new(Some(platform), manifest, image));
            }
            Ok(members)
        }
    }
}

impl Member {
    fn new(platform: Option<Platform>, manifest: Manifest, image: ImageManifest) -> Self {
        let layers = image.layers.into_iter().map(|layer| layer.digest).collect();
        Self { platform, manifest, layers }
    }

    /// For people: its platform, or its digest.
    pub fn name(&self) -> String {
        self.platform.as_ref().map_or_else(|| self.manifest.digest.to_string(), Platform::to_string)
    }

    /// Packages that are installed in it.
    pub async fn packages(&self, context: &Context) -> anyhow::Result<(Vec<Package>, Vec<Unread>)> {
        let mut collector = Collector::new(Scope::Image);
        let mut reading = Layers::new(&mut collector);
        for digest in self.layers.iter().rev() {
            let layer = self.layer(digest, context).await?;
            reading.read(layer).with_context(|| format!("read layer {digest}"))?;
        }
        Ok(collector.finish())
    }

    /// A file of at most `limit` bytes. `None` if it is not there.
    pub async fn file(&self, path: &str, limit: u64, context: &Context) -> anyhow::Result<Option<Vec<u8>>> {
        for digest in self.layers.iter().rev() {
            let layer = self.layer(digest, context).await?;
            match find(layer, path, limit).with_context(|| format!("read layer {digest}"))? {
                Found::File(bytes) => return Ok(Some(bytes)),
                Found::Removed => return Ok(None),
                Found::Nothing => {}
            }
        }
        Ok(None)
    }

    /// A layer in a file that goes when it is closed.
    async fn layer(&self, digest: &Digest, context: &Context) -> anyhow::Result<File> {
        let mut file = tokio::fs::File::from_std(tempfile::tempfile().context("make a file for a layer")?);
        let (registry, keychain) = (&context.registry, &context.keychain);
        registry.blob_to(&self.manifest.reference, digest, MAX_LAYER, &mut file, keychain).await?;
        let mut file = file.into_std().await;
        file.rewind()?;
        Ok(file)
    }
}

enum Found {
    File(Vec<u8>),
    /// By this layer: what is below is not seen.
    Removed,
    Nothing,
}

fn find(layer: impl Read, path: &str, limit: u64) -> io::Result<Found> {
    let mut archive = Archive::new(layers::unpacked(layer)?);
    let mut removed = false;
    while let Some(entry) = archive.next()? {
        removed |= layers::hides(&entry.path, path);
        if entry.path != path || tar::is_folder(&entry) {
            continue;
        }
        if !tar::is_file(&entry) || entry.size > limit {
            let reason = format!("/{path} is no file of at most {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let mut content = Vec::new();
        archive.read_to_end(&mut content)?;
        return Ok(Found::File(content));
    }
    Ok(if removed { Found::Removed } else { Found::Nothing })
}
