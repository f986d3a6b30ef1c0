//! Keyless signatures: certificates, logs and their clients, against a sigstore of our own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod certificates;
mod clients;
mod logs;
mod roots;
mod service;
mod sigstore;
mod tuf;
mod witness;
