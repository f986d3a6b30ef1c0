//! The engine as it is deployed, but for the pod: its code runs here, with the rights of its base; pods are played.

use std::io::Write as _;

use clap::Parser as _;
use fleet::Fleet;
use kube::{Api, Client};
use pipelines_engine::Args;
use pipelines_engine_api::{PipelineRun, TaskRun};
use prometheus::Registry;
use serde_json::{Value, json};
use testkit::{ControlPlane, Installed, Namespace, PlayedKubelet};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A tenant's namespace with a played kubelet, and an engine that works in it alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) kubelet: PlayedKubelet,
    /// What is delivered to the namespace; nobody runs it here.
    _entrypoint: tempfile::NamedTempFile,
    stop: CancellationToken,
    ended: Option<JoinHandle<Result<(), fleet::Error>>>,
}

impl Service {
    /// Installs the engine and starts it, without webhooks.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("pipelines-engine", None).await?;
        let kubelet = PlayedKubelet::start(plane.admin(), &tenant).await?;
        let mut entrypoint = tempfile::NamedTempFile::new()?;
        entrypoint.write_all(b"not run")?;
        let args = Args::try_parse_from([
            "pipelines-engine",
            "--metrics-addr=127.0.0.1:0",
            "--health-addr=127.0.0.1:0",
            "--enable-webhooks=false",
            "--entrypoint-image=images.example/entrypoint",
            &format!("--entrypoint={}", entrypoint.path().display()),
            &format!("--watch-namespaces={tenant}"),
            &format!("--namespace={}", installed.namespace()),
            "--identity=test",
        ])?;
        let registry = Registry::new();
        let client = fleet::client::build(installed.config().await?, &registry)?;
        let stop = CancellationToken::new();
        let fleet = Fleet::new("pipelines-engine", args.fleet.clone(), client, registry, stop.clone())?;
        let ended = Some(tokio::spawn(pipelines_engine::run(args, fleet)));
        Ok(Self { plane, tenant, installed, kubelet, _entrypoint: entrypoint, stop, ended })
    }

    /// Stops the engine gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        if let Some(ended) = self.ended.take() {
            ended.await??;
        }
        Ok(())
    }

    pub(crate) fn admin(&self) -> Client {
        self.plane.admin()
    }

    pub(crate) fn pipeline_runs(&self) -> Api<PipelineRun> {
        Api::namespaced(self.admin(), &self.tenant)
    }

    pub(crate) fn task_runs(&self) -> Api<TaskRun> {
        Api::namespaced(self.admin(), &self.tenant)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A run as a manifest has it.
pub(crate) fn run<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> K {
    let object = json!({
        "apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).expect("test objects have the type that they are made for")
}
