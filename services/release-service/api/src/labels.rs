//! Keys and values of labels on the kinds of this crate and on the objects that release-service makes.

use fleet_api::LabelKey;

/// Release and `ReleasePlan` label: the user who answers for it, sanitised to a label value. Never changes on a
/// Release.
pub const AUTHOR: LabelKey = LabelKey::new("release.appstudio.openshift.io/author");

/// Release label: `true` on those that were made by a program. Gives no rights: who made it must also be able to
/// write `status.automated`.
pub const AUTOMATED: LabelKey = LabelKey::new("release.appstudio.openshift.io/automated");

/// `ReleasePlan` label: with `true`, its author answers for the automated Releases of the plan.
pub const STANDING_ATTRIBUTION: LabelKey =
    LabelKey::new("release.appstudio.openshift.io/standing-attribution");

/// `ReleasePlan` label: with `false`, no Releases are made automatically. `ReleasePlanAdmission` label: with `false`,
/// it admits nothing. Absent means `true`.
pub const AUTO_RELEASE: LabelKey = LabelKey::new("release.appstudio.openshift.io/auto-release");

/// `ReleasePlanAdmission` label: with `true`, it admits nothing. Absent means `false`.
pub const BLOCK_RELEASES: LabelKey = LabelKey::new("release.appstudio.openshift.io/block-releases");

/// `ReleasePlan` label: name of the one admission in the target namespace to use. Absent means the one that fits.
pub const RELEASE_PLAN_ADMISSION: LabelKey =
    LabelKey::new("release.appstudio.openshift.io/releasePlanAdmission");

/// Release label: `spec.snapshot`. Never changes.
pub const SNAPSHOT: LabelKey = LabelKey::new("release.appstudio.openshift.io/snapshot");

/// Release label: `spec.releasePlan`. Never changes.
pub const RELEASE_PLAN: LabelKey = LabelKey::new("release.appstudio.openshift.io/releasePlan");

/// `PipelineRun` and `RoleBinding` label: name of the Release.
pub const NAME: LabelKey = LabelKey::new("release.appstudio.openshift.io/name");

/// `PipelineRun` and `RoleBinding` label: namespace of the Release.
pub const NAMESPACE: LabelKey = LabelKey::new("release.appstudio.openshift.io/namespace");

/// Label of a managed `PipelineRun`: number of the attempt, from 0.
pub const ATTEMPT: LabelKey = LabelKey::new("release.appstudio.openshift.io/attempt");

/// `PipelineRun` label: name of the Snapshot that is released.
pub const RUN_SNAPSHOT: LabelKey = LabelKey::new("appstudio.openshift.io/snapshot");

/// `PipelineRun` label: the service that started it, here [`SERVICE_RELEASE`].
pub const SERVICE: LabelKey = LabelKey::new("appstudio.openshift.io/service");

/// Value of [`SERVICE`].
pub const SERVICE_RELEASE: &str = "release";
