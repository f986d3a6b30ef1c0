//! Keys of annotations that rules look at.

use fleet_api::AnnotationKey;

/// Annotation of a Tekton Task: when it is trusted no more (RFC 3339).
pub const EXPIRES_ON: AnnotationKey = AnnotationKey::new("build.appstudio.redhat.com/expires-on");

/// Annotation of a layer of a Tekton bundle: [`BUNDLE_KIND_TASK`] or another kind, in small letters.
pub const BUNDLE_KIND: &str = "dev.tekton.image.kind";

/// Value of [`BUNDLE_KIND`].
pub const BUNDLE_KIND_TASK: &str = "task";

/// Annotation of an image: name of the image that it was built on.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";

/// Annotation of an image: digest of the image that it was built on.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
