//! Finalizers of pipelines-as-code.

use fleet_api::Finalizer;

/// On a `PipelineRun`: its place among those that go on at once has to be given to the next before it goes.
pub const PIPELINE_RUN: Finalizer = Finalizer::new("pipelinesascode.tekton.dev");
