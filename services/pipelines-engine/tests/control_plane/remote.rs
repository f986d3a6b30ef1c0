//! Scenario 20: runs whose Pipelines, Tasks and StepActions are elsewhere.

use std::collections::BTreeMap;

use kube::api::ListParams;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{RefSource, ResolutionRequest, TaskRun};
use serde_json::{Value, json};
use testkit::registry::BundleLayer;

use crate::resolvers::{Outside, Resolvers};
use crate::service::{Service, of_pipeline_run, says};

fn object(kind: &str, name: &str, spec: &Value) -> String {
    let object =
        json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    object.to_string()
}

fn a_task(name: &str) -> String {
    let step = json!({"name": "s", "image": "images.example/tool", "command": ["x"]});
    object("Task", name, &json!({"steps": [step]}))
}

fn params(params: &[(&str, &str)]) -> Value {
    params.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn source(run: &TaskRun) -> RefSource {
    let provenance = run.status.as_ref().and_then(|status| status.provenance.clone());
    provenance.and_then(|provenance| provenance.ref_source).unwrap_or_default()
}

#[tokio::test]
async fn scenario_20_each_reference_is_asked_for_once_and_its_source_is_told() -> anyhow::Result<()> {
    let outside = Outside::start().await?;
    let trusted = ("config-registry-cert", json!({"cert": outside.authority.cert_pem()}));
    let mut service = Service::with(&[trusted], &[]).await?;
    let shared = service.plane.namespace("shared").await?;
    let resolvers = Resolvers::start(&service, &[&service.tenant], &outside).await?;

    let layer = BundleLayer { kind: "task", name: "build", content: a_task("build").into_bytes() };
    let digest = outside.registry.push_bundle("tasks", "v1", &[layer]);
    let bundle = format!("{}/tasks:v1", outside.registry.address());
    shared.apply_yaml(&a_task("test")).await?;
    let of_bundle = params(&[("bundle", &bundle), ("name", "build"), ("kind", "task")]);
    let url = outside.git.url("catalog");
    let of_git = params(&[("url", &url), ("pathInRepo", "tasks/check.yaml")]);
    let of_cluster = params(&[("kind", "task"), ("name", "test"), ("namespace", &shared)]);
    let pipeline = object(
        "Pipeline",
        "all",
        &json!({"tasks": [
            {"name": "build", "taskRef": {"resolver": "bundles", "params": of_bundle}},
            {"name": "check", "taskRef": {"resolver": "git", "params": of_git}},
            {"name": "test", "taskRef": {"resolver": "cluster", "params": of_cluster}},
        ]}),
    );
    let files = [("pipeline.yaml", pipeline.as_str()), ("tasks/check.yaml", &a_task("check"))];
    let commit = outside.git.repository("catalog")?.commit(&files)?;

    let of_pipeline = params(&[("url", &url), ("pathInRepo", "pipeline.yaml"), ("revision", &commit)]);
    service.run_pipeline("run", &json!({"pipelineRef": {"resolver": "git", "params": of_pipeline}})).await?;
    let run = service.end_of("run").await?;
    assert_eq!(of_pipeline_run(&run), says("True", "Succeeded"), "{:?}", run.status);
    let provenance = run.status.unwrap_or_default().provenance.unwrap_or_default();
    let found = provenance.ref_source.unwrap_or_default();
    assert_eq!((found.uri, found.entry_point), (format!("git+{url}"), "pipeline.yaml".to_owned()));
    assert_eq!(found.digest["sha1"], commit);

    let build = source(&service.task_runs().get("run-build").await?);
    assert_eq!(format!("sha256:{}", build.digest["sha256"]), digest);
    assert_eq!(build.entry_point, "build");
    let check = source(&service.task_runs().get("run-check").await?);
    assert_eq!((check.uri, &check.digest["sha1"]), (format!("git+{url}"), &commit));
    let test = source(&service.task_runs().get("run-test").await?);
    assert!(test.uri.contains("/task/test@") && test.digest.contains_key("sha256"), "{test:?}");

    // One for the Pipeline, and one for each Task, which its PipelineRun has asked for before the TaskRun was there.
    let requests = service.api::<ResolutionRequest>().list(&ListParams::default()).await?;
    let mut by_resolver = BTreeMap::<_, usize>::new();
    for request in &requests {
        let labels = request.metadata.labels.clone().unwrap_or_default();
        *by_resolver.entry(labels["resolution.tekton.dev/type"].clone()).or_default() += 1;
        let owner = &request.metadata.owner_references.as_deref().unwrap_or_default()[0];
        assert_eq!((&*owner.kind, &*owner.name), ("PipelineRun", "run"));
    }
    assert_eq!(
        by_resolver,
        [("bundles", 1), ("cluster", 1), ("git", 2)].map(|(k, n)| (k.to_owned(), n)).into()
    );
    resolvers.stop().await?;
    service.stop().await
}

#[tokio::test]
async fn scenario_20_a_bad_reference_ends_the_run_with_its_cause() -> anyhow::Result<()> {
    let outside = Outside::start().await?;
    let trusted = ("config-registry-cert", json!({"cert": outside.authority.cert_pem()}));
    let mut service = Service::with(&[trusted], &[]).await?;
    let resolvers = Resolvers::start(&service, &[&service.tenant], &outside).await?;
    outside.git.repository("catalog")?.commit(&[("task.yaml", "kind: [")])?;
    let url = outside.git.url("catalog");
    let bundle = format!("{}/gone:v1", outside.registry.address());
    for (name, resolver, params, cause) in [
        ("gone", "git", params(&[("url", &url), ("pathInRepo", "gone.yaml")]), "no file \"gone.yaml\""),
        ("incomplete", "git", params(&[("url", &url)]), "\"pathInRepo\" is missing"),
        ("inside", "git", params(&[("url", "https://10.0.0.1/x"), ("pathInRepo", "a")]), "--outbound-allow"),
        ("bundle", "bundles", params(&[("bundle", &bundle), ("name", "a")]), "gone:v1"),
    ] {
        let tasks = json!([{"name": "a", "taskRef": {"resolver": resolver, "params": params}}]);
        service.run_pipeline(name, &json!({"pipelineSpec": {"tasks": tasks}})).await?;
        let conditions = service.end_of(name).await?.status.unwrap_or_default().conditions;
        let said = succeeded(&conditions).map(|condition| (&*condition.reason, &*condition.message));
        let (why, message) = said.unwrap_or_default();
        assert_eq!(why, "CouldntGetTask", "{name}: {message}");
        assert!(message.contains("ResolutionFailed") && message.contains(cause), "{name}: {message}");
    }
    resolvers.stop().await?;
    service.stop().await
}
