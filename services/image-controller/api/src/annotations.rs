//! Keys of annotations.

use fleet_api::AnnotationKey;

/// ImageRepository annotation: `true` has the Component take the repository as its image, once. Removed then.
pub const UPDATE_COMPONENT_IMAGE: AnnotationKey =
    AnnotationKey::new("image-controller.appstudio.redhat.com/update-component-image");

/// ImageRepository annotation: `true` once the account that pulls all image repositories of the namespace can
/// pull this one. Taking it away has that done again.
pub const NAMESPACE_PULL_SECRET_ENSURED: AnnotationKey =
    AnnotationKey::new("image-controller.appstudio.redhat.com/namespace-pull-secret-ensured");

/// ImageRepository annotation: `true` keeps the repository in the registry when the object is deleted. Its
/// accounts go.
pub const SKIP_REPOSITORY_DELETION: AnnotationKey =
    AnnotationKey::new("image-controller.appstudio.redhat.com/skip-repository-deletion");

/// ImageRepository annotation: full name of its repository in the registry's organisation, written before anything is
/// made there. What is made, and deleted in the end, is named by it. Ours.
pub const REPOSITORY: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/repository");

/// ImageRepository annotation: the generation of the spec that could not be carried out. It is tried again when there
/// is a later one. Ours.
pub const FAILED_GENERATION: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/failed-generation");

/// ImageRepository annotation: the accounts whose token has been replaced while others still wait for it, separated by
/// commas. Gone when the rotation is over. Ours.
pub const ROTATED: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/rotated");

/// ImageRepository annotation: a hash of `spec.notifications` as it was last told to the registry. Ours.
pub const NOTIFIED: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/notifications");

/// Component annotation: asks for an image repository, or for another visibility; a
/// [`GenerateRequest`](crate::component_image::GenerateRequest) in JSON, or `true`. Removed when it has been dealt with.
pub const GENERATE: AnnotationKey = AnnotationKey::new("image.redhat.com/generate");

/// Component annotation: the answer, a [`ComponentImage`](crate::ComponentImage) in JSON. Read by
/// build-service.
pub const IMAGE: AnnotationKey = AnnotationKey::new("image.redhat.com/image");

/// Component annotation: once meant to have the repository deleted with the Component. Has no effect: it
/// always is.
pub const DELETE_IMAGE_REPO: AnnotationKey = AnnotationKey::new("image.redhat.com/delete-image-repo");

/// Annotation of a Secret with the label [`UPLOAD_SECRET`](crate::labels::UPLOAD_SECRET): name of the
/// `RemoteSecret`.
pub const REMOTE_SECRET_NAME: AnnotationKey = AnnotationKey::new("appstudio.redhat.com/remotesecret-name");
