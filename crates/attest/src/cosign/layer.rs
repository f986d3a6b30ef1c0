//! A signature or attestation, as a layer.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use registry::Attached;

use crate::dsse::Envelope;
use crate::key::PublicKey;
use crate::signer::Certificate;

/// Media type of simple signing payloads.
const SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Media type of DSSE envelopes.
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// Of a signature: in base64. Of an attestation: there, and empty.
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
const CHAIN_ANNOTATION: &str = "dev.sigstore.cosign/chain";
const BUNDLE_ANNOTATION: &str = "dev.sigstore.cosign/bundle";
const PREDICATE_ANNOTATION: &str = "predicateType";

/// Two envelopes of one payload differ in their signatures, and those of ECDSA by a few bytes in their length.
const SIMILAR_SIZE: u64 = 16;

/// A layer under a tag of cosign's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Of a signature the payload, of an attestation the envelope.
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub annotations: BTreeMap<String, String>,
}

pub(super) fn media_type(kind: Attached) -> Option<&'static str> {
    match kind {
        Attached::Signature => Some(SIGNATURE),
        Attached::Attestation => Some(ENVELOPE),
        Attached::Sbom | Attached::Source => None,
    }
}

impl Layer {
    /// A signature of a payload of [`simple_signing`](crate::simple_signing).
    pub fn signature(payload: Vec<u8>, signature: &[u8], certificate: Option<&Certificate>) -> Self {
        let annotation = (SIGNATURE_ANNOTATION.to_owned(), BASE64.encode(signature));
        let annotations = [annotation].into_iter().chain(vouching(certificate)).collect();
        Self { bytes: payload, media_type: SIGNATURE.to_owned(), annotations }
    }

    pub fn attestation(envelope: &Envelope, predicate_type: &str, certificate: Option<&Certificate>) -> Self {
        let annotations = [
            (SIGNATURE_ANNOTATION.to_owned(), String::new()),
            (PREDICATE_ANNOTATION.to_owned(), predicate_type.to_owned()),
        ];
        let annotations = annotations.into_iter().chain(vouching(certificate)).collect();
        Self { bytes: envelope.to_bytes(), media_type: ENVELOPE.to_owned(), annotations }
    }

    /// With the proof that a transparency log has it, so that nobody has to ask the log.
    #[must_use]
    pub fn with_bundle(mut self, bundle: String) -> Self {
        self.annotations.insert(BUNDLE_ANNOTATION.to_owned(), bundle);
        self
    }

    /// What kind it is by its media type, of the two that there are.
    pub(crate) fn is(&self, kind: Attached) -> bool {
        media_type(kind) == Some(&self.media_type)
    }

    /// The signature of a payload; `None` if there is none that could be read.
    pub(crate) fn signature_bytes(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.annotations.get(SIGNATURE_ANNOTATION)?).ok().filter(|bytes| !bytes.is_empty())
    }

    /// Whether it is a signature by this key. Of what image it is, its payload says.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.is(Attached::Signature)
            && self.signature_bytes().is_some_and(|signature| key.verify(&self.bytes, &signature).is_ok())
    }

    /// PEM of the certificate of the key that signed.
    pub(crate) fn certificate(&self) -> Option<&str> {
        self.annotation(CERTIFICATE_ANNOTATION)
    }

    /// PEM of its issuers.
    pub(crate) fn chain(&self) -> Option<&str> {
        self.annotation(CHAIN_ANNOTATION)
    }

    /// JSON of the transparency log's proof.
    pub(crate) fn bundle(&self) -> Option<&str> {
        self.annotation(BUNDLE_ANNOTATION)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether `other`, of which the registry says so much, may say the same.
    pub(super) fn resembles(&self, other: &registry::Descriptor) -> bool {
        self.media_type == other.media_type && other.size.abs_diff(self.bytes.len() as u64) <= SIMILAR_SIZE
    }

    /// Whether `other` says the same and `key` signed it, be it by other bytes: signatures of ECDSA are never alike.
    ///
    /// That it was signed is looked at, not what it says of its key: whoever may push could have put there something that
    /// only looks like ours, and what is taken for ours is not written.
    pub(super) fn is_repeated_by(&self, other: &Self, key: &PublicKey) -> bool {
        if self.media_type != other.media_type {
            return false;
        }
        if self.is(Attached::Signature) {
            return self.bytes == other.bytes && other.is_signed_by(key);
        }
        let envelope = |layer: &Self| serde_json::from_slice::<Envelope>(&layer.bytes).ok();
        let (Some(ours), Some(theirs)) = (envelope(self), envelope(other)) else { return false };
        ours.payload_type == theirs.payload_type
            && ours.payload == theirs.payload
            && crate::dsse::verify(&theirs, &[key]).is_ok_and(|good| {
                // As ours names it: readers may look keys up by that.
                good.iter().any(|(signature, _)| signature.keyid == key.key_id())
            })
    }
}

fn vouching(certificate: Option<&Certificate>) -> impl Iterator<Item = (String, String)> + use<> {
    let annotations = certificate.map(|certificate| {
        [
            (CERTIFICATE_ANNOTATION.to_owned(), certificate.leaf.clone()),
            (CHAIN_ANNOTATION.to_owned(), certificate.chain.clone()),
        ]
    });
    annotations.into_iter().flatten().filter(|(_, pem)| !pem.is_empty())
}
