//! The engine against a real API server. Numbers in the names of tests are those of the acceptance scenarios of the runtime
//! specification (section 7).

#![expect(clippy::large_futures, reason = "runs are large types, and a test waits for them one at a time")]

mod resolution;
mod rights;
mod runs;
mod service;
mod webhook;
