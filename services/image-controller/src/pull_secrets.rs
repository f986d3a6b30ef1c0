//! Secrets that pull more than one repository, where each Component has an account of its own: one for each Application, for
//! integration tests, and one for each namespace.

pub(crate) mod application;
pub(crate) mod namespace;
