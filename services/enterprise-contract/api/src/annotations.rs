//! Keys of annotations that rules look at.

use fleet_api::AnnotationKey;

/// Annotation of a Tekton Task: when it is trusted no more (RFC 3339).
pub const EXPIRES_ON: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/expires-on");
