//! Keys of annotations on the kinds of this crate and on the runs that release-service starts.

use fleet_api::AnnotationKey;

/// Release and `ReleasePlan` annotation: the user name of which the label
/// [`AUTHOR`](crate::labels::AUTHOR) is the sanitised form. As immutable as that label.
pub const AUTHOR_USERNAME: AnnotationKey =
    AnnotationKey::new("release.appstudio.openshift.io/author-username");

/// `ReleasePlanAdmission` annotation: `true` starts the managed phase of a Release only when no older Release of
/// the same plan is in its own.
pub const SERIALIZE: AnnotationKey = AnnotationKey::new("release.appstudio.openshift.io/serialize");

/// Release annotation, copied to its `PipelineRuns`: the trace that they belong to.
pub const SPAN_CONTEXT: AnnotationKey = AnnotationKey::new("tekton.dev/pipelinerunSpanContext");

/// Annotations of a Release with this prefix are copied to its `PipelineRuns`; labels and annotations of a Snapshot
/// with it to the Release.
pub const PULL_REQUEST_PREFIX: &str = "pac.test.appstudio.openshift.io";

/// Labels and annotations of a Snapshot with this prefix are copied to the Release.
pub const PREFIX: &str = "appstudio.openshift.io";

/// `PipelineRun` annotation [`PRIMARY_RESOURCE_TYPE`](fleet_api::keys::PRIMARY_RESOURCE_TYPE) of runs of Releases.
pub const PRIMARY_RESOURCE_TYPE_RELEASE: &str = "Release.appstudio.redhat.com";
