//! What an entry of the log is about: content, signature and key, in four ways to write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::dsse::Envelope;
use crate::key::{PublicKey, blocks};
use crate::verify::{Content, Logged};

/// What verifies a signature, as the log has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verifier {
    Key(PublicKey),
    /// DER.
    Certificate(Vec<u8>),
}

/// Whether an entry is about this signature, over this content, by this key or certificate.
pub(crate) fn matches(body: &[u8], logged: &Logged<'_>) -> Result<(), String> {
    let entry: Entry =
        serde_json::from_slice(body).map_err(|error| format!("its log entry cannot be read: {error}"))?;
    let is_same = match (entry, logged.content) {
        (Entry::Hashedrekord(HashedRekord { data, signature }), Content::Payload) => {
            data.hash.is_of(logged.bytes) && signature.is(logged)
        }
        (Entry::Intoto(InToto { content, public_key }), Content::Envelope) => {
            content.is(logged, public_key.as_deref())
        }
        (Entry::Dsse(Dsse { payload_hash, signatures }), Content::Envelope) => {
            payload_hash.is_of(&envelope(logged)?.payload) && signatures.iter().any(|one| one.is(logged))
        }
        _ => return Err("its log entry is of a kind that is not for such content".to_owned()),
    };
    if is_same { Ok(()) } else { Err("its log entry is about another signature, content or key".to_owned()) }
}

/// By `kind`; versions differ in members only.
#[derive(Deserialize)]
#[serde(tag = "kind", content = "spec", rename_all = "lowercase")]
enum Entry {
    Hashedrekord(HashedRekord),
    Intoto(InToto),
    Dsse(Dsse),
}

#[derive(Deserialize)]
struct HashedRekord {
    data: Data,
    signature: RekordSignature,
}

#[derive(Deserialize)]
struct Data {
    hash: Hash,
}

#[derive(Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RekordSignature {
    content: String,
    public_key: RekordKey,
}

#[derive(Deserialize)]
struct RekordKey {
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InToto {
    content: InTotoContent,
    /// Version 0.0.1; later ones have it with each signature.
    public_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoContent {
    /// Of the envelope.
    hash: Hash,
    payload_hash: Option<Hash>,
    /// Version 0.0.2, without the payload.
    envelope: Option<InTotoEnvelope>,
}

#[derive(Deserialize)]
struct InTotoEnvelope {
    #[serde(default)]
    signatures: Vec<InTotoSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoSignature {
    /// Base64 of base64.
    sig: String,
    public_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dsse {
    payload_hash: Hash,
    #[serde(default)]
    signatures: Vec<DsseSignature>,
}

#[derive(Deserialize)]
struct DsseSignature {
    signature: String,
    verifier: String,
}

impl Hash {
    fn is_of(&self, content: &[u8]) -> bool {
        self.algorithm == "sha256" && self.value == data_encoding::HEXLOWER.encode(&Sha256::digest(content))
    }
}

impl RekordSignature {
    fn is(&self, logged: &Logged<'_>) -> bool {
        is_signature(&self.content, logged) && is_verifier(&self.public_key.content, logged)
    }
}

impl InTotoContent {
    fn is(&self, logged: &Logged<'_>, key: Option<&str>) -> bool {
        match (key, &self.envelope) {
            // The envelope's hash covers its signatures.
            (Some(key), _) => self.hash.is_of(logged.bytes) && is_verifier(key, logged),
            (None, Some(in_log)) => {
                let payload = envelope(logged).map(|envelope| envelope.payload);
                let is_payload = payload
                    .is_ok_and(|payload| self.payload_hash.as_ref().is_some_and(|hash| hash.is_of(&payload)));
                is_payload && in_log.signatures.iter().any(|one| one.is(logged))
            }
            (None, None) => false,
        }
    }
}

impl InTotoSignature {
    fn is(&self, logged: &Logged<'_>) -> bool {
        let once = BASE64.decode(&self.sig).ok().and_then(|text| String::from_utf8(text).ok());
        once.is_some_and(|text| is_signature(&text, logged)) && is_verifier(&self.public_key, logged)
    }
}

impl DsseSignature {
    fn is(&self, logged: &Logged<'_>) -> bool {
        is_signature(&self.signature, logged) && is_verifier(&self.verifier, logged)
    }
}

fn envelope(logged: &Logged<'_>) -> Result<Envelope, String> {
    serde_json::from_slice(logged.bytes).map_err(|error| format!("its envelope cannot be read: {error}"))
}

fn is_signature(base64: &str, logged: &Logged<'_>) -> bool {
    BASE64.decode(base64).is_ok_and(|signature| signature == logged.signature)
}

fn is_verifier(base64: &str, logged: &Logged<'_>) -> bool {
    let pem = BASE64.decode(base64).ok().and_then(|pem| String::from_utf8(pem).ok());
    match pem.and_then(|pem| Verifier::from_pem(&pem)) {
        Some(Verifier::Key(key)) => logged.certificate.is_none() && key == *logged.key,
        Some(certificate) => logged.certificate.and_then(Verifier::from_pem) == Some(certificate),
        None => false,
    }
}

impl Verifier {
    /// The only block of a text.
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let mut blocks = blocks(pem).ok()?;
        match (blocks.pop(), blocks.is_empty()) {
            (Some(block), true) if block.label == "CERTIFICATE" => Some(Self::Certificate(block.content)),
            (Some(block), true) if block.label == "PUBLIC KEY" => {
                PublicKey::from_der(&block.content).ok().map(Self::Key)
            }
            _ => None,
        }
    }
}
