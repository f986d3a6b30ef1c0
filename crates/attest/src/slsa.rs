//! SLSA provenance: how an artifact was built, as the predicate of a statement.

pub mod v02;
pub mod v1;
