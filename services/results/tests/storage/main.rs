//! Stored logs, as files and in a real S3 server; and the calls of the service `Logs` over a real database.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod bytes_of_logs;
mod object_store;
mod place;
mod service;
