//! Which pipeline builds a Component, and what is in it.

pub(crate) mod bundle;
mod config;
mod select;

use build_service_api::build_pipeline_selector::PipelineParam;

pub(crate) use config::{Choice, choose};
pub(crate) use select::{Subject, select};

/// The pipeline that was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selected {
    /// Name in the bundle.
    pub(crate) name: String,
    /// Image that holds it.
    pub(crate) bundle: String,
    /// Parameters of the run, which win over those that the service sets.
    pub(crate) params: Vec<PipelineParam>,
    /// Parameters that are copied with the pipeline's own defaults into what is proposed.
    pub(crate) copied: Vec<String>,
}
