//! Private keys.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use fleet::Secret;

use super::{KeyError, PublicKey, encrypted, pem};

const PRIVATE_KEY: &str = "private key";
const LABEL: &str = "PRIVATE KEY";
const UNUSABLE: KeyError =
    KeyError::Internal("the cryptographic library does not use a key that it has read");

/// A key that signs.
///
/// By ECDSA over P-256 and RSA (PKCS #1 v1.5) over SHA-256, and by Ed25519: what every cosign verifies. By ECDSA over P-384 and
/// P-521 over SHA-384 and SHA-512: verifiers of this crate know that, cosign wants `--signature-digest-algorithm`.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
    /// PKCS #8.
    document: Secret<Vec<u8>>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
}

impl PrivateKey {
    /// A new key of P-256.
    pub fn generate() -> Result<Self, KeyError> {
        let failed = |_| KeyError::Internal("no key can be made: the system gives no randomness");
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(failed)?;
        Self::from_pkcs8(Secret::new(document.as_ref().to_vec()))
    }

    /// Reads the one `PRIVATE KEY` block (PKCS #8, not encrypted) of a text.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let block = pem::only(text, PRIVATE_KEY, LABEL)?;
        let content = Secret::new(block.content);
        let advice = match block.label.as_str() {
            LABEL => return Self::from_pkcs8(content),
            "EC PRIVATE KEY" | "RSA PRIVATE KEY" => "convert it with `openssl pkcs8 -topk8 -nocrypt`",
            label if encrypted::is_label(label) => "it is encrypted by a password, as cosign.key is",
            "ENCRYPTED PRIVATE KEY" => "decrypt it with `openssl pkcs8`, or use a key that cosign made",
            _ => "a private key in PKCS #8 is expected",
        };
        Err(KeyError::OtherPem { label: block.label, wanted: PRIVATE_KEY, advice })
    }

    /// Reads a key as cosign writes it to `cosign.key`.
    ///
    /// Deriving the key from the password takes tens of milliseconds and some 32 MiB: on a runtime, in `spawn_blocking`.
    pub fn from_encrypted(text: &str, password: &str) -> Result<Self, KeyError> {
        let block = pem::only(text, PRIVATE_KEY, encrypted::LABEL)?;
        if !encrypted::is_label(&block.label) {
            let advice = "cosign encrypts the keys that it makes; is this the right file?";
            return Err(KeyError::OtherPem { label: block.label, wanted: PRIVATE_KEY, advice });
        }
        Self::from_pkcs8(encrypted::decrypt(&block.content, password)?)
    }

    /// The key as cosign reads it, in PEM. As slow as [`Self::from_encrypted`].
    pub fn to_encrypted(&self, password: &str) -> Result<String, KeyError> {
        Ok(pem::encode(encrypted::LABEL, encrypted::encrypt(self.document.expose(), password)?))
    }

    fn from_pkcs8(document: Secret<Vec<u8>>) -> Result<Self, KeyError> {
        let der = document.expose();
        let ecdsa = [
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &ECDSA_P384_SHA384_ASN1_SIGNING,
            &ECDSA_P521_SHA512_ASN1_SIGNING,
        ];
        let pair = if let Some(pair) =
            ecdsa.into_iter().find_map(|algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der).ok())
        {
            Pair::Ecdsa(pair)
        } else if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            Pair::Ed25519(pair)
        } else if let Ok(pair) = rsa::KeyPair::from_pkcs8(der) {
            Pair::Rsa(pair)
        } else {
            let reason =
                "it is no PKCS #8 of ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 bits or more";
            return Err(KeyError::Malformed { wanted: PRIVATE_KEY, reason });
        };
        let public: PublicKeyX509Der<'_> = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
        }
        .map_err(|_| UNUSABLE)?;
        Ok(Self { public: PublicKey::from_der(public.as_ref())?, pair, document })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// ECDSA signatures are in ASN.1 DER.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        }
        .map_err(|_| UNUSABLE)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}
