//! Tekton objects as files and requests hold them: read, decoded, and converted between versions.
//!
//! ```text
//! file    ─▶ documents ─▶ decode::object ─┐
//! text    ─▶ decode::lenient ─────────────┼─▶ conversion ─▶ a type of `pipelines_engine_api`, of version v1
//! request ─▶ decode::normalise, typed ────┘
//! bundle  ─▶ layer::unpack ─▶ file
//! ```

pub mod conversion;
pub mod decode;
pub mod documents;
pub mod layer;

pub use documents::{Document, documents};
