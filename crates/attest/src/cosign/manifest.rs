//! Manifests whose layers are signatures or attestations.

use registry::{Blob, Descriptor, Digest, Document, Manifest};
use serde_json::{Value, json};

use super::layer::Layer;
use super::{Error, MAX_LAYERS};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Registries take no larger manifest.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// The configuration of an image that runs nowhere. It is always the same, so that a layer can be added without a new one,
/// and has no history, which registries would count against the layers.
const CONTENT: &str = r#"{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;

pub(super) fn config() -> Blob {
    Blob::bytes(CONTENT)
}

/// What is under a tag.
pub(super) struct Layers {
    place: String,
    /// The manifest itself, with all that we do not know. `null` if there is none yet.
    document: Value,
    descriptors: Vec<Descriptor>,
}

impl Layers {
    /// Of a tag that is not there yet.
    pub(super) fn none(place: &impl ToString) -> Self {
        Self { place: place.to_string(), document: Value::Null, descriptors: Vec::new() }
    }

    pub(super) fn of(manifest: &Manifest) -> Result<Self, Error> {
        let Document::Image(image) = manifest.document()? else {
            return Err(Error::Malformed {
                place: manifest.reference.to_string(),
                reason: "an index stands where signatures or attestations belong; delete it".to_owned(),
            });
        };
        let document = serde_json::from_slice(&manifest.bytes).map_err(|error| Error::Malformed {
            place: manifest.reference.to_string(),
            reason: error.to_string(),
        })?;
        Ok(Self { place: manifest.reference.to_string(), document, descriptors: image.layers })
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.descriptors.iter()
    }

    /// Whether exactly this layer is there.
    pub(super) fn has(&self, layer: &Layer) -> bool {
        let digest = Digest::of(&layer.bytes);
        self.descriptors.iter().any(|there| {
            there.digest == digest
                && there.media_type == layer.media_type
                && layer.annotations.iter().all(|(key, value)| there.annotations.get(key) == Some(value))
        })
    }

    /// The manifest with further layers, in bytes.
    pub(super) fn with(&self, layers: &[&Layer]) -> Result<Vec<u8>, Error> {
        let config = config();
        let mut document = self.document.clone();
        if document.is_null() {
            document = json!({"schemaVersion": 2, "layers": []});
        }
        document["mediaType"] = MANIFEST.into();
        document["config"] =
            json!({"mediaType": CONFIG, "size": config.size(), "digest": config.digest().as_str()});
        let added = layers.iter().map(|layer| {
            json!({
                "mediaType": layer.media_type,
                "size": layer.bytes.len(),
                "digest": Digest::of(&layer.bytes).as_str(),
                "annotations": layer.annotations,
            })
        });
        match &mut document["layers"] {
            Value::Array(list) => list.extend(added),
            // `Layers::of` has read it as a list.
            other => *other = added.collect(),
        }
        let bytes = document.to_string().into_bytes();
        let count = self.descriptors.len() + layers.len();
        if count > MAX_LAYERS || bytes.len() > MAX_MANIFEST {
            let size = self.descriptors.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
            return Err(Error::TooMuch { place: self.place.clone(), count, size });
        }
        Ok(bytes)
    }

    pub(super) const MEDIA_TYPE: &str = MANIFEST;
}
