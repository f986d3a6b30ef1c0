//! The four paths of the webhook as an API server calls them, with the configurations of the base.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use fleet::certificate::CertificateBundle;
use kube::api::{Api, ApiResource, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind};
use pipelines_engine::config::{Config, Names};
use pipelines_engine::webhook::webhooks;
use serde_json::{Value, json};

use testkit::pki::Authority;
use testkit::{ControlPlane, DEADLINE, Options, Webhooks, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A control plane with the engine's kinds and webhooks, but no engine.
struct Served {
    plane: ControlPlane,
    serving: tokio::task::JoinHandle<Result<(), fleet::webhook::Error>>,
    cancel: DropGuard,
}

impl Served {
    async fn start() -> anyhow::Result<Self> {
        let plane = ControlPlane::start(Options::default()).await?;
        let authority = Authority::new("engine")?;
        let leaf = authority.server("engine", &["127.0.0.1"])?;
        let key = fleet::Secret::new(leaf.key_pem);
        let bundle = CertificateBundle::parse(authority.cert_pem().to_owned(), leaf.cert_pem, key)?;
        let config = Arc::new(Config::default());
        let server = webhooks(Arc::new(move || config.clone()), Names::default())
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &prometheus::Registry::new())?;
        let port = server.listening().port();
        let cancel = CancellationToken::new();
        let (_, certificates) = tokio::sync::watch::channel(Some(Arc::new(bundle)));
        let serving = tokio::spawn(server.run(certificates, cancel.clone()));
        let to_here = Webhooks { port, ca_pem: Some(authority.cert_pem()), namespaces: &[] };
        plane.install("pipelines-engine", Some(to_here)).await?;
        let started = Self { plane, serving, cancel: cancel.drop_guard() };
        started.await_webhooks().await?;
        Ok(started)
    }

    /// Waits until the API server asks all three of admission.
    async fn await_webhooks(&self) -> anyhow::Result<()> {
        let unknown = object("tekton.dev/v1", "Task", "probe", &json!({"unknown": 1}));
        let invalid = object("tekton.dev/v1", "Task", "probe", &json!({"steps": []}));
        for (object, what) in [
            (unknown, "mutation failed"),
            (invalid, "validation failed"),
            (flags("gamma"), "validation failed"),
        ] {
            eventually(DEADLINE, "the webhooks to be asked", async || {
                let refused = self.create(&object, true).await.err();
                let message = refused.map(|(_, message)| message).unwrap_or_default();
                anyhow::ensure!(message.contains(what), "answered: {message:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.plane.admin(), "default", &resource)
    }

    /// Creates an object; the error is HTTP status and message.
    async fn create(&self, object: &Value, dry_run: bool) -> Result<Value, (u16, String)> {
        let api = self.api(text(&object["apiVersion"]), text(&object["kind"]));
        let params = PostParams { dry_run, ..PostParams::default() };
        let object = serde_json::from_value(object.clone()).expect("an object");
        answer(api.create(&params, &object).await)
    }

    async fn merge(&self, object: &Value, patch: &Value) -> Result<Value, (u16, String)> {
        let api = self.api(text(&object["apiVersion"]), text(&object["kind"]));
        let name = text(&object["metadata"]["name"]);
        answer(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await)
    }
}

/// The object, or HTTP status and message. What is no answer of the API server has status 0.
fn answer(answer: kube::Result<DynamicObject>) -> Result<Value, (u16, String)> {
    match answer {
        Ok(object) => Ok(serde_json::to_value(object).expect("an object is JSON")),
        Err(kube::Error::Api(status)) => Err((status.code, status.message.clone())),
        Err(error) => Err((0, error.to_string())),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn object(api_version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn flags(stability: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"enable-api-fields": stability},
        "metadata": {"name": "feature-flags", "labels": {"app.kubernetes.io/part-of": "tekton-pipelines"}},
    })
}

const V1: &str = "tekton.dev/v1";

/// Unknown field rejected, `emptydir` accepted; duplicate params, cycles, bad result references give the messages.
#[tokio::test]
async fn scenario_22_objects_are_filled_in_and_checked() -> anyhow::Result<()> {
    let served = Served::start().await?;
    let refused = async |object: &Value| served.create(object, false).await.unwrap_err();

    let task = json!({"steps": [{"image": "i"}], "volumes": [{"name": "v", "emptydir": {}}], "params": [{"name": "p"}]});
    let stored = served.create(&object(V1, "Task", "volumes", &task), false).await.unwrap();
    assert_eq!(stored["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
    assert_eq!(stored["spec"]["params"], json!([{"name": "p", "type": "string"}]));

    let unknown = object(V1, "Task", "unknown", &json!({"steps": [{"image": "i", "imagine": 1}]}));
    assert_eq!(
        refused(&unknown).await,
        (400, "admission webhook \"webhook.pipeline.tekton.dev\" denied the request: mutation failed: cannot decode \
               incoming new object: json: unknown field \"imagine\" (spec.steps[0].imagine)".to_owned())
    );

    let denied = |lines: &str| {
        let who = "admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request";
        (400, format!("{who}: validation failed: {lines}"))
    };
    let task = |name: &str, more: &Value| {
        let mut task = json!({"name": name, "taskRef": {"name": "t"}});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    };
    let cycle =
        json!({"tasks": [task("a", &json!({"runAfter": ["b"]})), task("b", &json!({"runAfter": ["a"]}))]});
    assert_eq!(
        refused(&object(V1, "Pipeline", "cycle", &cycle)).await,
        denied("invalid value: cycle detected; task \"a\" depends on \"b\": spec.tasks")
    );
    let results = json!({
        "tasks": [task("a", &json!({"params": [{"name": "p", "value": "$(tasks.x.results.r)"}]}))],
        "results": [{"name": "r", "value": "$(tasks.x.results.r)"}],
    });
    assert_eq!(
        refused(&object(V1, "Pipeline", "results", &results)).await,
        denied(
            "invalid value: referencing a nonexistent task: spec.results[0].value\n\
                invalid value: task a depends on x but x wasn't present in Pipeline: spec.tasks"
        )
    );
    let twice = json!({"pipelineRef": {"name": "p"}, "params": [{"name": "a", "value": "x"}, {"name": "a", "value": "y"}]});
    assert_eq!(
        refused(&object(V1, "PipelineRun", "twice", &twice)).await,
        denied("expected exactly one, got both: spec.params[a].name")
    );
    let older = object(
        "tekton.dev/v1beta1",
        "TaskRun",
        "older",
        &json!({"status": "Stop", "taskRef": {"name": "t"}}),
    );
    assert_eq!(
        refused(&older).await,
        denied("invalid value: Stop should be TaskRunCancelled: spec.status"),
        "what is written in another version is checked all the same"
    );
    let (code, message) = refused(&flags("gamma")).await;
    assert_eq!(code, 400);
    assert!(message.contains("\"config.webhook.pipeline.tekton.dev\""), "{message}");
    assert!(message.contains("enable-api-fields: \"gamma\" is not valid"), "{message}");
    Ok(())
}

#[tokio::test]
async fn finished_runs_change_in_their_metadata_only() -> anyhow::Result<()> {
    let served = Served::start().await?;
    let mut run = object(V1, "PipelineRun", "run", &json!({"pipelineRef": {"name": "p"}}));
    run["metadata"]["annotations"] = json!({"chains.tekton.dev/signed": "true", "mine": "yes"});
    let stored = served.create(&run, false).await.unwrap();
    assert_eq!(stored["metadata"]["annotations"], json!({"mine": "yes"}));
    assert_eq!(stored["spec"]["timeouts"], json!({"pipeline": "1h0m0s"}));
    assert_eq!(stored["spec"]["taskRunTemplate"], json!({"serviceAccountName": "default"}));

    let status = json!({"status": {"startTime": "2024-03-01T12:00:00Z", "conditions": [{"type": "Succeeded", "status": "True"}]}});
    let api = served.api(V1, "PipelineRun");
    api.patch_status("run", &PatchParams::default(), &Patch::Merge(status)).await?;
    let signed = json!({"metadata": {"annotations": {"chains.tekton.dev/signed": "true"}, "finalizers": ["chains.tekton.dev/x"]}});
    let after = served.merge(&run, &signed).await.unwrap();
    assert_eq!(
        after["metadata"]["annotations"]["chains.tekton.dev/signed"], "true",
        "chains writes to what is there"
    );
    let (code, message) = served.merge(&run, &json!({"spec": {"status": "Cancelled"}})).await.unwrap_err();
    assert_eq!(code, 400);
    assert!(message.contains("Once the PipelineRun is complete, no updates are allowed: spec"), "{message}");

    // Decision 23: the service being away stops nobody.
    drop(served.cancel);
    served.serving.await??;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("tekton.dev", "v1", "Task"));
    let tasks: Api<DynamicObject> = Api::namespaced_with(served.plane.admin(), "default", &resource);
    let invalid = object(V1, "Task", "unchecked", &json!({"unknown": 1}));
    let created = tasks.create(&PostParams::default(), &serde_json::from_value(invalid)?).await?;
    assert_eq!(created.data["spec"], json!({"unknown": 1}));
    Ok(())
}

/// A v1beta1 Task with bundle reference and deprecated fields survives the v1 round trip.
#[tokio::test]
async fn scenario_21_older_versions_survive() -> anyhow::Result<()> {
    let served = Served::start().await?;
    let older = "tekton.dev/v1beta1";
    let spec = json!({"steps": [{
        "name": "s", "image": "i", "resources": {"limits": {"cpu": "1"}}, "ports": [{"containerPort": 80}], "tty": true,
    }]});
    let task = object(older, "Task", "deprecated", &spec);
    let created = served.create(&task, false).await.unwrap();
    assert_eq!(created["spec"], spec);
    let newer = serde_json::to_value(served.api(V1, "Task").get("deprecated").await?)?;
    assert_eq!(
        newer["spec"],
        json!({"steps": [{"name": "s", "image": "i", "computeResources": {"limits": {"cpu": "1"}}}]})
    );
    // A client of the newer version writes back what it has read, with a change of its own.
    served
        .merge(&object(V1, "Task", "deprecated", &Value::Null), &json!({"spec": {"description": "new"}}))
        .await
        .unwrap();
    let back = serde_json::to_value(served.api(older, "Task").get("deprecated").await?)?;
    let mut expected = spec;
    expected["description"] = json!("new");
    assert_eq!(back["spec"], expected);
    assert_eq!(back["metadata"]["annotations"], Value::Null, "nothing of the conversion shows");

    let run = object(
        older,
        "PipelineRun",
        "bundled",
        &json!({
            "pipelineRef": {"name": "p", "bundle": "registry.example.com/b"}, "timeout": "5m", "serviceAccountName": "s",
        }),
    );
    let created = served.create(&run, false).await.unwrap();
    assert_eq!(created["spec"]["pipelineRef"], run["spec"]["pipelineRef"]);
    assert_eq!(created["spec"]["timeout"], "5m");
    let newer = serde_json::to_value(served.api(V1, "PipelineRun").get("bundled").await?)?;
    assert_eq!(newer["spec"]["pipelineRef"]["resolver"], "bundles");
    assert_eq!(newer["spec"]["timeouts"], json!({"pipeline": "5m"}));
    assert_eq!(newer["spec"]["taskRunTemplate"], json!({"serviceAccountName": "s"}));
    Ok(())
}
