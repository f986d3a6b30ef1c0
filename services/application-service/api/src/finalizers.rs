//! Finalizers of application-service.

use fleet_api::Finalizer;

/// On an Application: its GitOps repository is cleaned up before it goes.
pub const APPLICATION: Finalizer = Finalizer::new("application.appstudio.redhat.com/finalizer");

/// On a Component: its part of the model and of the GitOps repository is removed before it goes, as are the
/// edges of nudging that lead to and from it.
pub const COMPONENT: Finalizer = Finalizer::new("component.appstudio.redhat.com/finalizer");
