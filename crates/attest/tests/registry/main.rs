//! Signatures and attestations in registries, with cosign itself as the witness.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod append;
mod hostile;
mod witness;
mod world;
