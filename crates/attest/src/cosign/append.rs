//! Adds signatures and attestations to those that are there.
//!
//! ```text
//!   push blobs ─▶ read the tag ─▶ what of ours is not there? ─▶ push manifest ─▶ read again: are ours there? ─▶ done
//!                       ▲           none ─▶ done                                    └─ no: somebody else won
//!                       └──────────────────────────────────────────────────────────────────┘
//! ```
//! Registries know no conditional write. Writers within one process take turns; a writer elsewhere can come between our reading
//! and our writing, and its layer is lost if it does not look again, as ours would be.

use std::time::Duration;

use rand::Rng as _;
use registry::{Attached, Blob, Keychain, Reference};

use super::layer::Layer;
use super::manifest::{Layers, config};
use super::{Error, MAX_LAYER, Store, place};
use crate::key::PublicKey;

/// How often a manifest is pushed before it is given up.
const ATTEMPTS: u32 = 5;
/// Between two of them, twice as long each time, give or take a half: two that collide should not do so again.
const PAUSE: Duration = Duration::from_millis(50);
/// Layers that are read to see whether one says what ours does.
const MAX_COMPARED: usize = 8;

/// What became of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    Added,
    /// The same was there, signed by the same key.
    WasThere,
}

impl Store {
    /// Adds signatures of an image that is named by its digest, which `key` verifies, and says of each what became of it.
    ///
    /// They go beside the image, or to the repository `to`. Two requests for each layer, and three, or one if all were there;
    /// up to three more the first time in a repository.
    pub async fn append_signatures(
        &self,
        image: &Reference,
        to: Option<&Reference>,
        layers: &[Layer],
        key: &PublicKey,
        keychain: &Keychain,
    ) -> Result<Vec<Appended>, Error> {
        self.append(place(image, to.unwrap_or(image), Attached::Signature)?, layers, key, keychain).await
    }

    /// Adds attestations. As [`Self::append_signatures`].
    pub async fn append_attestations(
        &self,
        image: &Reference,
        to: Option<&Reference>,
        layers: &[Layer],
        key: &PublicKey,
        keychain: &Keychain,
    ) -> Result<Vec<Appended>, Error> {
        self.append(place(image, to.unwrap_or(image), Attached::Attestation)?, layers, key, keychain).await
    }

    async fn append(
        &self,
        place: Reference,
        layers: &[Layer],
        key: &PublicKey,
        keychain: &Keychain,
    ) -> Result<Vec<Appended>, Error> {
        if let Some(large) = layers.iter().find(|layer| layer.bytes.len() as u64 > MAX_LAYER) {
            let size = large.bytes.len() as u64;
            return Err(Error::TooMuch { place: place.to_string(), count: 1, size });
        }
        let _turn = self.places.turn(&place.to_string()).await;
        // Before the tag is read: what is between that and writing it is when somebody else's layer can get lost.
        for layer in layers {
            let blob = Blob::bytes(layer.bytes.clone());
            self.client.push_new_blob(&place, &blob, keychain).await?;
        }
        let mut there = self.there(&place, keychain).await?;
        let mut outcomes = Vec::with_capacity(layers.len());
        let mut missing: Vec<&Layer> = Vec::new();
        for layer in layers {
            if self.is_there(&there, &place, layer, key, keychain).await? {
                outcomes.push(Appended::WasThere);
            } else {
                outcomes.push(Appended::Added);
                missing.push(layer);
            }
        }
        for attempt in 1..=ATTEMPTS {
            if missing.is_empty() {
                return Ok(outcomes);
            }
            if attempt > 1 {
                tokio::time::sleep(pause(attempt)).await;
                there = self.there(&place, keychain).await?;
            }
            self.put(&place, &there.with(&missing)?, keychain).await?;
            let now = self.there(&place, keychain).await?;
            missing.retain(|layer| !now.has(layer));
        }
        if missing.is_empty() {
            return Ok(outcomes);
        }
        Err(Error::Contended { place: place.to_string(), attempts: ATTEMPTS })
    }

    async fn there(&self, place: &Reference, keychain: &Keychain) -> Result<Layers, Error> {
        match self.manifest(place, keychain).await? {
            Some(manifest) => Layers::of(&manifest),
            None => Ok(Layers::none(place)),
        }
    }

    /// Whether what a layer says is there already, said by the same key. If that cannot be found out, it is not.
    async fn is_there(
        &self,
        there: &Layers,
        place: &Reference,
        layer: &Layer,
        key: &PublicKey,
        keychain: &Keychain,
    ) -> Result<bool, Error> {
        if there.has(layer) {
            return Ok(true);
        }
        let similar = there.descriptors().filter(|other| layer.resembles(other)).take(MAX_COMPARED);
        for other in similar {
            let limit = other.size.min(MAX_LAYER);
            let bytes = match self.client.blob(place, &other.digest, limit, keychain).await {
                Ok(bytes) => bytes,
                Err(error) if error.is_transient() => return Err(error.into()),
                // Whoever pushed it broke it.
                Err(_) => continue,
            };
            let media_type = other.media_type.clone();
            let other = Layer { bytes, media_type, annotations: other.annotations.clone() };
            if layer.is_repeated_by(&other, key) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Pushes a manifest and, unless it is there, the configuration that all manifests share.
    async fn put(&self, place: &Reference, manifest: &[u8], keychain: &Keychain) -> Result<(), Error> {
        let repository = place.name();
        let was_configured = self.places.is_configured(&repository);
        if !was_configured {
            self.client.push_blob(place, &config(), keychain).await?;
        }
        let mut pushed =
            self.client.push_manifest(place, Layers::MEDIA_TYPE, manifest.to_vec(), keychain).await;
        // The registry has forgotten what we remembered.
        if was_configured
            && let Err(registry::Error::NotFound { .. } | registry::Error::Invalid { .. }) = pushed
        {
            self.places.forget_configured(&repository);
            self.client.push_blob(place, &config(), keychain).await?;
            pushed = self.client.push_manifest(place, Layers::MEDIA_TYPE, manifest.to_vec(), keychain).await;
        }
        pushed?;
        self.places.remember_configured(repository);
        Ok(())
    }
}

fn pause(attempt: u32) -> Duration {
    (PAUSE * 2_u32.saturating_pow(attempt)).mul_f64(rand::rng().random_range(0.5..1.5))
}
