//! Signatures and attestations of container images, as cosign writes and reads them.
//!
//! ```text
//!   statement + slsa ──bytes──▶ dsse::sign ─┐                                    ┌─▶ verify::attestations ─▶ statements
//!                              by a Signer  ├─▶ Layer ─▶ cosign::Store ─▶ layers ─┤        by Trust
//!   simple_signing ────bytes──▶ Signer ─────┘            (registry)              └─▶ verify::image_signatures
//! ```
//! Everything here fails closed: what cannot be read, found or asked is not signed and not verified.

pub mod certificate;
pub mod cosign;
pub mod dsse;
mod encoding;
pub mod fulcio;
#[cfg(test)]
mod fuzz;
mod key;
mod key_set;
pub mod rekor;
pub mod roots;
mod signer;
pub mod simple_signing;
pub mod slsa;
pub mod statement;
pub mod transparency;
pub mod tuf;
pub mod verify;

pub use key::{BadSignature, KeyError, PrivateKey, PublicKey};
pub use key_set::{BadKeySet, KeySet, TrustedKey};
pub use signer::{Certificate, SignError, Signer};
