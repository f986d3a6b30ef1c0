//! What lies beside an image in the played registry, verified.

use attest::cosign::Store;
use attest::verify::{self, Checks, Trust, VerifiedAttestation, VerifiedSignature};
use attest::{KeySet, PublicKey};
use fleet::Clock;
use fleet::outbound::{self, Options};
use registry::{Attached, Digest, Keychain, Reference};
use serde_json::Value;

use crate::service::Service;

/// Reads as a consumer does.
pub(crate) struct Consumer {
    store: Store,
    key: PublicKey,
}

impl Service {
    /// Adds an image of the tenant to the registry, and returns its repository and digest.
    pub(crate) fn push_image(&self, name: &str) -> (String, String) {
        let repository = format!("{}/{name}", &*self.tenant);
        // Another one for each name.
        let digest = self.registry.push_image(&repository, "v1", &[("linux/amd64", &[name], &[])]);
        (format!("{}/{repository}", self.registry.address()), digest)
    }

    /// Adds an image for two platforms.
    pub(crate) fn push_index(&self, name: &str) -> (String, String) {
        let repository = format!("{}/{name}", &*self.tenant);
        let platforms: [(&str, &[&str], &[&str]); 2] =
            [("linux/amd64", &[name], &[]), ("linux/arm64", &[name], &[])];
        let digest = self.registry.push_image(&repository, "v1", &platforms);
        (format!("{}/{repository}", self.registry.address()), digest)
    }

    /// Who knows the key that the service has now.
    pub(crate) fn consumer(&self) -> anyhow::Result<Consumer> {
        let options = Options {
            allow: self.registry.address().parse().map_err(|error| anyhow::anyhow!("{error}"))?,
            ca_bundle: Some(self.folder.path().join("ca.crt")),
            ..Options::default()
        };
        let outbound =
            outbound::Client::new("consumer", options, Clock::system(), &prometheus::Registry::new())?;
        let store = Store::new(registry::Client::new(outbound));
        Ok(Consumer { store, key: self.key.public().clone() })
    }
}

impl Consumer {
    /// Layers under a tag of an image, whatever they are worth.
    pub(crate) async fn count(
        &self,
        repository: &str,
        digest: &str,
        kind: Attached,
    ) -> anyhow::Result<usize> {
        let image = pinned(repository, digest)?;
        Ok(self.store.layers(&image, kind, &Keychain::default()).await?.len())
    }

    /// Signatures that verify.
    pub(crate) async fn signatures(
        &self,
        repository: &str,
        digest: &str,
    ) -> anyhow::Result<Vec<VerifiedSignature>> {
        let (layers, digest) = self.layers(repository, digest, Attached::Signature).await?;
        Ok(verify::image_signatures(&layers, &digest, &self.trust(), &checks()).await?)
    }

    /// Attestations that verify.
    pub(crate) async fn attestations(
        &self,
        repository: &str,
        digest: &str,
    ) -> anyhow::Result<Vec<VerifiedAttestation>> {
        let (layers, digest) = self.layers(repository, digest, Attached::Attestation).await?;
        Ok(verify::attestations(&layers, &digest, &self.trust(), &checks()).await?)
    }

    /// Statements of attestations that verify.
    pub(crate) async fn statements(&self, repository: &str, digest: &str) -> anyhow::Result<Vec<Value>> {
        let attestations = self.attestations(repository, digest).await?;
        Ok(attestations.into_iter().map(|attestation| attestation.statement).collect())
    }

    async fn layers(
        &self,
        repository: &str,
        digest: &str,
        kind: Attached,
    ) -> anyhow::Result<(Vec<attest::cosign::Layer>, Digest)> {
        let image = pinned(repository, digest)?;
        let layers = self.store.layers(&image, kind, &Keychain::default()).await?;
        Ok((layers, digest.parse()?))
    }

    fn trust(&self) -> Trust {
        Trust::Keys(KeySet::from(self.key.clone()))
    }
}

fn checks() -> Checks<'static> {
    Checks { log: None, now: Clock::system().now() }
}

fn pinned(repository: &str, digest: &str) -> anyhow::Result<Reference> {
    Ok(repository.parse::<Reference>()?.at(digest.parse()?))
}
