//! The engine against a real API server. Numbers in the names of tests are those of the acceptance scenarios of the runtime
//! specification (section 7).

#![expect(clippy::large_futures, reason = "runs are large types, and a test waits for them one at a time")]

mod bad_input;
mod bounds;
mod bystanders;
mod crash;
mod faults;
mod features;
mod guard;
mod images;
mod load;
mod pipelines;
mod quota;
mod remote;
mod resolution;
mod resolvers;
mod rights;
mod service;
mod tasks;
mod webhook;
mod workspaces;
