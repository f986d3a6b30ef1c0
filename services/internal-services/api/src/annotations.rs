//! Values of annotations on the runs that internal-services starts.

/// `PipelineRun` annotation [`PRIMARY_RESOURCE_TYPE`](fleet_api::keys::PRIMARY_RESOURCE_TYPE) of runs of
/// `InternalRequests`.
pub const PRIMARY_RESOURCE_TYPE_REQUEST: &str = "InternalRequest.appstudio.redhat.com";
