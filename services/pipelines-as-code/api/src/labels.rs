//! Keys of labels on the runs. Their values are cleaned: what a label may not hold is replaced or cut off.
//! The annotation of the same key has the value as it was.

use fleet_api::LabelKey;

/// Organisation that the repository belongs to.
pub const URL_ORG: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/url-org");

/// Name of the repository.
pub const URL_REPOSITORY: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/url-repository");

/// The commit.
pub const SHA: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/sha");

/// Name of the Repository object. Also on Events about it.
pub const REPOSITORY: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/repository");

/// What started the run, an [`EventType`](crate::pipeline_run::EventType).
pub const EVENT_TYPE: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/event-type");

/// How far the run has come, a [`State`](crate::pipeline_run::State). Written by nobody else.
pub const STATE: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/state");

/// Name of the run in `.tekton/`.
pub const ORIGINAL_PIPELINE_RUN: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/original-prname");

/// Number of the pull request. Absent for other events.
pub const PULL_REQUEST: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/pull-request");

/// Id of the check run at GitHub, where the GitHub App reports.
pub const CHECK_RUN_ID: LabelKey = LabelKey::new("pipelinesascode.tekton.dev/check-run-id");

/// [`MANAGED_BY_US`] on each run, and on the Secret of its credentials.
pub const MANAGED_BY: LabelKey = LabelKey::new("app.kubernetes.io/managed-by");

/// The value of [`MANAGED_BY`].
pub const MANAGED_BY_US: &str = "pipelinesascode.tekton.dev";

/// Version of the program that made the run.
pub const VERSION: LabelKey = LabelKey::new("app.kubernetes.io/version");
