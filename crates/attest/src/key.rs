//! Keys: what cosign, Chains and Enterprise Contract sign and verify with.

mod encrypted;
mod fingerprint;
mod pem;
mod private;
mod public;

pub use private::PrivateKey;
pub use public::{BadSignature, PublicKey};

pub(crate) use self::pem::blocks;

/// Why a key cannot be used. Never holds anything of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it holds no PEM block: a {wanted} begins with -----BEGIN {label}-----")]
    NoPem { wanted: &'static str, label: &'static str },
    #[error("its PEM cannot be read: {reason}")]
    BadPem { reason: String },
    #[error("it holds {count} PEM blocks where one {wanted} is expected")]
    Several { count: usize, wanted: &'static str },
    #[error("it is a PEM block {label:?}, but a {wanted} is expected: {advice}")]
    OtherPem { label: String, wanted: &'static str, advice: &'static str },
    #[error("it is no {wanted}: {reason}")]
    Malformed { wanted: &'static str, reason: &'static str },
    #[error(
        "{algorithm} keys are not supported: use ECDSA P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits"
    )]
    Unsupported { algorithm: String },
    #[error("the password does not open the private key")]
    WrongPassword,
    /// The library, or the system's source of randomness.
    #[error("{0}")]
    Internal(&'static str),
}

#[cfg(test)]
mod tests;
