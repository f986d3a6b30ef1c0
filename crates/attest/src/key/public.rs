//! Public keys.

use std::fmt;
use std::ops::RangeInclusive;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA256_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::fingerprint::{Material, fingerprint};
use super::pem::{self, Block};
use super::{KeyError, blocks};

const PUBLIC_KEY: &str = "public key";
const LABEL: &str = "PUBLIC KEY";
const RSA_BYTES: RangeInclusive<usize> = 2048 / 8..=8192 / 8;
/// First byte of a point that is not compressed (SEC 1).
const UNCOMPRESSED: u8 = 4;

/// A key that verifies signatures: ECDSA over P-256, P-384 or P-521, RSA (PKCS #1 v1.5) or Ed25519.
///
/// ECDSA and RSA signatures are over SHA-256. Of P-384 and P-521 also those over SHA-384 and SHA-512, which newer programs make.
#[derive(Clone)]
pub struct PublicKey {
    /// `SubjectPublicKeyInfo` (RFC 5280) as it was read.
    der: Vec<u8>,
    key_id: String,
    /// One for each digest that the signature may be over.
    verifiers: Vec<ParsedPublicKey>,
}

/// A signature that a key did not make over this content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature was not made by this key over this content")]
pub struct BadSignature;

impl PublicKey {
    /// Reads the one `PUBLIC KEY` block (`SubjectPublicKeyInfo`) of a text.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::from_block(&pem::only(text, PUBLIC_KEY, LABEL)?)
    }

    /// Reads all keys of a text; it may not hold anything else in PEM.
    pub(crate) fn all_from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        blocks(text)?.iter().map(Self::from_block).collect()
    }

    fn from_block(block: &Block) -> Result<Self, KeyError> {
        let advice = match block.label.as_str() {
            LABEL => return Self::from_der(&block.content),
            "CERTIFICATE" => "take the key out of it with `openssl x509 -pubkey -noout`",
            "RSA PUBLIC KEY" => "convert it with `openssl rsa -RSAPublicKey_in -pubout`",
            label if label.ends_with("PRIVATE KEY") => "this is the secret half; give the public one",
            _ => "cosign writes it into the file cosign.pub",
        };
        Err(KeyError::OtherPem { label: block.label.clone(), wanted: PUBLIC_KEY, advice })
    }

    /// Reads a `SubjectPublicKeyInfo` in DER.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = |reason| KeyError::Malformed { wanted: PUBLIC_KEY, reason };
        let (rest, info) =
            SubjectPublicKeyInfo::from_der(der).map_err(|_| malformed("its DER cannot be read"))?;
        if !rest.is_empty() {
            return Err(malformed("something follows its DER"));
        }
        let bits: &[u8] = &info.subject_public_key.data;
        let algorithm = &info.algorithm.algorithm;
        let (material, algorithms): (_, &[&'static dyn VerificationAlgorithm]) =
            if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
                if bits.first() != Some(&UNCOMPRESSED) {
                    return Err(malformed("its point is compressed or none"));
                }
                let curve = info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
                let curve = curve.ok_or_else(|| malformed("it names no curve"))?;
                if curve == OID_EC_P256 {
                    (Material::Ec { curve: "nistp256", point: bits }, &[&ECDSA_P256_SHA256_ASN1])
                } else if curve == OID_NIST_EC_P384 {
                    let algorithms: &[&'static dyn VerificationAlgorithm] =
                        &[&ECDSA_P384_SHA256_ASN1, &ECDSA_P384_SHA384_ASN1];
                    (Material::Ec { curve: "nistp384", point: bits }, algorithms)
                } else if curve == OID_NIST_EC_P521 {
                    let algorithms: &[&'static dyn VerificationAlgorithm] =
                        &[&ECDSA_P521_SHA256_ASN1, &ECDSA_P521_SHA512_ASN1];
                    (Material::Ec { curve: "nistp521", point: bits }, algorithms)
                } else {
                    return Err(KeyError::Unsupported { algorithm: format!("ECDSA (curve {curve})") });
                }
            } else if *algorithm == OID_PKCS1_RSAENCRYPTION {
                let (rest, key) =
                    RSAPublicKey::from_der(bits).map_err(|_| malformed("its RSA key cannot be read"))?;
                if !rest.is_empty() {
                    return Err(malformed("something follows its RSA key"));
                }
                // Leading zeros keep the number positive.
                let size = key.modulus.iter().skip_while(|byte| **byte == 0).count();
                if !RSA_BYTES.contains(&size) {
                    return Err(KeyError::Unsupported { algorithm: format!("RSA (of {} bits)", size * 8) });
                }
                let material = Material::Rsa { modulus: key.modulus, exponent: key.exponent };
                (material, &[&RSA_PKCS1_2048_8192_SHA256])
            } else if *algorithm == OID_SIG_ED25519 {
                (Material::Ed25519(bits), &[&ED25519])
            } else {
                return Err(KeyError::Unsupported { algorithm: algorithm.to_id_string() });
            };
        let verifiers: Vec<ParsedPublicKey> = algorithms
            .iter()
            .map(|algorithm| ParsedPublicKey::new(*algorithm, bits))
            .collect::<Result<_, _>>()
            .map_err(|_| malformed("its numbers are none of a key"))?;
        // One key has one form: what compares keys by it is not to be fooled.
        let is_canonical =
            |key: &ParsedPublicKey| key.as_der().is_ok_and(|canonical| canonical.as_ref() == der);
        if !verifiers.iter().all(is_canonical) {
            return Err(malformed("its DER is not in the only form that it may have"));
        }
        Ok(Self { key_id: fingerprint(&material), verifiers, der: der.to_vec() })
    }

    pub fn to_pem(&self) -> String {
        pem::encode(LABEL, self.der.clone())
    }

    /// `SHA256:` and the unpadded base64 of the SHA-256 of the key in SSH's wire form (RFC 4253): what `ssh-keygen -l` prints, and
    /// envelopes name the key by.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// ECDSA signatures are in ASN.1 DER.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let is_good = |key: &ParsedPublicKey| key.verify_sig(message, signature).is_ok();
        if self.verifiers.iter().any(is_good) { Ok(()) } else { Err(BadSignature) }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.key_id).finish()
    }
}
