//! The PipelineRun of a test (spec, section 4.3).

use std::collections::BTreeMap;

use application_service_api::Snapshot;
use fleet::{TraceContext, Write, names};
use fleet_api::keys;
use integration_service_api::scenario::PipelineParameter;
use integration_service_api::{IntegrationTestScenario, annotations, finalizers, labels};
use kube::core::ObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use pipelines_engine_api::pipeline_run::TimeoutFields;
use pipelines_engine_api::{Param, ParamValue, PipelineRef, PipelineRun, PipelineRunSpec, WorkspaceBinding};

use crate::content::{Prefixes, copied};
use crate::environments::ephemeral::RunsIn;

/// Name of the parameter that holds the Snapshot.
const SNAPSHOT: &str = "SNAPSHOT";

/// Name of the parameter that holds the namespace which the Snapshot was deployed to.
const NAMESPACE: &str = "NAMESPACE";

/// Workspace with the credentials for that namespace.
const CLUSTER_CREDENTIALS: &str = "cluster-credentials";

/// Annotations of a scenario that hold this in their keys go to its runs.
const PLATFORM: &str = "appstudio.openshift.io/";

/// Begins keys under which conversion keeps fields of other versions of a scenario.
const CONVERSION: &str = "conversion.";

/// A run that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) scenario: &'a IntegrationTestScenario,
    pub(super) attempt: u32,
    /// Where the Snapshot was deployed for it.
    pub(super) environment: Option<&'a RunsIn>,
    /// What the scenario's reference resolved to, if that is a whole run.
    pub(super) definition: Option<&'a PipelineRun>,
    pub(super) timeouts: Option<TimeoutFields>,
    /// Account that it runs as; the engine's default if absent.
    pub(super) service_account: Option<&'a str>,
    pub(super) trace: Option<TraceContext>,
}

/// The name of a run, and the one to take if that belongs to something else.
pub(super) fn names(snapshot: &Snapshot, scenario: &str, attempt: u32) -> [String; 2] {
    let attempt = attempt.to_string();
    let uid = snapshot.uid().unwrap_or_default();
    [10, 15].map(|length| {
        let tail = format!("-{}", names::hash(length, &[&uid, scenario, &attempt]));
        names::fit(names::LABEL_VALUE, &snapshot.name_any(), &tail)
    })
}

impl Wanted<'_> {
    /// Makes it, or finds it made.
    pub(super) fn create(&self) -> Write {
        let [name, alternative] = names(self.snapshot, &self.scenario.name_any(), self.attempt);
        Write::create(&self.run(name)).or_named(alternative)
    }

    fn run(&self, name: String) -> PipelineRun {
        let base = self.definition.cloned().unwrap_or_else(|| PipelineRun {
            spec: PipelineRunSpec { pipeline_ref: Some(self.pipeline()), ..PipelineRunSpec::default() },
            ..PipelineRun::default()
        });
        let mut spec = base.spec;
        for param in self.params() {
            spec.params.retain(|other| other.name != param.name);
            spec.params.push(param);
        }
        if let Some(environment) = self.environment {
            spec.workspaces.retain(|workspace| workspace.name != CLUSTER_CREDENTIALS);
            spec.workspaces.push(credentials(environment));
        }
        if let Some(timeouts) = &self.timeouts {
            spec.timeouts = Some(timeouts.clone());
        }
        if let (Some(account), "") = (self.service_account, &*spec.task_run_template.service_account_name) {
            account.clone_into(&mut spec.task_run_template.service_account_name);
        }
        PipelineRun { metadata: self.metadata(name, base.metadata), spec, status: None }
    }

    fn metadata(&self, name: String, base: ObjectMeta) -> ObjectMeta {
        let (labels, annotations) = copied(&self.snapshot.metadata, Prefixes::OfSnapshot);
        let own = |entries: Option<BTreeMap<String, String>>| {
            entries.unwrap_or_default().into_iter().filter(|(key, _)| !is_of_a_controller(key))
        };
        let mut metadata = ObjectMeta {
            name: Some(name),
            namespace: self.snapshot.namespace(),
            labels: Some(own(base.labels).chain(labels).chain(self.labels()).collect()),
            annotations: Some(own(base.annotations).chain(self.annotations()).chain(annotations).collect()),
            finalizers: Some(vec![finalizers::PIPELINE_RUN.into()]),
            owner_references: self.snapshot.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        TraceContext::annotate_pipeline_run(self.trace, &mut metadata);
        metadata
    }

    fn labels(&self) -> impl Iterator<Item = (String, String)> {
        let scenario = &self.scenario.metadata.labels;
        [
            (keys::PIPELINE_TYPE, Some(labels::PIPELINE_TYPE_TEST.to_owned())),
            (labels::SNAPSHOT, Some(self.snapshot.name_any())),
            (labels::SCENARIO, Some(self.scenario.name_any())),
            (keys::APPLICATION, Some(self.snapshot.spec.application.clone())),
            (keys::COMPONENT, keys::COMPONENT.of(&self.snapshot.metadata.labels).map(str::to_owned)),
            (labels::OPTIONAL, labels::OPTIONAL.of(scenario).map(str::to_owned)),
            (labels::ENVIRONMENT, self.environment.map(|runs_in| runs_in.environment.clone())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.into(), value?)))
    }

    fn annotations(&self) -> impl Iterator<Item = (String, String)> {
        let of_scenario = self.scenario.annotations().iter();
        of_scenario
            .filter(|(key, _)| key.contains(PLATFORM) && !key.starts_with(CONVERSION))
            .map(|(key, value)| (key.clone(), value.clone()))
    }

    fn pipeline(&self) -> PipelineRef {
        let reference = self.scenario.spec.resolver_ref.clone().unwrap_or_default();
        PipelineRef {
            resolver: reference.resolver,
            params: params(reference.params),
            ..PipelineRef::default()
        }
    }

    fn params(&self) -> Vec<Param> {
        let mut params = vec![Param::new(SNAPSHOT, serde_json::json!(self.snapshot.spec).to_string())];
        params.extend(self.environment.map(|runs_in| Param::new(NAMESPACE, runs_in.namespace.clone())));
        params.extend(self.scenario.spec.params.iter().map(param));
        params
    }
}

/// Parameters of a resolver.
pub(super) fn params(params: Vec<integration_service_api::scenario::ResolverParam>) -> Vec<Param> {
    params.into_iter().map(|param| Param::new(param.name, param.value)).collect()
}

fn param(given: &PipelineParameter) -> Param {
    let value = match &given.value {
        Some(value) if !value.is_empty() => ParamValue::String(value.clone()),
        _ if !given.values.is_empty() => ParamValue::Array(given.values.clone()),
        _ => ParamValue::Object(BTreeMap::new()),
    };
    Param::new(given.name.clone(), value)
}

fn credentials(environment: &RunsIn) -> WorkspaceBinding {
    WorkspaceBinding {
        name: CLUSTER_CREDENTIALS.to_owned(),
        secret: Some(k8s_openapi::api::core::v1::SecretVolumeSource {
            secret_name: Some(environment.credentials_secret.clone()),
            ..Default::default()
        }),
        ..WorkspaceBinding::default()
    }
}

/// Keys by which controllers recognise runs of theirs, or remember what they did.
fn is_of_a_controller(key: &str) -> bool {
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    domain == "tekton.dev"
        || domain.ends_with(".tekton.dev")
        || domain == annotations::PIPELINES_AS_CODE_PREFIX
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn snapshot() -> Snapshot {
        serde_json::from_value(json!({
            "metadata": {
                "name": "shop-1", "namespace": "tenant", "uid": "u",
                "labels": {
                    "appstudio.openshift.io/component": "web",
                    "test.appstudio.openshift.io/type": "component",
                    "pac.test.appstudio.openshift.io/event-type": "push",
                    "build.appstudio.redhat.com/x": "y",
                    "team": "a",
                },
                "annotations": {"build.appstudio.redhat.com/commit_sha": "c", "note": "mine"},
            },
            "spec": {"application": "shop", "components": [{"name": "web", "containerImage": "r/web@sha256:1"}]},
        }))
        .unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better in a table")]
    fn scenario(spec: Value) -> IntegrationTestScenario {
        serde_json::from_value(json!({
            "metadata": {
                "name": "smoke",
                "labels": {"test.appstudio.openshift.io/optional": "true", "team": "b"},
                "annotations": {
                    "test.appstudio.openshift.io/kind": "enterprise-contract",
                    "conversion.test.appstudio.openshift.io/v1beta1-environment": "{}",
                    "note": "its",
                },
            },
            "spec": spec,
        }))
        .unwrap()
    }

    fn bundle() -> IntegrationTestScenario {
        scenario(json!({
            "application": "shop",
            "resolverRef": {"resolver": "bundles", "params": [{"name": "bundle", "value": "r/b"}]},
            "params": [
                {"name": "text", "value": "a", "values": ["b"]},
                {"name": "list", "value": "", "values": ["b"]},
                {"name": "empty"},
            ],
        }))
    }

    fn wanted<'a>(snapshot: &'a Snapshot, scenario: &'a IntegrationTestScenario) -> Wanted<'a> {
        Wanted {
            snapshot,
            scenario,
            attempt: 0,
            environment: None,
            definition: None,
            timeouts: None,
            service_account: None,
            trace: None,
        }
    }

    fn made(wanted: &Wanted<'_>) -> Value {
        match wanted.create() {
            Write::Create(create) => create.object,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn holds_the_snapshot_and_what_the_scenario_says() {
        let run = made(&wanted(&snapshot(), &bundle()));
        assert_eq!(
            run["spec"],
            json!({
                "pipelineRef": {"resolver": "bundles", "params": [{"name": "bundle", "value": "r/b"}]},
                "params": [
                    {"name": "SNAPSHOT", "value": r#"{"application":"shop","components":[{"containerImage":"r/web@sha256:1","name":"web"}]}"#},
                    {"name": "text", "value": "a"},
                    {"name": "list", "value": ["b"]},
                    {"name": "empty", "value": {}},
                ],
            })
        );
    }

    #[test]
    fn carries_what_is_meant_to_go_along_and_nothing_else() {
        let metadata = made(&wanted(&snapshot(), &bundle()))["metadata"].clone();
        assert_eq!(
            metadata["labels"],
            json!({
                "pipelines.appstudio.openshift.io/type": "test",
                "appstudio.openshift.io/snapshot": "shop-1",
                "appstudio.openshift.io/application": "shop",
                "appstudio.openshift.io/component": "web",
                "test.appstudio.openshift.io/scenario": "smoke",
                "test.appstudio.openshift.io/optional": "true",
                "pac.test.appstudio.openshift.io/event-type": "push",
                "build.appstudio.redhat.com/x": "y",
            })
        );
        assert_eq!(
            metadata["annotations"],
            json!({
                "test.appstudio.openshift.io/kind": "enterprise-contract",
                "build.appstudio.redhat.com/commit_sha": "c",
            })
        );
        assert_eq!(metadata["finalizers"], json!(["test.appstudio.openshift.io/pipelinerun"]));
        assert_eq!(metadata["ownerReferences"][0]["uid"], "u");
        assert_eq!(metadata["ownerReferences"][0]["controller"], true);
    }

    #[test]
    fn runs_where_the_snapshot_was_deployed() {
        let runs_in = RunsIn {
            namespace: "there".to_owned(),
            credentials_secret: "login".to_owned(),
            environment: "copy".to_owned(),
        };
        let run = made(&Wanted { environment: Some(&runs_in), ..wanted(&snapshot(), &bundle()) });
        assert_eq!(run["spec"]["params"][1], json!({"name": "NAMESPACE", "value": "there"}));
        assert_eq!(
            run["spec"]["workspaces"],
            json!([{"name": "cluster-credentials", "secret": {"secretName": "login"}}])
        );
        assert_eq!(run["metadata"]["labels"]["appstudio.openshift.io/environment"], "copy");
    }

    #[test]
    fn a_whole_run_keeps_what_is_its_own() {
        let definition: PipelineRun = serde_json::from_value(json!({
            "metadata": {
                "name": "theirs", "generateName": "theirs-",
                "labels": {"team": "c", "pipelinesascode.tekton.dev/repository": "r",
                    "appstudio.openshift.io/snapshot": "another"},
                "annotations": {"tekton.dev/pipeline": "x", "chains.tekton.dev/signed": "true", "note": "kept"},
                "finalizers": ["theirs/finalizer"],
            },
            "spec": {
                "pipelineRef": {"name": "p"},
                "params": [{"name": "SNAPSHOT", "value": "old"}, {"name": "more", "value": "m"}],
                "taskRunTemplate": {"serviceAccountName": "own"},
            },
        }))
        .unwrap();
        let run = made(&Wanted {
            definition: Some(&definition),
            service_account: Some("runner"),
            ..wanted(&snapshot(), &bundle())
        });
        let names: Vec<_> = run["spec"]["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|param| param["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["more", "SNAPSHOT", "text", "list", "empty"]);
        assert_eq!(run["spec"]["pipelineRef"], json!({"name": "p"}));
        assert_eq!(run["spec"]["taskRunTemplate"]["serviceAccountName"], "own");
        let metadata = &run["metadata"];
        assert_eq!(metadata["labels"]["team"], "c");
        assert_eq!(metadata["labels"]["appstudio.openshift.io/snapshot"], "shop-1");
        assert_eq!(metadata["labels"]["pipelinesascode.tekton.dev/repository"], Value::Null);
        assert_eq!(metadata["annotations"]["note"], "kept");
        assert_eq!(metadata["annotations"]["chains.tekton.dev/signed"], Value::Null);
        assert_eq!(metadata["finalizers"], json!(["test.appstudio.openshift.io/pipelinerun"]));
        assert_eq!(metadata["generateName"], Value::Null);
    }

    #[rstest]
    #[case::short("shop-1")]
    #[case::long(&"a".repeat(63))]
    fn each_attempt_has_a_name_of_its_own(#[case] name: &str) {
        let mut snapshot = snapshot();
        snapshot.metadata.name = Some(name.to_owned());
        let mut all: Vec<String> = [("a", 0), ("a", 1), ("b", 0)]
            .iter()
            .flat_map(|(scenario, attempt)| names(&snapshot, scenario, *attempt))
            .collect();
        assert!(all.iter().all(|name| name.len() <= 63), "{all:?}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
    }
}
