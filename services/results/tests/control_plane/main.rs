//! The API server as its users see it: a real Kubernetes API server says who may, a real PostgreSQL keeps.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access;
mod discovery;
mod impersonation;
mod logs;
mod names;
mod no_logs;
mod outage;
mod pages;
mod parity;
mod revocation;
mod rights;
mod rows;
mod server;
mod size;
mod speed;
mod tls;
mod tokens;
mod upstream;
mod web;
