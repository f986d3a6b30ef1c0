//! Finalizers of internal-services.

use fleet_api::Finalizer;

/// On an `InternalRequest`: its run is cancelled before it goes.
pub const PIPELINE_RUN_CLEANUP: Finalizer =
    Finalizer::new("internal-services.appstudio.openshift.io/pipelinerun-cleanup");
