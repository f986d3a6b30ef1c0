//! The image that a build has written: an OCI layout with one image in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use registry::Digest;
use serde_json::Value;

/// Of manifests and configurations.
const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// An image that lies in a folder.
#[derive(Clone, Debug)]
pub(super) struct Image {
    folder: PathBuf,
    pub(super) manifest: Value,
    pub(super) config: Value,
}

impl Image {
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.to_owned();
        let index = document(&folder.join("index.json"))?;
        let Some([entry]) = index["manifests"].as_array().map(Vec::as_slice) else {
            bail!("{} has not one image in it", folder.display());
        };
        let manifest = document(&blob(&folder, entry)?)?;
        let config = document(&blob(&folder, &manifest["config"])?)?;
        Ok(Self { folder, manifest, config })
    }

    /// The files of the layers in order, with the digests of their contents when unpacked.
    pub(super) fn layers(&self) -> anyhow::Result<Vec<(PathBuf, String)>> {
        let layers = self.manifest["layers"].as_array().context("the image has no list of layers")?;
        let contents = self.diff_ids().context("the image does not say what its layers contain")?;
        ensure!(layers.len() == contents.len(), "the image has not as many layers as it says");
        let files = layers.iter().zip(contents);
        files.map(|(layer, content)| Ok((blob(&self.folder, layer)?, content))).collect()
    }

    fn diff_ids(&self) -> Option<Vec<String>> {
        let contents = self.config["rootfs"]["diff_ids"].as_array()?;
        contents.iter().map(|content| content.as_str().map(str::to_owned)).collect()
    }

    /// An annotation of the manifest.
    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.manifest["annotations"][name].as_str()
    }
}

/// Where a blob is; the digest is checked for what it is, so that no name leads out of the folder.
fn blob(folder: &Path, descriptor: &Value) -> anyhow::Result<PathBuf> {
    let digest: Digest = descriptor["digest"].as_str().unwrap_or_default().parse()?;
    Ok(folder.join("blobs/sha256").join(digest.hex()))
}

fn document(path: &Path) -> anyhow::Result<Value> {
    let size = path.metadata().with_context(|| format!("open {}", path.display()))?.len();
    ensure!(size <= MAX_DOCUMENT, "{} is larger than {MAX_DOCUMENT} bytes", path.display());
    serde_json::from_slice(&fs::read(path)?).with_context(|| format!("read {}", path.display()))
}
