//! The API server as its users see it: a real Kubernetes API server says who may, a real PostgreSQL keeps.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access;
mod impersonation;
mod logs;
mod outage;
mod parity;
mod rows;
mod server;
mod tls;
