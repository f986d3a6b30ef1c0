//! Who signs: a key in memory, a key management service, or a key of one moment that a certificate vouches for.

use futures::future::{self, BoxFuture, FutureExt as _};

use crate::key::{PrivateKey, PublicKey};

/// Makes signatures that [`Self::public_key`] verifies.
pub trait Signer: Send + Sync {
    /// The signature of `message`, ECDSA's in ASN.1 DER.
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>>;

    fn public_key(&self) -> &PublicKey;

    /// What vouches for the key, where verifiers do not know it beforehand.
    fn certificate(&self) -> Option<&Certificate>;
}

/// A certificate of a signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM.
    pub leaf: String,
    /// PEM of the issuers, the leaf's own first.
    pub chain: String,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[error("{signer} does not sign: {reason}")]
pub struct SignError {
    /// Of the key or the service.
    pub signer: String,
    pub reason: String,
    /// Whether the same may work in a moment, with nothing changed by anybody.
    pub is_transient: bool,
}

impl Signer for PrivateKey {
    fn sign<'a>(&'a self, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        let signed = self.sign(message).map_err(|error| SignError {
            signer: format!("key {}", self.public().key_id()),
            reason: error.to_string(),
            is_transient: false,
        });
        future::ready(signed).boxed()
    }

    fn public_key(&self) -> &PublicKey {
        self.public()
    }

    fn certificate(&self) -> Option<&Certificate> {
        None
    }
}
