//! Configuration, catalog and writes against the cluster.

pub mod catalog;
pub mod configuration;
pub mod delivery;
pub mod merge;
pub mod surroundings;
pub mod writes;
