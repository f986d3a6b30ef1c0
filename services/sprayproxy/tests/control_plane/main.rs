//! The acceptance scenarios of the specification: sprayproxy over real sockets, with back ends that are played here.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod backend;
mod limits;
mod process;
mod proxy;
mod registration;
mod requests;
mod retries;
mod tls;
