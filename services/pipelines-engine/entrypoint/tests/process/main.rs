//! Runs the program as a container would, with its places below a temporary folder.
//!
//! The tests use the program as cargo builds it for them. `ENTRYPOINT=<file>` has them use another one: the one that is
//! shipped, which has no standard library.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod credentials;
mod outcomes;
mod output;
mod pod;
mod results;
mod signals;
mod tools;
mod waiting;
