//! The PipelineRun of a phase (spec, section 4.4). Pure.

use std::collections::BTreeMap;

use fleet::{ObjectKey, TraceContext, Write};
use fleet_api::keys;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use pipelines_engine_api::pipeline_run::{PipelineTaskRunTemplate, TimeoutFields};
use pipelines_engine_api::{Param, PipelineRef, PipelineRun, PipelineRunSpec, WorkspaceBinding};
use release_service_api::{Phase, annotations, finalizers, labels, pipeline};
use serde_json::{Value, json};

use super::binding;
use super::observe::{Seen, Slot};
use super::revision::REVISION;
use super::start::run_name;
use super::work::Work;

/// A run that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) seen: &'a Seen,
    pub(super) slot: Slot,
    pub(super) work: &'a Work,
    pub(super) pipeline: &'a pipeline::PipelineRef,
    /// The commit that a pipeline of Git is at.
    pub(super) commit: Option<&'a str>,
    pub(super) params: Vec<Param>,
    pub(super) timeouts: Option<TimeoutFields>,
    pub(super) workspace: WorkspaceBinding,
    pub(super) task_run_specs: &'a [Value],
}

impl Wanted<'_> {
    pub(super) fn key(&self) -> ObjectKey {
        ObjectKey::new(self.work.namespace.as_str(), run_name(self.seen.uid(), self.slot))
    }

    /// Makes it, or finds it made.
    pub(super) fn create(self) -> Write {
        let metadata = self.metadata();
        let spec = PipelineRunSpec {
            pipeline_ref: Some(self.pipeline()),
            params: self.params,
            timeouts: self.timeouts,
            task_run_template: PipelineTaskRunTemplate {
                service_account_name: self.work.service_account.clone().unwrap_or_default(),
                ..PipelineTaskRunTemplate::default()
            },
            workspaces: vec![self.workspace],
            ..PipelineRunSpec::default()
        };
        let mut write = Write::create(&PipelineRun { metadata, spec, status: None });
        // As they are written: with fields that our types do not know.
        if let (Write::Create(create), false) = (&mut write, self.task_run_specs.is_empty()) {
            create.object["spec"]["taskRunSpecs"] = json!(self.task_run_specs);
        }
        write
    }

    fn pipeline(&self) -> PipelineRef {
        let params = self.pipeline.params.iter().map(|param| match self.commit {
            Some(commit) if param.name == REVISION => Param::new(REVISION, commit),
            _ => Param::new(param.name.as_str(), param.value.as_str()),
        });
        PipelineRef {
            resolver: self.pipeline.resolver.clone(),
            params: params.collect(),
            ..PipelineRef::default()
        }
    }

    fn metadata(&self) -> ObjectMeta {
        let ObjectKey { namespace, name } = self.key();
        let mut metadata = ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: Some(self.labels()),
            finalizers: Some(vec![finalizers::RELEASE.into()]),
            ..ObjectMeta::default()
        };
        TraceContext::annotate_pipeline_run(self.seen.trace, &mut metadata);
        metadata.annotations.get_or_insert_default().extend(self.annotations());
        metadata
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let mut all = binding::of_release(self.seen, self.slot.phase);
        let application = self.seen.plan.as_ref().map(|plan| plan.spec.application.clone());
        all.extend(application.map(|application| (keys::APPLICATION.into(), application)));
        all.insert(labels::RUN_SNAPSHOT.into(), self.seen.release.spec.snapshot.clone());
        all.insert(labels::SERVICE.into(), labels::SERVICE_RELEASE.to_owned());
        if self.slot.phase == Phase::Managed {
            all.insert(labels::ATTEMPT.into(), self.slot.attempt.to_string());
        }
        all
    }

    fn annotations(&self) -> impl Iterator<Item = (String, String)> {
        let release = &*self.seen.release;
        let own = [
            (keys::PRIMARY_RESOURCE.into(), ObjectKey::of(release).to_string()),
            (keys::PRIMARY_RESOURCE_TYPE.into(), annotations::PRIMARY_RESOURCE_TYPE_RELEASE.to_owned()),
            (keys::CAUSE.into(), self.seen.uid().to_owned()),
        ];
        let of_release = release.annotations().iter().filter(|(key, _)| {
            key.starts_with(annotations::PULL_REQUEST_PREFIX) || *key == annotations::SPAN_CONTEXT.as_str()
        });
        of_release.map(|(key, value)| (key.clone(), value.clone())).chain(own)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::super::work::testing::{git, seen};
    use super::super::work::work;
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn pipeline() -> Value {
        json!({
            "pipelineRef": git("production"),
            "serviceAccountName": "runner",
            "taskRunSpecs": [{"pipelineTaskName": "push", "fieldOfTomorrow": {"a": [1]}}],
        })
    }

    fn made(seen: &Seen, slot: Slot) -> Value {
        let work = work(seen, slot.phase).unwrap();
        let wanted = Wanted {
            seen,
            slot,
            work: &work,
            pipeline: work.pipeline.as_ref().unwrap(),
            commit: Some(COMMIT),
            params: vec![Param::new("release", "tenant/shop-1")],
            timeouts: Some(TimeoutFields { pipeline: Some("1h0m0s".to_owned()), ..TimeoutFields::default() }),
            workspace: WorkspaceBinding {
                name: "release-workspace".to_owned(),
                ..WorkspaceBinding::default()
            },
            task_run_specs: &work.task_run_specs,
        };
        match wanted.create() {
            Write::Create(create) => create.object,
            other => panic!("{other:?}"),
        }
    }

    fn all() -> Seen {
        let plan = json!({"application": "shop", "tenantPipeline": pipeline(), "finalPipeline": pipeline()});
        seen(plan, json!({"pipeline": pipeline()}))
    }

    #[test]
    fn runs_what_the_reference_says_at_one_commit() {
        let run = made(&all(), Slot { phase: Phase::Managed, attempt: 0 });
        assert_eq!(
            run["spec"],
            json!({
                "pipelineRef": {"resolver": "git", "params": [
                    {"name": "url", "value": "https://git.example/catalog"},
                    {"name": "revision", "value": COMMIT},
                    {"name": "pathInRepo", "value": "pipelines/push/push.yaml"},
                ]},
                "params": [{"name": "release", "value": "tenant/shop-1"}],
                "timeouts": {"pipeline": "1h0m0s"},
                "taskRunTemplate": {"serviceAccountName": "runner"},
                "workspaces": [{"name": "release-workspace"}],
                "taskRunSpecs": [{"pipelineTaskName": "push", "fieldOfTomorrow": {"a": [1]}}],
            })
        );
    }

    #[rstest]
    #[case::managed(Phase::Managed, "managed", Some("2"))]
    #[case::tenant(Phase::Tenant, "tenant", None)]
    #[case::final_(Phase::Final, "tenant", None)]
    fn is_labelled(#[case] phase: Phase, #[case] namespace: &str, #[case] attempt: Option<&str>) {
        let metadata = made(&all(), Slot { phase, attempt: 2 })["metadata"].clone();
        let name = metadata["name"].as_str().unwrap();
        assert!(name.starts_with(&format!("{}-", phase.as_str())) && name.len() == phase.as_str().len() + 11);
        assert_eq!(metadata["namespace"], namespace);
        let mut expected = json!({
            "appstudio.openshift.io/application": "shop",
            "appstudio.openshift.io/snapshot": "shop-1",
            "appstudio.openshift.io/service": "release",
            "pipelines.appstudio.openshift.io/type": phase.as_str(),
            "release.appstudio.openshift.io/name": "shop-1",
            "release.appstudio.openshift.io/namespace": "tenant",
        });
        if let Some(attempt) = attempt {
            expected["release.appstudio.openshift.io/attempt"] = json!(attempt);
        }
        assert_eq!(metadata["labels"], expected);
        assert_eq!(metadata["finalizers"], json!(["appstudio.redhat.com/release-finalizer"]));
        assert_eq!(metadata["ownerReferences"], Value::Null);
    }

    #[test]
    fn says_whose_it_is_and_where_it_comes_from() {
        let mut seen = all();
        seen.trace = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let annotations = [
            ("pac.test.appstudio.openshift.io/sha", "abc"),
            ("tekton.dev/pipelinerunSpanContext", "{\"traceparent\":\"theirs\"}"),
            ("operator-sdk/primary-resource", "other/release"),
            ("note", "mine"),
        ];
        Arc::make_mut(&mut seen.release).metadata.annotations =
            Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let run = made(&seen, Slot { phase: Phase::Managed, attempt: 0 });
        assert_eq!(
            run["metadata"]["annotations"],
            json!({
                "operator-sdk/primary-resource": "tenant/shop-1",
                "operator-sdk/primary-resource-type": "Release.appstudio.redhat.com",
                "fleet.konflux-ci.dev/cause": "u",
                "fleet.konflux-ci.dev/traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "pac.test.appstudio.openshift.io/sha": "abc",
                "tekton.dev/pipelinerunSpanContext": "{\"traceparent\":\"theirs\"}",
            })
        );
    }

    #[test]
    fn each_attempt_has_a_name_of_its_own() {
        let seen = all();
        let mut names: Vec<Value> = [(Phase::Managed, 0), (Phase::Managed, 1), (Phase::Tenant, 0)]
            .map(|(phase, attempt)| made(&seen, Slot { phase, attempt })["metadata"]["name"].clone())
            .into();
        names.dedup();
        assert_eq!(names.len(), 3);
    }
}
