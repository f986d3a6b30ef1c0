//! Small images that a step makes itself, and what all steps ask of images.

use anyhow::Context as _;
use registry::{Blob, Digest, Document, Manifest, Reference};
use serde_json::{Map, Value, json};

use crate::context::Context;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Registries drop an image of that age that has this label.
pub(crate) const EXPIRES_AFTER: &str = "quay.expires-after";
const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// An image of a few layers, which have been pushed.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewImage {
    layers: Vec<Value>,
    contents: Vec<String>,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
}

impl NewImage {
    /// Adds a layer. `content` is the digest of what is in it, unpacked.
    pub(crate) fn layer(&mut self, descriptor: Value, content: &Digest) {
        self.layers.push(descriptor);
        self.contents.push(content.to_string());
    }

    /// Sets a label, and an annotation of the same name: registries look at one or the other.
    pub(crate) fn label(&mut self, name: &str, value: &str) {
        self.labels.insert(name.to_owned(), value.into());
        self.annotations.insert(name.to_owned(), value.into());
    }

    pub(crate) async fn push(&self, to: &Reference, context: &Context) -> anyhow::Result<Digest> {
        let config = json!({
            "os": "linux", "architecture": "amd64", "config": {"Labels": self.labels},
            "rootfs": {"type": "layers", "diff_ids": self.contents},
        });
        let config = Blob::bytes(config.to_string());
        context.registry.push_blob(to, &config, &context.keychain).await?;
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": self.layers,
            "config": descriptor(CONFIG, config.digest(), config.size()),
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = self.annotations.clone().into();
        }
        Ok(context.registry.push_manifest(to, MANIFEST, manifest.to_string(), &context.keychain).await?)
    }
}

/// A descriptor of OCI's.
pub(crate) fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({"mediaType": media_type, "digest": digest.as_str(), "size": size})
}

/// The image of `--image-url` and `--image-digest`, by its digest.
pub(crate) fn pinned(image_url: &str, image_digest: &str) -> anyhow::Result<Reference> {
    let reference: Reference = image_url.parse().with_context(|| format!("image {image_url:?}"))?;
    let digest = image_digest.parse().with_context(|| format!("image digest {image_digest:?}"))?;
    Ok(reference.at(digest))
}

/// The configuration of an image that is no index.
pub(crate) async fn config(manifest: &Manifest, context: &Context) -> anyhow::Result<Value> {
    let Document::Image(image) = manifest.document()? else {
        anyhow::bail!("{} is an index of several images", manifest.reference);
    };
    let config = context
        .registry
        .blob(&manifest.reference, &image.config.digest, CONFIG_LIMIT, &context.keychain)
        .await?;
    serde_json::from_slice(&config)
        .with_context(|| format!("read the configuration of {}", manifest.reference))
}
