//! Finalizers of release-service.

use fleet_api::Finalizer;

/// On a Release: its bindings, roles and runs are removed before it goes. On a `PipelineRun` of a Release: it is
/// looked at before it goes.
pub const RELEASE: Finalizer = Finalizer::new("appstudio.redhat.com/release-finalizer");
