//! Stores beside the image in its registry, or in one repository for all (specification, section 4.9).

use attest::cosign::{Layer, Store};
use attest::statement::Subject;
use futures::future::{BoxFuture, FutureExt as _};
use registry::{Digest, Keychain, Reference};

use super::{Annotations, Content, Signed, Storage, StoreError};

pub(crate) struct Oci {
    store: Store,
    /// Where all goes instead of the image's repository.
    repository: Option<Reference>,
}

impl Oci {
    pub(crate) fn new(store: Store, repository: Option<Reference>) -> Self {
        Self { store, repository }
    }

    async fn put(&self, signed: &Signed, keychain: &Keychain) -> Result<Annotations, StoreError> {
        let (certificate, to) = (signed.certificate.as_ref(), self.repository.as_ref());
        let bundled = |layer: Layer| match &signed.bundle {
            Some(bundle) => layer.with_bundle(bundle.clone()),
            None => layer,
        };
        match &signed.content {
            Content::Statement { envelope, predicate_type, subjects } => {
                let layer = [bundled(Layer::attestation(envelope, predicate_type, certificate))];
                let images: Vec<_> = subjects.iter().filter_map(image).collect();
                if images.is_empty() {
                    tracing::debug!(
                        key = signed.key,
                        "No subject is an image, so there is no place for it in a registry"
                    );
                }
                for image in images {
                    self.store.append_attestations(&image, to, &layer, &signed.signer, keychain).await?;
                }
            }
            Content::Image { image, payload, signature } => {
                let repository: Reference = image.repository.parse()?;
                let layer = [bundled(Layer::signature(payload.clone(), signature, certificate))];
                let image = repository.at(image.digest.clone());
                self.store.append_signatures(&image, to, &layer, &signed.signer, keychain).await?;
            }
        }
        Ok(Annotations::new())
    }
}

impl Storage for Oci {
    fn store<'a>(
        &'a self,
        signed: &'a Signed,
        keychain: &'a Keychain,
    ) -> BoxFuture<'a, Result<Annotations, StoreError>> {
        self.put(signed, keychain).boxed()
    }
}

/// A subject as an image at a digest; `None` for what lies in no registry.
fn image(subject: &Subject) -> Option<Reference> {
    let digest: Digest = format!("sha256:{}", subject.digest.get("sha256")?).parse().ok()?;
    let has_registry = subject
        .name
        .split_once('/')
        .is_some_and(|(host, _)| host == "localhost" || host.contains(['.', ':']));
    let repository: Reference = subject.name.parse().ok().filter(|_| has_registry)?;
    Some(repository.at(digest))
}
