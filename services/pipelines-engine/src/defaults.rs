//! What is filled in where an object says nothing (specification of the API, section 5.1): by the webhook when it is
//! written, and by the controllers whenever they look at it, for the configuration may have changed since, or the webhook
//! been away.
//!
//! Each function is idempotent, and overwrites nothing.

use pipelines_engine_api::param::{ParamSpec, ParamType, PropertySpec};
use pipelines_engine_api::pipeline_run::TimeoutFields;
use pipelines_engine_api::{
    CustomRun, Pipeline, PipelineRef, PipelineRun, PipelineSpec, StepAction, StepResult, Task, TaskRef,
    TaskRun, TaskSpec, annotations, labels,
};

use crate::config::Config;
use crate::pod_template;

/// Fills in a Task.
pub fn task(task: &mut Task, config: &Config) {
    task_spec(&mut task.spec, config);
}

/// Fills in a Pipeline.
pub fn pipeline(pipeline: &mut Pipeline, config: &Config) {
    pipeline_spec(&mut pipeline.spec, config);
}

/// Fills in a StepAction.
pub fn step_action(action: &mut StepAction) {
    action.spec.params.iter_mut().for_each(param);
    action.spec.results.iter_mut().for_each(step_result);
}

/// Fills in a PipelineRun. With `on_create` what only chains may write is taken away.
pub fn pipeline_run(run: &mut PipelineRun, config: &Config, on_create: bool) {
    if on_create {
        without_chains(&mut run.metadata);
    }
    let spec = &mut run.spec;
    if let Some(reference) = &mut spec.pipeline_ref {
        pipeline_ref(reference, config);
    }
    if let Some(pipeline) = &mut spec.pipeline_spec {
        pipeline_spec(pipeline, config);
    }
    let timeouts = spec.timeouts.get_or_insert_with(TimeoutFields::default);
    timeouts.pipeline.get_or_insert_with(|| config.defaults.timeout.to_string());
    let template = &mut spec.task_run_template;
    account(&mut template.service_account_name, config);
    template.pod_template =
        pod_template::merge(template.pod_template.as_ref(), config.defaults.pod_template.as_ref());
}

/// Fills in a TaskRun. With `on_create` what only chains may write is taken away.
pub fn task_run(run: &mut TaskRun, config: &Config, on_create: bool) {
    if on_create {
        without_chains(&mut run.metadata);
    }
    let labels = run.metadata.labels.get_or_insert_default();
    labels
        .entry(labels::MANAGED_BY.as_str().to_owned())
        .or_insert_with(|| config.defaults.managed_by.clone());
    let spec = &mut run.spec;
    if let Some(reference) = &mut spec.task_ref {
        task_ref(reference, config);
    }
    if let Some(task) = &mut spec.task_spec {
        task_spec(task, config);
    }
    spec.timeout.get_or_insert_with(|| config.defaults.timeout.to_string());
    account(&mut spec.service_account_name, config);
    spec.pod_template =
        pod_template::merge(spec.pod_template.as_ref(), config.defaults.pod_template.as_ref());
}

/// Fills in a CustomRun.
pub fn custom_run(run: &mut CustomRun, config: &Config) {
    account(&mut run.spec.service_account_name, config);
}

/// Fills in the content of a Task, wherever it is.
pub fn task_spec(spec: &mut TaskSpec, config: &Config) {
    spec.params.iter_mut().for_each(param);
    for result in &mut spec.results {
        result.type_ = Some(result.effective_type());
        result.properties.values_mut().for_each(property);
    }
    for step in &mut spec.steps {
        if let Some(reference) = &mut step.ref_ {
            resolver(&reference.name, &mut reference.resolver, config);
        }
        step.results.iter_mut().for_each(step_result);
    }
}

/// Fills in the content of a Pipeline, wherever it is.
pub fn pipeline_spec(spec: &mut PipelineSpec, config: &Config) {
    spec.params.iter_mut().for_each(param);
    for task in spec.tasks.iter_mut().chain(&mut spec.finally) {
        if let Some(reference) = &mut task.task_ref {
            task_ref(reference, config);
        }
        if let Some(embedded) = &mut task.task_spec {
            task_spec(&mut embedded.task, config);
        }
        if let Some(reference) = &mut task.pipeline_ref {
            pipeline_ref(reference, config);
        }
        if let Some(pipeline) = &mut task.pipeline_spec {
            pipeline_spec(pipeline, config);
        }
    }
}

fn task_ref(reference: &mut TaskRef, config: &Config) {
    // What belongs to another API has names of its own.
    if !reference.is_custom() {
        resolver(&reference.name, &mut reference.resolver, config);
    }
    if reference.kind.is_empty() && reference.resolver.is_empty() {
        "Task".clone_into(&mut reference.kind);
    }
}

fn pipeline_ref(reference: &mut PipelineRef, config: &Config) {
    resolver(&reference.name, &mut reference.resolver, config);
}

fn resolver(name: &str, resolver: &mut String, config: &Config) {
    if name.is_empty() && resolver.is_empty() {
        resolver.clone_from(&config.defaults.resolver_type);
    }
}

fn account(name: &mut String, config: &Config) {
    if name.is_empty() {
        name.clone_from(&config.defaults.service_account);
    }
}

fn param(spec: &mut ParamSpec) {
    spec.type_ = Some(spec.effective_type());
    spec.properties.values_mut().for_each(property);
}

fn step_result(result: &mut StepResult) {
    result.type_ = Some(result.effective_type());
    result.properties.values_mut().for_each(property);
}

fn property(property: &mut PropertySpec) {
    property.type_.get_or_insert(ParamType::String);
}

/// Whoever made a run could otherwise claim that it is signed.
fn without_chains(metadata: &mut kube::core::ObjectMeta) {
    if let Some(all) = &mut metadata.annotations {
        all.retain(|key, _| !key.starts_with(annotations::CHAINS_PREFIX));
        if all.is_empty() {
            metadata.annotations = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Defaults;
    use rstest::rstest;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn config() -> Config {
        let defaults = Defaults {
            service_account: "builder".to_owned(),
            pod_template: Some(serde_json::from_value(json!({"nodeSelector": {"a": "b"}})).unwrap()),
            resolver_type: "git".to_owned(),
            ..Defaults::default()
        };
        Config { defaults, ..Config::default() }
    }

    /// `spec` after defaulting, which a second time changes nothing.
    fn defaulted<K: Serialize + DeserializeOwned>(kind: &str, spec: &Value, fill: impl Fn(&mut K)) -> Value {
        let value =
            json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        let mut object: K = serde_json::from_value(value).unwrap();
        fill(&mut object);
        let once = serde_json::to_value(&object).unwrap();
        fill(&mut object);
        assert_eq!(serde_json::to_value(&object).unwrap(), once, "idempotent");
        once
    }

    #[rstest]
    #[case::string(json!({"name": "p"}), json!({"name": "p", "type": "string"}))]
    #[case::by_default(json!({"name": "p", "default": ["x"]}), json!({"name": "p", "type": "array", "default": ["x"]}))]
    #[case::by_properties(json!({"name": "p", "properties": {"k": {}}}), json!({"name": "p", "type": "object", "properties": {"k": {"type": "string"}}}))]
    #[case::given(json!({"name": "p", "type": "array"}), json!({"name": "p", "type": "array"}))]
    fn params_have_types(#[case] param: Value, #[case] expected: Value) {
        let spec = json!({"params": [param]});
        let task = defaulted("Task", &spec, |object: &mut Task| super::task(object, &config()));
        assert_eq!(task["spec"]["params"], json!([expected]));
        let nested = json!({"tasks": [{"name": "t", "taskSpec": spec}], "params": spec["params"]});
        let pipeline =
            defaulted("Pipeline", &nested, |object: &mut Pipeline| super::pipeline(object, &config()));
        assert_eq!(pipeline["spec"]["params"], json!([expected]));
        assert_eq!(pipeline["spec"]["tasks"][0]["taskSpec"]["params"], json!([expected]));
        let action = defaulted("StepAction", &spec, |object: &mut StepAction| step_action(object));
        assert_eq!(action["spec"]["params"], json!([expected]));
    }

    #[test]
    fn results_have_types() {
        let results = json!([{"name": "s"}, {"name": "o", "properties": {"k": {}}}]);
        let expected = json!([{"name": "s", "type": "string"}, {"name": "o", "type": "object", "properties": {"k": {"type": "string"}}}]);
        let spec = json!({"results": results, "steps": [{"results": results}]});
        let task = defaulted("Task", &spec, |object: &mut Task| super::task(object, &config()));
        assert_eq!((&task["spec"]["results"], &task["spec"]["steps"][0]["results"]), (&expected, &expected));
    }

    #[rstest]
    #[case::name(json!({"name": "t"}), json!({"name": "t", "kind": "Task"}))]
    #[case::nothing(json!({}), json!({"resolver": "git"}))]
    #[case::resolver(json!({"resolver": "bundles"}), json!({"resolver": "bundles"}))]
    #[case::custom(json!({"apiVersion": "a/v1", "kind": "K"}), json!({"apiVersion": "a/v1", "kind": "K"}))]
    fn references_have_a_kind_or_a_resolver(#[case] reference: Value, #[case] expected: Value) {
        let spec = json!({"taskRef": reference});
        let run = defaulted("TaskRun", &spec, |object: &mut TaskRun| task_run(object, &config(), false));
        assert_eq!(run["spec"]["taskRef"], expected);
    }

    #[test]
    fn a_pipeline_run_is_filled_in() {
        let spec = json!({"pipelineRef": {}, "timeouts": {"tasks": "5m"}, "taskRunTemplate": {"podTemplate": {"hostNetwork": true}}});
        let run = defaulted("PipelineRun", &spec, |object: &mut PipelineRun| {
            pipeline_run(object, &config(), false);
        });
        let expected = json!({
            "pipelineRef": {"resolver": "git"}, "timeouts": {"pipeline": "1h0m0s", "tasks": "5m"},
            "taskRunTemplate": {
                "serviceAccountName": "builder", "podTemplate": {"hostNetwork": true, "nodeSelector": {"a": "b"}},
            },
        });
        assert_eq!(run["spec"], expected);
    }

    #[test]
    fn what_a_run_says_stays() {
        let spec =
            json!({"taskRef": {"name": "t", "kind": "Task"}, "timeout": "0s", "serviceAccountName": "own"});
        let run =
            defaulted("TaskRun", &spec, |object: &mut TaskRun| task_run(object, &Config::default(), false));
        assert_eq!(run["spec"], spec);
        assert_eq!(run["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "tekton-pipelines"}));
        let mut run: TaskRun = serde_json::from_value(run).unwrap();
        run.metadata.labels = Some([(labels::MANAGED_BY.to_string(), "me".to_owned())].into());
        task_run(&mut run, &config(), false);
        assert_eq!(run.metadata.labels.unwrap()[labels::MANAGED_BY.as_str()], "me");
    }

    #[test]
    fn a_custom_run_has_an_account() {
        let run = defaulted("CustomRun", &json!({}), |object: &mut CustomRun| custom_run(object, &config()));
        assert_eq!(run["spec"], json!({"serviceAccountName": "builder"}));
    }

    #[test]
    fn only_chains_writes_its_annotations() {
        let mut run = PipelineRun::new("a", Default::default());
        let written = [("chains.tekton.dev/signed", "true"), ("mine", "yes")];
        run.metadata.annotations =
            Some(written.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let mut updated = run.clone();
        pipeline_run(&mut run, &config(), true);
        assert_eq!(run.metadata.annotations.unwrap().into_keys().collect::<Vec<_>>(), ["mine"]);
        pipeline_run(&mut updated, &config(), false);
        assert_eq!(updated.metadata.annotations.unwrap().len(), 2, "chains itself updates runs");
    }
}
