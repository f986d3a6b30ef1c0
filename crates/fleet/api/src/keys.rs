//! Keys that belong to no single service (contracts.md, sections a and d).

use crate::{AnnotationKey, LabelKey};

/// On a created object: the delivery or claim that it answers, so that a repeated one finds it.
pub const CAUSE: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/cause");

/// W3C trace context of the commit that an object comes from.
pub const TRACEPARENT: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/traceparent");

/// The object's own uid, written by the service that owns it: a copy restored from a backup has another one.
pub const RECORDED_UID: AnnotationKey = AnnotationKey::new("fleet.konflux-ci.dev/uid");

/// Put by Velero on what it restores. Such objects start nothing outside until they are asked again.
pub const VELERO_RESTORE: LabelKey = LabelKey::new("velero.io/restore-name");

/// Put by Velero: the backup that an object was taken into. A Release or Snapshot with it is never processed.
pub const VELERO_BACKUP: LabelKey = LabelKey::new("velero.io/backup-name");

/// Annotation or label by which a GitOps tool marks what it keeps in sync with a repository. Such objects get
/// no ownerReference from us: the tool would fight over a deletion.
pub const GITOPS_TRACKING: [&str; 3] =
    ["argocd.argoproj.io/tracking-id", "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"];

/// On a `PipelineRun`: what it is for, in the words of the service that started it.
pub const PIPELINE_TYPE: LabelKey = LabelKey::new("pipelines.appstudio.openshift.io/type");

/// On a `PipelineRun` or a Snapshot: name of the Application.
pub const APPLICATION: LabelKey = LabelKey::new("appstudio.openshift.io/application");

/// On a `PipelineRun` or a Snapshot: name of the Component that it was built for.
pub const COMPONENT: LabelKey = LabelKey::new("appstudio.openshift.io/component");

/// On a `PipelineRun`: `<namespace>/<name>` of the object that it belongs to, in whatever namespace or cluster.
pub const PRIMARY_RESOURCE: AnnotationKey = AnnotationKey::new("operator-sdk/primary-resource");

/// On a `PipelineRun`: `<kind>.<group>` of that object.
pub const PRIMARY_RESOURCE_TYPE: AnnotationKey = AnnotationKey::new("operator-sdk/primary-resource-type");
