//! An image as a folder: the OCI image layout.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use registry::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::collect::Collector;
use super::layers::Layers;

/// Of `index.json` and a manifest.
const MAX_DOCUMENT: u64 = 4 << 20;

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// Reads the one image of a layout. Its content is not checked against the digests: it is what the step before has just written.
pub(super) fn read(folder: &Path, collector: &mut Collector) -> anyhow::Result<()> {
    let index: Index = document(&folder.join("index.json"))?;
    let [image] = &index.manifests[..] else {
        bail!("{}: it has {} images, and one is expected", folder.display(), index.manifests.len());
    };
    let manifest: Manifest = document(&blob(folder, image)?)
        .with_context(|| format!("{}: is it an index of several platforms?", image.digest))?;
    let mut layers = Layers::new(collector);
    for layer in manifest.layers.iter().rev() {
        let path = blob(folder, layer)?;
        let file = File::open(&path).with_context(|| format!("open layer {}", path.display()))?;
        layers.read(file).with_context(|| format!("read layer {}", layer.digest))?;
    }
    Ok(())
}

/// Where a blob is. The digest is checked for what it is, so that no name leads out of the folder.
fn blob(folder: &Path, descriptor: &Descriptor) -> anyhow::Result<PathBuf> {
    let digest: Digest =
        descriptor.digest.parse().with_context(|| format!("{:?} is no SHA-256 digest", descriptor.digest))?;
    Ok(folder.join("blobs/sha256").join(digest.hex()))
}

fn document<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let size = path.metadata().with_context(|| format!("open {}", path.display()))?.len();
    if size > MAX_DOCUMENT {
        bail!("{} has {size} bytes; a manifest has at most {MAX_DOCUMENT}", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
}
