//! Checks signatures and attestations of images, each image once for the same signers.

use std::sync::Arc;

use attest::cosign::{Layer, Store};
use attest::verify::{self, Checks};
use fleet::Clock;
use registry::{Attached, Digest, Reference};
use serde_json::{Value, json};

use crate::image::{Flights, Library};
use crate::policy::{Expected, Signers, Sigstore};

/// Bytes of layers, and of what was verified by the wish of rules, that are kept.
const KEPT: usize = 32 * 1024 * 1024;

/// What somebody attests of an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attested {
    /// As it was signed.
    pub(super) statement: Value,
    pub(super) signatures: Vec<Value>,
}

type Layers = Result<Arc<Vec<Layer>>, String>;
/// A list; or why nothing was verified.
type Answer = Result<Arc<Value>, String>;

pub(super) struct Verification {
    library: Library,
    store: Store,
    /// Of the policy.
    signers: Signers,
    sigstore: Sigstore,
    clock: Clock,
    layers: Flights<(Reference, Attached), Layers>,
    answers: Flights<(Reference, Attached, String), Answer>,
}

impl Verification {
    pub(super) fn new(library: Library, signers: Signers, sigstore: Sigstore, clock: Clock) -> Self {
        Self {
            store: Store::new(library.client().clone()),
            library,
            signers,
            sigstore,
            clock,
            layers: Flights::new(KEPT),
            answers: Flights::new(KEPT),
        }
    }

    pub(super) fn signers(&self) -> &Signers {
        &self.signers
    }

    /// Who signed the image, of those who are trusted; or why nobody is found.
    pub(super) async fn signatures(&self, image: &Reference) -> Result<Vec<Value>, String> {
        self.signatures_by(image, &self.signers).await
    }

    /// What is attested of the image by those who are trusted, at least one statement; or why there is none.
    pub(super) async fn attestations(&self, image: &Reference) -> Result<Vec<Attested>, String> {
        self.attestations_by(image, &self.signers).await
    }

    /// As [`signatures`](Self::signatures), with the signers that a rule names.
    pub(super) async fn signatures_as(&self, image: &Reference, expected: Expected) -> Answer {
        let verify = async |signers: Signers| Ok(json!(self.signatures_by(image, &signers).await?));
        self.answer(image, Attached::Signature, expected, verify).await
    }

    /// As [`attestations`](Self::attestations), with the signers that a rule names: `{statement, signatures}` of each.
    pub(super) async fn attestations_as(&self, image: &Reference, expected: Expected) -> Answer {
        let verify = async |signers: Signers| {
            let attested = self.attestations_by(image, &signers).await?;
            Ok(attested.iter().map(Attested::value).collect())
        };
        self.answer(image, Attached::Attestation, expected, verify).await
    }

    async fn answer(
        &self,
        image: &Reference,
        kind: Attached,
        expected: Expected,
        verify: impl AsyncFnOnce(Signers) -> Result<Value, String>,
    ) -> Answer {
        let key = (image.clone(), kind, json!(expected).to_string());
        let ask = async {
            // Rules name keys by their text only: they have no business with files and Secrets.
            let signers =
                Signers::with_key_text(expected, &self.sigstore).map_err(|error| error.to_string())?;
            verify(signers).await.map(Arc::new)
        };
        self.answers.get(key, ask, |answer| answer.as_ref().map_or(0, |value| value.to_string().len())).await
    }

    async fn signatures_by(&self, image: &Reference, signers: &Signers) -> Result<Vec<Value>, String> {
        let layers = self.layers(image, Attached::Signature).await?;
        let checks = self.checks(signers);
        let verified = verify::image_signatures(&layers, digest(image)?, &signers.trust, &checks);
        let verified = Box::pin(verified).await.map_err(|refused| refused.to_string())?;
        Ok(verified.iter().map(|signature| json!(signature)).collect())
    }

    async fn attestations_by(&self, image: &Reference, signers: &Signers) -> Result<Vec<Attested>, String> {
        let layers = self.layers(image, Attached::Attestation).await?;
        let checks = self.checks(signers);
        let verified = verify::attestations(&layers, digest(image)?, &signers.trust, &checks);
        let verified = Box::pin(verified).await.map_err(|refused| refused.to_string())?;
        let attested = verified.into_iter().map(|attestation| Attested {
            signatures: attestation.signatures.iter().map(|signature| json!(signature)).collect(),
            statement: attestation.statement,
        });
        Ok(attested.collect())
    }

    fn checks<'a>(&self, signers: &'a Signers) -> Checks<'a> {
        Checks { log: signers.log.as_deref(), now: self.clock.now() }
    }

    async fn layers(&self, image: &Reference, kind: Attached) -> Layers {
        let fetch = async {
            let layers = Box::pin(self.store.layers(image, kind, self.library.keychain()));
            layers.await.map(Arc::new).map_err(|error| error.to_string())
        };
        let weigh = |layers: &Layers| {
            layers.as_ref().map_or(0, |layers| layers.iter().map(|layer| layer.bytes.len()).sum())
        };
        self.layers.get((image.clone(), kind), fetch, weigh).await
    }
}

impl Attested {
    pub(super) fn value(&self) -> Value {
        json!({"statement": self.statement, "signatures": self.signatures})
    }
}

fn digest(image: &Reference) -> Result<&Digest, String> {
    image.digest().ok_or_else(|| format!("{image} has no digest"))
}
