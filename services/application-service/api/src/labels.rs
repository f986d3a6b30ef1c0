//! Keys of labels on the kinds of this crate.

use fleet_api::LabelKey;

/// `SnapshotEnvironmentBinding` label: `spec.application`. Written by application-service, and by
/// gitops-service on the bindings that it makes.
pub const APPLICATION: LabelKey = LabelKey::new("appstudio.application");

/// `SnapshotEnvironmentBinding` label: `spec.environment`, by which an event of an Environment finds its
/// bindings. Written as [`APPLICATION`].
pub const ENVIRONMENT: LabelKey = LabelKey::new("appstudio.environment");
