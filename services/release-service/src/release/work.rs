//! What each phase runs: rows of a table, from plan, admission and settings (spec, sections 4.4 and 4.9). Pure.

use fleet::ObjectKey;
use release_service_api::collectors::Collectors;
use release_service_api::pipeline::{Param, ParameterizedPipeline, Pipeline, PipelineRef, Timeouts};
use release_service_api::{Phase, ReleasePlanAdmission, names};
use serde_json::Value;

use super::observe::Seen;
use super::revision::{PATH, REVISION, URL};

/// What a phase runs and as whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Work {
    pub(crate) phase: Phase,
    /// Where the run is.
    pub(crate) namespace: String,
    /// Where this stands, for people: `ReleasePlan tenant/plan, spec.tenantPipeline`.
    pub(crate) field: String,
    /// `None` for collectors where the admission names no Git repository: they come from the service's own catalog.
    pub(crate) pipeline: Option<PipelineRef>,
    /// Empty for the default of the namespace.
    pub(crate) service_account: Option<String>,
    /// Parameters that the plan's pipeline has of its own.
    pub(crate) params: Vec<Param>,
    pub(crate) timeouts: Option<Timeouts>,
    pub(crate) task_run_specs: Vec<Value>,
    /// Secrets of `namespace` that the run may read (collectors).
    pub(crate) secrets: Vec<String>,
}

/// The work of a phase, or `None` where it is not configured. Collectors are configured if the plan's, or the
/// admission's, `collectors` have items.
pub(crate) fn work(seen: &Seen, phase: Phase) -> Option<Work> {
    let plan = || {
        let plan = seen.plan.as_deref()?;
        Some((plan, Place { phase, kind: "ReleasePlan", key: ObjectKey::of(plan) }))
    };
    let admission = || {
        let admission = seen.admission().map(|admission| &**admission)?;
        Some((admission, Place { phase, kind: "ReleasePlanAdmission", key: ObjectKey::of(admission) }))
    };
    match phase {
        Phase::TenantCollectors => {
            let (plan, place) = plan()?;
            place.collectors(plan.spec.collectors.as_ref()?, seen)
        }
        Phase::ManagedCollectors => {
            let (admission, place) = admission()?;
            place.collectors(admission.spec.collectors.as_ref()?, seen)
        }
        Phase::Tenant => {
            let (plan, place) = plan()?;
            Some(place.parameterized(plan.spec.tenant_pipeline.as_ref()?, "tenantPipeline"))
        }
        Phase::Managed => {
            let (admission, place) = admission()?;
            Some(place.pipeline(admission.spec.pipeline.as_ref()?, "pipeline"))
        }
        Phase::Final => {
            let (plan, place) = plan()?;
            Some(place.parameterized(plan.spec.final_pipeline.as_ref()?, "finalPipeline"))
        }
    }
}

/// The object that a phase is configured in.
struct Place {
    phase: Phase,
    kind: &'static str,
    key: ObjectKey,
}

impl Place {
    fn pipeline(&self, pipeline: &Pipeline, field: &str) -> Work {
        Work {
            phase: self.phase,
            namespace: self.key.namespace.clone(),
            field: self.field(field),
            pipeline: Some(pipeline.pipeline_ref.clone()),
            service_account: pipeline.service_account_name.clone(),
            params: Vec::new(),
            timeouts: pipeline.timeouts.clone(),
            task_run_specs: pipeline.task_run_specs.clone(),
            secrets: Vec::new(),
        }
    }

    fn parameterized(&self, pipeline: &ParameterizedPipeline, field: &str) -> Work {
        Work { params: pipeline.params.clone(), ..self.pipeline(&pipeline.pipeline, field) }
    }

    fn collectors(&self, collectors: &Collectors, seen: &Seen) -> Option<Work> {
        (!collectors.items.is_empty()).then(|| Work {
            phase: self.phase,
            namespace: self.key.namespace.clone(),
            field: self.field("collectors"),
            pipeline: seen.admission().and_then(|admission| run_collectors(admission)),
            service_account: collectors.service_account_name.clone(),
            params: Vec::new(),
            timeouts: None,
            task_run_specs: Vec::new(),
            secrets: collectors.secrets.iter().filter(|name| !name.is_empty()).cloned().collect(),
        })
    }

    fn field(&self, field: &str) -> String {
        format!("{} {}, spec.{field}", self.kind, self.key)
    }
}

/// The pipeline of collectors from the repository that the admission's own pipeline is from.
fn run_collectors(admission: &ReleasePlanAdmission) -> Option<PipelineRef> {
    let own = &admission.spec.pipeline.as_ref()?.pipeline_ref;
    let value = |name| own.params.iter().find(|param| param.name == name).map(|param| param.value.as_str());
    (own.resolver == PipelineRef::GIT)
        .then(|| of_catalog(value(URL).unwrap_or_default(), value(REVISION).unwrap_or_default()))
}

/// The pipeline of collectors in a repository of release pipelines.
pub(super) fn of_catalog(url: &str, revision: &str) -> PipelineRef {
    let params = [(URL, url), (REVISION, revision), (PATH, names::RUN_COLLECTORS)];
    PipelineRef {
        resolver: PipelineRef::GIT.to_owned(),
        params: params.map(param).into(),
        ..PipelineRef::default()
    }
}

pub(super) fn param((name, value): (&str, &str)) -> Param {
    Param { name: name.to_owned(), value: value.to_owned() }
}

#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use release_service_api::ReleaseServiceConfig;
    use serde_json::{Value, json};

    use super::super::observe::{Defaults, Seen};

    /// Release `tenant/shop-1` of Snapshot `shop-1` by plan `plan`, with these specs of plan and admission `managed/admission`.
    #[expect(clippy::needless_pass_by_value, reason = "reads better in a table")]
    pub(in super::super) fn seen(plan: Value, admission: Value) -> Seen {
        let admission = (!admission.is_null()).then(|| {
            let metadata = json!({"name": "admission", "namespace": "managed", "uid": "a"});
            Ok(Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": admission})).unwrap()))
        });
        let plan = json!({"metadata": {"name": "plan", "namespace": "tenant", "uid": "p"}, "spec": plan});
        let release = json!({
            "metadata": {"name": "shop-1", "namespace": "tenant", "uid": "u"},
            "spec": {"snapshot": "shop-1", "releasePlan": "plan"},
        });
        let policy = json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "EnterpriseContractPolicy",
            "metadata": {"name": "policy", "namespace": "managed"},
            "spec": {"name": "all", "fieldOfTomorrow": {"a": 1}},
        });
        Seen {
            now: "2024-03-01T12:00:00Z".parse().unwrap(),
            release: Arc::new(serde_json::from_value(release).unwrap()),
            service_namespace: "release-service".to_owned(),
            config: Arc::new(ReleaseServiceConfig::default()),
            plan: Some(Arc::new(serde_json::from_value(plan).unwrap())),
            admission,
            snapshot: None,
            policy: Some(Arc::new(serde_json::from_value(policy).unwrap())),
            defaults: Defaults::NotConfigured,
            runs: [].into(),
            gone: [].into(),
            previous: None,
            waits_for: None,
            trace: None,
        }
    }

    /// A reference to a pipeline in Git.
    pub(in super::super) fn git(revision: &str) -> Value {
        json!({"resolver": "git", "params": [
            {"name": "url", "value": "https://git.example/catalog"},
            {"name": "revision", "value": revision},
            {"name": "pathInRepo", "value": "pipelines/push/push.yaml"},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::testing::{git, seen};
    use super::*;

    fn pipeline(pipeline_ref: &Value) -> Value {
        json!({
            "pipelineRef": pipeline_ref,
            "serviceAccountName": "runner",
            "timeouts": {"pipeline": "2h"},
            "taskRunSpecs": [{"pipelineTaskName": "push", "tomorrow": true}],
        })
    }

    fn collectors() -> Value {
        json!({"items": [{"name": "a", "type": "b"}], "secrets": ["token", ""], "serviceAccountName": "collector"})
    }

    fn bundles() -> Value {
        json!({"resolver": "bundles", "params": [{"name": "bundle", "value": "r/b@sha256:1"}]})
    }

    fn with_params(mut pipeline: Value) -> Value {
        pipeline["params"] = json!([{"name": "mine", "value": "1"}]);
        pipeline
    }

    #[rstest]
    #[case::tenant(Phase::Tenant, "tenant", "ReleasePlan tenant/plan, spec.tenantPipeline", 1)]
    #[case::managed(Phase::Managed, "managed", "ReleasePlanAdmission managed/admission, spec.pipeline", 0)]
    #[case::final_(Phase::Final, "tenant", "ReleasePlan tenant/plan, spec.finalPipeline", 1)]
    fn takes_pipelines_whole(
        #[case] phase: Phase,
        #[case] namespace: &str,
        #[case] field: &str,
        #[case] own_params: usize,
    ) {
        let own = with_params(pipeline(&bundles()));
        let seen = seen(json!({"tenantPipeline": own, "finalPipeline": own}), json!({"pipeline": own}));
        let work = work(&seen, phase).unwrap();
        assert_eq!((work.phase, &*work.namespace, &*work.field), (phase, namespace, field));
        assert_eq!(work.pipeline.unwrap().resolver, "bundles");
        assert_eq!(work.service_account.as_deref(), Some("runner"));
        assert_eq!(work.timeouts.unwrap().pipeline.as_deref(), Some("2h"));
        assert_eq!(work.task_run_specs, [json!({"pipelineTaskName": "push", "tomorrow": true})]);
        assert_eq!(work.params.len(), own_params);
        assert!(work.secrets.is_empty());
    }

    #[rstest]
    #[case::from_the_admissions_repository(Phase::TenantCollectors, "tenant", &git("production"), true)]
    #[case::of_the_admission(Phase::ManagedCollectors, "managed", &git("production"), true)]
    #[case::from_the_services_own(Phase::ManagedCollectors, "managed", &bundles(), false)]
    fn finds_the_pipeline_of_collectors(
        #[case] phase: Phase,
        #[case] namespace: &str,
        #[case] pipeline_ref: &Value,
        #[case] is_git: bool,
    ) {
        let admission = json!({"pipeline": pipeline(pipeline_ref), "collectors": collectors()});
        let work = work(&seen(json!({"collectors": collectors()}), admission), phase).unwrap();
        assert_eq!(work.namespace, namespace);
        assert_eq!(work.service_account.as_deref(), Some("collector"));
        assert_eq!(work.secrets, ["token"]);
        let expected = is_git.then(|| of_catalog("https://git.example/catalog", "production"));
        assert_eq!(work.pipeline, expected);
    }

    #[rstest]
    #[case::nothing(json!({}), json!(null), &[])]
    #[case::collectors_without_items(json!({"collectors": {"items": []}}), json!({"collectors": {}}), &[])]
    #[case::managed_alone(json!({}), json!({"pipeline": pipeline(&bundles())}), &[Phase::Managed])]
    #[case::of_the_plan_alone(
        json!({"tenantPipeline": pipeline(&bundles()), "finalPipeline": pipeline(&bundles()), "collectors": collectors()}),
        json!(null),
        &[Phase::TenantCollectors, Phase::Tenant, Phase::Final]
    )]
    fn knows_what_is_configured(#[case] plan: Value, #[case] admission: Value, #[case] expected: &[Phase]) {
        use strum::IntoEnumIterator as _;
        let seen = seen(plan, admission);
        let configured: Vec<Phase> = Phase::iter().filter(|phase| work(&seen, *phase).is_some()).collect();
        assert_eq!(configured, expected);
    }
}
