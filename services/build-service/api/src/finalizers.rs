//! Finalizers of build-service.

use fleet_api::Finalizer;

/// On a Component: Pipelines-as-Code is set up for it, and its pipelines are proposed to go before it does.
pub const PAC: Finalizer = Finalizer::new("pac.component.appstudio.openshift.io/finalizer");

/// On a Component: the Secret of its image repository is linked to the `ServiceAccount` of its runs.
pub const SECRET_LINK: Finalizer =
    Finalizer::new("image-registry-secret-sa-link.component.appstudio.openshift.io/finalizer");

/// On a build's run: its image has still to be proposed to the Components that are nudged.
pub const NUDGE: Finalizer = Finalizer::new("build.appstudio.openshift.io/build-nudge-finalizer");
