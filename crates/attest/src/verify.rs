//! Whether an image is signed, and what is attested of it, by somebody who is trusted.
//!
//! ```text
//!   layers of .sig ─▶ signature by a trusted key? ─▶ logged? made while the key was in use? ─▶ about this image? ─▶ verified
//!   layers of .att ─▶ the same of each envelope ──────────────────────────────────────────▶ a subject is it? ──▶ verified
//! ```
//! What does not pass is dropped, and nothing left is a [`Refused`] that says why. Where an image lies does not matter: copies in
//! another repository stay valid.

mod refused;
mod trust;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use registry::{Attached, Digest};
use serde::Serialize;
use serde_json::Value;

use crate::cosign::Layer;
use crate::dsse::Envelope;
use crate::simple_signing::Payload;
use crate::statement::{self, Head};

pub use refused::{Cause, Refused};
pub use trust::{Checks, Content, Logged, TransparencyLog, Trust};

use refused::Refusal;
use trust::Signed;

/// Signatures of an envelope that are looked at.
const MAX_SIGNATURES: usize = 16;

/// Who signed. As reports and policies show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedSignature {
    /// Of the key that verified it, as [`PublicKey::key_id`](crate::PublicKey::key_id); with a certificate its subject key identifier in
    /// hexadecimal digits.
    pub keyid: String,
    /// Base64.
    pub sig: String,
    /// PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// PEM of each issuer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// What the certificate says, by readable names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// A statement about the image by somebody who is trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedAttestation {
    /// As it was signed, with all members.
    pub statement: Value,
    /// Those that were verified, at least one.
    pub signatures: Vec<VerifiedSignature>,
}

/// The good signatures among the `.sig` layers of the image with this manifest.
///
/// A signature without an entry in a log says nothing of when it was made: each key of the set is good for it whose time has begun.
pub async fn image_signatures(
    layers: &[Layer],
    image: &Digest,
    trust: &Trust,
    checks: &Checks<'_>,
) -> Result<Vec<VerifiedSignature>, Refused> {
    let mut good = Vec::new();
    let mut refusals = Vec::new();
    for layer in layers {
        match image_signature(layer, image, trust, checks).await {
            Ok(signature) => good.push(signature),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if good.is_empty() { Err(Refused::new(Attached::Signature, refusals)) } else { Ok(good) }
}

async fn image_signature(
    layer: &Layer,
    image: &Digest,
    trust: &Trust,
    checks: &Checks<'_>,
) -> Result<VerifiedSignature, Refusal> {
    let malformed = |reason: String| Refusal::new(Cause::Malformed, reason);
    if !layer.is(Attached::Signature) {
        return Err(malformed(format!("a layer of type {:?} is no image signature", layer.media_type)));
    }
    let signature = layer
        .signature_bytes()
        .ok_or_else(|| malformed("its signature is missing or no base64".to_owned()))?;
    let signed = Signed { layer, message: &layer.bytes, signature: &signature, content: Content::Payload };
    let verified = trust.verify(&signed, &|| None, checks).await?;
    let payload = Payload::parse(&layer.bytes).map_err(|error| malformed(error.to_string()))?;
    payload.claims(image).map_err(|error| Refusal::new(Cause::OtherImage, error.to_string()))?;
    Ok(verified)
}

/// The good attestations among the `.att` layers of the image with this manifest.
pub async fn attestations(
    layers: &[Layer],
    image: &Digest,
    trust: &Trust,
    checks: &Checks<'_>,
) -> Result<Vec<VerifiedAttestation>, Refused> {
    let mut good = Vec::new();
    let mut refusals = Vec::new();
    for layer in layers {
        match attestation(layer, image, trust, checks).await {
            Ok(attestation) => good.push(attestation),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if good.is_empty() { Err(Refused::new(Attached::Attestation, refusals)) } else { Ok(good) }
}

async fn attestation(
    layer: &Layer,
    image: &Digest,
    trust: &Trust,
    checks: &Checks<'_>,
) -> Result<VerifiedAttestation, Refusal> {
    let malformed = |reason: String| Refusal::new(Cause::Malformed, reason);
    if !layer.is(Attached::Attestation) {
        return Err(malformed(format!("a layer of type {:?} is no attestation", layer.media_type)));
    }
    let envelope: Envelope = serde_json::from_slice(&layer.bytes)
        .map_err(|error| malformed(format!("its envelope cannot be read: {error}")))?;
    if envelope.payload_type != statement::PAYLOAD_TYPE {
        return Err(malformed(format!(
            "its payload is of type {:?}, not an in-toto statement",
            envelope.payload_type
        )));
    }
    let message = envelope.signed_bytes();
    // A large document takes many times its size when it is read: not before somebody trusted has signed it.
    let statement: OnceLock<Result<Value, serde_json::Error>> = OnceLock::new();
    let stated = || {
        let read = statement.get_or_init(|| serde_json::from_slice(&envelope.payload)).as_ref();
        Some(read.ok().and_then(statement::finished_on).unwrap_or(checks.now))
    };
    let (mut signatures, mut refusals) = (Vec::new(), Vec::new());
    for signature in envelope.signatures.iter().take(MAX_SIGNATURES) {
        let signed =
            Signed { layer, message: &message, signature: &signature.sig, content: Content::Envelope };
        match trust.verify(&signed, &stated, checks).await {
            Ok(verified) => signatures.push(verified),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if signatures.is_empty() {
        let furthest = refusals.into_iter().max_by_key(Refusal::cause);
        return Err(furthest.unwrap_or_else(|| malformed("its envelope has no signature".to_owned())));
    }
    let statement = statement.into_inner().unwrap_or_else(|| serde_json::from_slice(&envelope.payload));
    let statement = statement.map_err(|error| malformed(format!("its statement cannot be read: {error}")))?;
    let head = Head::parse(&envelope.payload).map_err(|error| malformed(error.to_string()))?;
    let is_image =
        |subject: &statement::Subject| subject.digest.get("sha256").is_some_and(|hex| hex == image.hex());
    if !head.subject.iter().any(is_image) {
        let reason = format!("none of the statement's {} subjects is {image}", head.subject.len());
        return Err(Refusal::new(Cause::OtherImage, reason));
    }
    Ok(VerifiedAttestation { statement, signatures })
}

#[cfg(test)]
mod tests;
