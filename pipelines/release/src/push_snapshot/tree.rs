//! An image or index with all the manifests below it.

use std::collections::{BTreeSet, HashSet};

use anyhow::ensure;
use registry::{Descriptor, Digest, Document, Manifest, Reference};
use serde::Deserialize;

use super::copier::Copier;

/// Manifests of one image. An index of four megabytes could name some ten thousand.
const MAX_MANIFESTS: usize = 512;
const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// Manifests with what they need, those that others refer to first.
#[derive(Clone, Debug)]
pub(super) struct Tree(pub(super) Vec<Node>);

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) manifest: Manifest,
    /// Blobs that have to be there before it.
    pub(super) blobs: Vec<Descriptor>,
    is_index: bool,
}

/// For what an image is built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Platforms {
    pub(super) arches: BTreeSet<String>,
    pub(super) oses: BTreeSet<String>,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

impl Tree {
    /// Reads the manifest that `image` names by its digest, and all below it.
    pub(super) async fn read(image: &Reference, copier: &Copier) -> anyhow::Result<Self> {
        let (mut nodes, mut open) = (Vec::new(), vec![image.clone()]);
        let mut seen: HashSet<Digest> = image.digest().cloned().into_iter().collect();
        while let Some(next) = open.pop() {
            let manifest = copier.manifest(&next).await?;
            let (is_index, blobs) = match manifest.document()? {
                Document::Index(children) => {
                    let fresh = children.into_iter().filter(|child| seen.insert(child.digest.clone()));
                    open.extend(fresh.map(|child| image.at(child.digest)));
                    ensure!(seen.len() <= MAX_MANIFESTS, "{image} has more than {MAX_MANIFESTS} manifests");
                    (true, Vec::new())
                }
                Document::Image(image) => {
                    (false, image.layers.into_iter().chain([image.config]).filter(is_in_registry).collect())
                }
            };
            nodes.push(Node { manifest, blobs, is_index });
        }
        // An index was found before what it names, and has to be pushed after that.
        nodes.reverse();
        nodes.sort_by_key(|node| node.is_index);
        Ok(Self(nodes))
    }

    /// Of an index what it says of its images, of an image what its configuration says.
    pub(super) async fn platforms(&self, copier: &Copier) -> anyhow::Result<Platforms> {
        let mut platforms = Platforms::default();
        let Some(top) = self.0.last() else { return Ok(platforms) };
        match top.manifest.document()? {
            Document::Index(children) => {
                for platform in children.into_iter().filter_map(|child| child.platform) {
                    platforms.add(platform.os, platform.architecture);
                }
            }
            Document::Image(image) => {
                let limit = image.config.size.min(CONFIG_LIMIT);
                let config = copier.blob(&top.manifest.reference, &image.config.digest, limit).await?;
                // What is no image, as a chart is none, has no platform.
                let config: Config = serde_json::from_slice(&config).unwrap_or_default();
                platforms.add(config.os, config.architecture);
            }
        }
        Ok(platforms)
    }
}

impl Platforms {
    fn add(&mut self, os: String, architecture: String) {
        let is_known = |word: &String| !word.is_empty() && word != "unknown";
        self.oses.extend(Some(os).filter(is_known));
        self.arches.extend(Some(architecture).filter(is_known));
    }
}

/// Some layers may not be given on, and lie where their makers have them.
fn is_in_registry(blob: &Descriptor) -> bool {
    !blob.media_type.contains("foreign") && !blob.media_type.contains("nondistributable")
}
