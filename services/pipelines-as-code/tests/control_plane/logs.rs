//! What a failed step said, as the forge shows it. The kubelet that knows the log is a server of this test.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::routing::get;
use fleet::certificate::Directory;
use fleet::http::{Limits, Server};
use k8s_openapi::api::core::v1::{Node, Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use pipelines_as_code_api::Repository;
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};
use testkit::engine::{RunScript, Runs};
use testkit::{DEADLINE, builders, wait_gone};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::service::{ON_PUSH, Service, definition, label};

/// What nobody may read.
const PASSWORD: &str = "hunter2-hunter2";

/// A node whose kubelet answers for the logs of all pods that it is said to run.
struct Kubelet {
    node: String,
    task: JoinHandle<()>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    async fn start(service: &Service, log: String) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let leaf = service.authority.server("kubelet", &["127.0.0.1"])?;
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&certificate, &leaf.cert_pem)?;
        std::fs::write(&key, &leaf.key_pem)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind("kubelet", address, Limits::default())?;
        let port = server.listening().port();
        let routes = Router::new()
            .route("/containerLogs/{namespace}/{pod}/{container}", get(move || async move { log.clone() }));
        let task = tokio::spawn(async move {
            let directory = Directory::files(certificate, key);
            let certificates = directory.certificates();
            let end = CancellationToken::new();
            tokio::spawn(directory.run(end.clone()));
            let ended = server.run(routes, Some(certificates), end).await;
            drop((ended, folder));
        });

        let node = format!("node-of-{}", &*service.tenant);
        let nodes: Api<Node> = Api::all(service.admin());
        let object: Node = serde_json::from_value(json!({"metadata": {"name": node}}))?;
        nodes.create(&PostParams::default(), &object).await?;
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        nodes.patch_status(&node, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(Self { node, task })
    }

    /// Makes a pod that runs there.
    async fn pod(&self, service: &Service, name: &str) -> anyhow::Result<()> {
        let containers = json!([{"name": "step-work", "image": "images.example/work"}]);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"nodeName": self.node, "containers": containers},
        }))?;
        service.api::<Pod>().create(&PostParams::default(), &pod).await?;
        Ok(())
    }

    async fn remove(self, service: &Service) -> anyhow::Result<()> {
        let nodes: Api<Node> = Api::all(service.admin());
        nodes.delete(&self.node, &DeleteParams::default()).await?;
        wait_gone(&nodes, &self.node, DEADLINE).await
    }
}

/// Ends a run as the engine does when a step of its only task failed, in this pod.
async fn fail(service: &Service, run: &PipelineRun, pod: &str) -> anyhow::Result<()> {
    let name = format!("{}-work", run.name_any());
    let repository = label(run, "repository");
    let env =
        json!([{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}}]);
    let task = json!({"steps": [{"name": "work", "image": "images.example/work", "env": env}]});
    let task_run: TaskRun = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            "tekton.dev/pipelineRun": run.name_any(),
            "pipelinesascode.tekton.dev/repository": repository,
        }},
        "spec": {"taskSpec": task},
    }))?;
    service.api::<TaskRun>().create(&PostParams::default(), &task_run).await?;
    let failed = |reason: &str| -> Value {
        json!([{"type": "Succeeded", "status": "False", "reason": reason, "message": "it failed"}])
    };
    let step = json!({
        "name": "work", "container": "step-work", "terminationReason": "Error",
        "terminated": {"exitCode": 1, "reason": "Error"},
    });
    let status = json!({"status": {
        "podName": pod, "conditions": failed("Failed"), "steps": [step], "taskSpec": task,
    }});
    service.api::<TaskRun>().patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    let child =
        json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": name, "pipelineTaskName": "work"});
    let status = json!({"status": {"childReferences": [child], "conditions": failed("Failed")}});
    let runs = service.api::<PipelineRun>();
    runs.patch_status(&run.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

#[tokio::test]
async fn s19_values_of_secrets_are_not_shown() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::never_starts());
    let secret = builders::secret(&service.tenant, "login", [("password", PASSWORD)]);
    service.api::<Secret>().create(&PostParams::default(), &secret).await?;
    let log = format!("begin\nlogin with {PASSWORD}\nmain.go:3: {PASSWORD} is wrong\nthe end\n");
    let kubelet = Kubelet::start(&service, log).await?;
    kubelet.pod(&service, "work-pod").await?;

    let (commit, event) =
        service.commit("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    service.deliver(&event).await?;
    let run = service.has_runs(1).await?.remove(0);
    fail(&service, &run, "work-pod").await?;
    let check = service.check(&commit, "that failed", |check| check.conclusion.is_some()).await?;
    assert_eq!(check.conclusion.as_deref(), Some("failure"));
    let text = check.output["text"].as_str().unwrap_or_default();
    anyhow::ensure!(text.contains("login with *****\nmain.go:3: ***** is wrong\nthe end"), "{text}");
    // What the log says of files is said at the files, and of that no more either.
    assert_eq!(check.annotations.len(), 1, "{:?}", check.annotations);
    assert_eq!(
        (&check.annotations[0]["path"], &check.annotations[0]["start_line"]),
        (&json!("main.go"), &json!(3))
    );
    service.until(&run.name_any(), "the end", |run| label(run, "state") == "completed").await?;
    let shown = [check.output.to_string(), json!(check.annotations).to_string()].concat();
    anyhow::ensure!(!shown.contains(PASSWORD), "{shown}");
    let repository = service.api::<Repository>().get("app").await?;
    let history = serde_json::to_string(&repository.spec.pipelinerun_status)?;
    anyhow::ensure!(history.contains("*****") && !history.contains(PASSWORD), "{history}");
    kubelet.remove(&service).await
}
