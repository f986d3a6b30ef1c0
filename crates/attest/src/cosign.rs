//! Signatures and attestations beside an image in its registry, where cosign has them: a manifest under the tag `sha256-<hex>.sig`
//! or `.att`, with a layer for each.
//!
//! ```text
//!   repo@sha256:abc…          the image
//!   repo:sha256-abc….sig      a layer: simple signing payload   annotation: its signature, certificate, chain, log bundle
//!   repo:sha256-abc….att      a layer: DSSE envelope            annotations: certificate, chain, log bundle, predicate type
//! ```
//! Anyone who may push to the repository may write there: a layer is worth what [`verify`](crate::verify) says of it.

mod append;
mod layer;
mod manifest;
mod places;

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use registry::{Attached, Client, Keychain, Manifest, Reference};

pub use append::Appended;
pub use layer::Layer;

use manifest::Layers;
use places::Places;

/// More layers than this are neither read nor written.
const MAX_LAYERS: usize = 256;
/// Bytes of a layer. Attestations hold whole SBOMs.
const MAX_LAYER: u64 = 16 * 1024 * 1024;
/// Bytes of all layers under one tag.
const MAX_LAYERS_SIZE: u64 = 64 * 1024 * 1024;
/// Layers that are read at once.
const TOGETHER: usize = 4;

/// Reads and writes signatures and attestations. Cheap to clone; clones take turns at writing to a tag.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    places: Arc<Places>,
}

/// Why signatures or attestations were not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("{image}: name the image by its digest: a tag may be another image at any moment")]
    NotPinned { image: String },
    #[error("{place}: {reason}")]
    Malformed { place: String, reason: String },
    #[error(
        "{place} has {count} layers, or layers of {size} bytes: no more than {MAX_LAYERS} and {MAX_LAYERS_SIZE} bytes are taken, and {MAX_LAYER} bytes of each"
    )]
    TooMuch { place: String, count: usize, size: u64 },
    #[error("{place}: somebody else wrote there each of the {attempts} times that we did")]
    Contended { place: String, attempts: u32 },
}

impl Error {
    /// Whether the same may work in a moment, with nothing changed by anybody.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Contended { .. } => true,
            Self::NotPinned { .. } | Self::Malformed { .. } | Self::TooMuch { .. } => false,
        }
    }
}

impl Store {
    pub fn new(client: Client) -> Self {
        Self { client, places: Arc::default() }
    }

    /// All signatures or attestations of an image that is named by its digest, as somebody put them there: none if there is no such
    /// tag. Layers of other media types are passed over.
    pub async fn layers(
        &self,
        image: &Reference,
        kind: Attached,
        keychain: &Keychain,
    ) -> Result<Vec<Layer>, Error> {
        let place = place(image, image, kind)?;
        let Some(manifest) = self.manifest(&place, keychain).await? else { return Ok(Vec::new()) };
        let layers = Layers::of(&manifest)?;
        let wanted: Vec<_> = layers
            .descriptors()
            .filter(|layer| layer::media_type(kind).is_none_or(|media_type| media_type == layer.media_type))
            .collect();
        let size = wanted.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        let is_large = |layer: &&registry::Descriptor| layer.size > MAX_LAYER;
        if wanted.len() > MAX_LAYERS || size > MAX_LAYERS_SIZE || wanted.iter().any(is_large) {
            return Err(Error::TooMuch { place: place.to_string(), count: wanted.len(), size });
        }
        let read = wanted.into_iter().map(async |layer| {
            let bytes = self.client.blob(&place, &layer.digest, layer.size, keychain).await?;
            Ok(Layer { bytes, media_type: layer.media_type.clone(), annotations: layer.annotations.clone() })
        });
        futures::stream::iter(read).buffered(TOGETHER).try_collect().await
    }

    /// What is under the tag now.
    async fn manifest(&self, place: &Reference, keychain: &Keychain) -> Result<Option<Manifest>, Error> {
        match self.client.manifest(place, keychain).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(registry::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The tag for what is said of `image`, in a repository.
fn place(image: &Reference, repository: &Reference, kind: Attached) -> Result<Reference, Error> {
    let digest = image.digest().ok_or_else(|| Error::NotPinned { image: image.to_string() })?;
    Ok(kind.reference(repository, digest))
}
