//! Finalizers of image-controller.

use fleet_api::Finalizer;

/// On an ImageRepository: its accounts and its repository are deleted before it goes.
pub const IMAGE_REPOSITORY: Finalizer = Finalizer::new("appstudio.openshift.io/image-repository");

/// On a Component whose image repository was asked for by annotation: the same.
pub const COMPONENT: Finalizer = Finalizer::new("image-controller.appstudio.openshift.io/image-repository");

/// On an Application: its Secret to pull is taken off the `ServiceAccount` of integration tests before it
/// goes.
pub const APPLICATION: Finalizer =
    Finalizer::new("application-secret-link-to-integration-tests-sa.appstudio.openshift.io/finalizer");
