//! The pipelines to choose from where there is no selector: what the ConfigMap `build-pipeline-config` holds.
//!
//! ```yaml
//! default-pipeline-name: docker-build
//! pipelines:
//!   - name: docker-build
//!     bundle: images.example.com/pipelines/docker-build:1
//!     additional-params: [hermetic]
//! ```

use serde::{Deserialize, Serialize};

/// The pipelines to choose from. Written by platform teams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PipelineConfig {
    /// The one for Components that name none.
    #[serde(default)]
    pub default_pipeline_name: String,
    #[serde(default)]
    pub pipelines: Vec<ConfiguredPipeline>,
}

/// A pipeline to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfiguredPipeline {
    #[serde(default)]
    pub name: String,
    /// Image that holds it. What `latest` means in a [`PipelineChoice`](crate::request::PipelineChoice).
    #[serde(default)]
    pub bundle: String,
    /// Parameters of the pipeline that are copied, with its own defaults, into each run that is proposed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_params: Vec<String>,
}
