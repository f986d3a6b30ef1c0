//! The client that services use, against a registry over TLS.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod copy;
mod pull;
mod push;
mod world;
