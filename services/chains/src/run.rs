//! What TaskRuns and PipelineRuns have in common for us.

use std::collections::BTreeMap;

use fleet::Stored;
use fleet_api::Finalizer;
use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};
use pipelines_engine_api::status::{RunCondition, succeeded};
use pipelines_engine_api::{PipelineRun, PodTemplate, TaskRun};

use crate::keys;

/// Account of pods of runs that name none and were given none.
const DEFAULT_ACCOUNT: &str = "default";

/// `spec.managedBy` of runs that the pipelines engine of this cluster runs; the same as none.
const PIPELINES_ENGINE: &str = "tekton.dev/pipeline";

/// Whether `spec.managedBy` names somebody else.
pub(crate) fn is_other(manager: &str) -> bool {
    !manager.is_empty() && manager != PIPELINES_ENGINE
}

/// A run that is signed when it has ended.
pub(crate) trait Run: Stored + Resource<Scope = NamespaceResourceScope> {
    /// As metrics name it: `taskrun`.
    const METRIC: &'static str;
    /// Begins the short key of what is made of the run itself (specification, section 3).
    const SHORT_KEY: &'static str;
    /// Kept on the run until it is signed. The first is ours, others are only removed.
    const FINALIZERS: &'static [Finalizer];

    fn conditions(&self) -> &[RunCondition];

    /// Who pushes what the run builds: account and pull secrets of its pods.
    fn identity(&self) -> Identity;

    /// `spec.managedBy`.
    fn managed_by(&self) -> Option<&str>;

    /// Whether somebody else runs it, as another cluster. What is here then is a copy, which is signed where it runs.
    fn is_elsewhere(&self) -> bool {
        self.managed_by().is_some_and(is_other)
    }

    /// Whether it has ended, well or badly.
    fn is_done(&self) -> bool {
        succeeded(self.conditions()).is_some_and(|condition| ["True", "False"].contains(&&*condition.status))
    }

    /// `true`, `failed`, or whatever else somebody wrote.
    fn signed(&self) -> Option<&str> {
        keys::SIGNED.of(&self.meta().annotations).filter(|value| !value.is_empty())
    }

    fn deleted_at(&self) -> Option<Timestamp> {
        self.meta().deletion_timestamp.as_ref().map(|time| time.0)
    }

    /// `taskrun-<uid>`.
    fn short_key(&self) -> String {
        format!("{}-{}", Self::SHORT_KEY, self.uid().unwrap_or_default())
    }
}

/// The account whose registry logins are used, in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) namespace: String,
    pub(crate) account: String,
    /// Names of Secrets, of the pod template.
    pub(crate) pull_secrets: Vec<String>,
}

impl Identity {
    fn of(run: &impl kube::Resource, account: &str, template: Option<&PodTemplate>) -> Self {
        let account = if account.is_empty() { DEFAULT_ACCOUNT } else { account };
        let secrets = template.iter().flat_map(|template| &template.image_pull_secrets);
        Self {
            namespace: run.meta().namespace.clone().unwrap_or_default(),
            account: account.to_owned(),
            pull_secrets: secrets.map(|secret| secret.name.clone()).collect(),
        }
    }
}

/// The run without what changes while it is being signed: each attempt describes the same.
pub(crate) fn as_built<R: Run>(run: &R) -> R {
    let mut built = run.clone();
    let metadata = built.meta_mut();
    metadata.resource_version = None;
    metadata.managed_fields = None;
    metadata.finalizers = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|key, _| !keys::PREFIXES.iter().any(|prefix| key.starts_with(prefix)));
    }
    if metadata.annotations.as_ref().is_some_and(BTreeMap::is_empty) {
        metadata.annotations = None;
    }
    built
}

impl Run for TaskRun {
    const METRIC: &'static str = "taskrun";
    const SHORT_KEY: &'static str = "taskrun";
    const FINALIZERS: &'static [Finalizer] = &[keys::TASK_RUN_FINALIZER, keys::OTHER_TASK_RUN_FINALIZER];

    fn conditions(&self) -> &[RunCondition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    fn identity(&self) -> Identity {
        Identity::of(self, &self.spec.service_account_name, self.spec.pod_template.as_ref())
    }

    fn managed_by(&self) -> Option<&str> {
        self.spec.managed_by.as_deref()
    }
}

impl Run for PipelineRun {
    const METRIC: &'static str = "pipelinerun";
    const SHORT_KEY: &'static str = "pipelinerun";
    const FINALIZERS: &'static [Finalizer] = &[keys::PIPELINE_RUN_FINALIZER];

    fn conditions(&self) -> &[RunCondition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }

    fn identity(&self) -> Identity {
        let template = &self.spec.task_run_template;
        Identity::of(self, &template.service_account_name, template.pod_template.as_ref())
    }

    fn managed_by(&self) -> Option<&str> {
        self.spec.managed_by.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_signing_writes_is_not_described() {
        let run: TaskRun = serde_json::from_value(json!({
            "metadata": {
                "name": "t", "uid": "u", "resourceVersion": "7", "finalizers": ["chains.tekton.dev"],
                "deletionTimestamp": "2024-01-01T00:00:00Z", "labels": {"a": "b"},
                "annotations": {
                    "chains.tekton.dev/retries": "1", "chains.fleet.konflux-ci.dev/progress": "{}", "mine": "stays",
                },
            },
            "spec": {},
        }))
        .unwrap();
        let metadata = json!(as_built(&run).metadata);
        assert_eq!(
            metadata,
            json!({"name": "t", "uid": "u", "labels": {"a": "b"}, "annotations": {"mine": "stays"}})
        );
    }

    #[test]
    fn a_run_without_an_account_ran_as_the_default_one() {
        let run: PipelineRun = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"taskRunTemplate": {"podTemplate": {"imagePullSecrets": [{"name": "s"}]}}},
        }))
        .unwrap();
        let expected = Identity {
            namespace: "n".to_owned(),
            account: "default".to_owned(),
            pull_secrets: vec!["s".to_owned()],
        };
        assert_eq!(run.identity(), expected);
    }
}
