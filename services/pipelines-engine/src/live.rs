//! Configuration, catalog and writes against the cluster.

pub mod catalog;
pub mod configuration;
pub mod delivery;
pub mod keeper;
pub mod logs;
pub mod merge;
pub mod registry_cert;
pub mod surroundings;
pub mod writes;
