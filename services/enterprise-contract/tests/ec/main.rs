//! `ec validate` against a registry: images that are signed and attested, and all that can be wrong with them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod acceptance;
mod functions;
mod hostile;
mod inputs;
mod load;
mod policies;
mod release_policy;
mod tampering;
mod world;
