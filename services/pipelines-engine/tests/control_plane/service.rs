//! The engine as it is deployed, but for the pod: its code runs here, with the rights of its base; pods are played.

use std::fmt::Debug;
use std::io::Write as _;

use clap::Parser as _;
use fleet::Fleet;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use pipelines_engine::Args;
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, RunCondition, TaskRun};
use prometheus::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::ledger::{Calls, Mark};
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, PlayedKubelet, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A tenant's namespace with a played kubelet, and an engine that works in it alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) kubelet: PlayedKubelet,
    /// What is delivered to the namespace; nobody runs it here.
    entrypoint: tempfile::NamedTempFile,
    flags: Vec<String>,
    /// Of the engine that runs, or ran last.
    metrics: Registry,
    stop: CancellationToken,
    ended: Option<JoinHandle<Result<(), fleet::Error>>>,
}

impl Service {
    /// Installs the engine and starts it, without webhooks.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::with(&[], &[]).await
    }

    /// As [`Self::start`], with these entries of its ConfigMaps (by their names) and further flags.
    pub(crate) async fn with(settings: &[(&str, Value)], flags: &[String]) -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("pipelines-engine", None).await?;
        let maps: Api<ConfigMap> = Api::namespaced(plane.admin(), installed.namespace());
        for (name, data) in settings {
            maps.patch(name, &PatchParams::default(), &Patch::Merge(json!({"data": data}))).await?;
        }
        let kubelet = PlayedKubelet::start(plane.admin(), &tenant).await?;
        let mut entrypoint = tempfile::NamedTempFile::new()?;
        entrypoint.write_all(b"not run")?;
        let mut service = Self {
            plane,
            tenant,
            installed,
            kubelet,
            entrypoint,
            flags: flags.to_vec(),
            metrics: Registry::new(),
            stop: CancellationToken::new(),
            ended: None,
        };
        service.run().await?;
        Ok(service)
    }

    /// Starts the engine, also after it was stopped.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let mut flags: Vec<String> = [
            "pipelines-engine",
            "--metrics-addr=127.0.0.1:0",
            "--health-addr=127.0.0.1:0",
            "--enable-webhooks=false",
            "--entrypoint-image=images.example/entrypoint",
            &format!("--entrypoint={}", self.entrypoint.path().display()),
            &format!("--watch-namespaces={}", self.tenant),
            &format!("--namespace={}", self.installed.namespace()),
            "--identity=test",
        ]
        .map(str::to_owned)
        .into();
        flags.extend(self.flags.iter().cloned());
        let args = Args::try_parse_from(flags)?;
        self.metrics = Registry::new();
        let client = fleet::client::build(self.installed.config().await?, &self.metrics)?;
        self.stop = CancellationToken::new();
        let fleet = Fleet::new(
            "pipelines-engine",
            args.fleet.clone(),
            client,
            self.metrics.clone(),
            self.stop.clone(),
        )?;
        self.ended = Some(tokio::spawn(pipelines_engine::run(args, fleet)));
        Ok(())
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

    /// The tenant's objects of a kind, as an administrator sees them.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin(), &self.tenant)
    }

    pub(crate) fn pipeline_runs(&self) -> Api<PipelineRun> {
        self.api()
    }

    pub(crate) fn task_runs(&self) -> Api<TaskRun> {
        self.api()
    }

    /// Creates a PipelineRun.
    pub(crate) async fn run_pipeline(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        self.pipeline_runs().create(&PostParams::default(), &run("PipelineRun", name, spec)).await?;
        Ok(())
    }

    /// Creates a TaskRun.
    pub(crate) async fn run_task(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        self.task_runs().create(&PostParams::default(), &run("TaskRun", name, spec)).await?;
        Ok(())
    }

    /// Waits until a PipelineRun has ended.
    pub(crate) async fn end_of(&self, name: &str) -> anyhow::Result<PipelineRun> {
        wait_for(&self.pipeline_runs(), name, "its end", DEADLINE, |run: &PipelineRun| {
            is_end(&of_pipeline_run(run))
        })
        .await
    }

    /// Waits until a TaskRun has ended.
    pub(crate) async fn end_of_task(&self, name: &str) -> anyhow::Result<TaskRun> {
        wait_for(&self.task_runs(), name, "its end", DEADLINE, |run: &TaskRun| is_end(&of_task_run(run)))
            .await
    }

    /// Waits until the condition of a TaskRun has this reason.
    pub(crate) async fn task_says(&self, name: &str, reason: &str) -> anyhow::Result<TaskRun> {
        wait_for(&self.task_runs(), name, reason, DEADLINE, |run: &TaskRun| of_task_run(run).1 == reason)
            .await
    }

    /// Merges into an object of the tenant.
    pub(crate) async fn merge<K>(&self, name: &str, patch: &Value) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        Ok(self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    }

    /// The names of all pods, sorted.
    pub(crate) async fn pods(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.api::<Pod>().list(&ListParams::default()).await?;
        let mut names: Vec<_> = pods.into_iter().filter_map(|pod| pod.metadata.name).collect();
        names.sort();
        Ok(names)
    }

    /// What the engine asked for since then.
    pub(crate) async fn calls(&self, since: &Mark) -> anyhow::Result<Calls> {
        Ok(self.plane.ledger()?.since(since).await?.by(&self.installed.user()?).except("leases"))
    }

    /// Lets a run of one task pass through the engine: whatever was due before it has been done by its end.
    pub(crate) async fn pass(&self, name: &str) -> anyhow::Result<()> {
        self.run_pipeline(name, &json!({"pipelineSpec": {"tasks": [task("a")]}})).await?;
        self.end_of(name).await?;
        Ok(())
    }

    /// How often a controller has looked at anything.
    pub(crate) fn reconciles(&self, controller: &str) -> u64 {
        let families = self.metrics.gather();
        let of_controller = families
            .iter()
            .filter(|family| family.name() == "controller_runtime_reconcile_total")
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .filter(|metric| metric.get_label().iter().any(|label| label.value() == controller));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        of_controller.map(|metric| metric.get_counter().get_value() as u64).sum()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A run as a manifest has it.
pub(crate) fn run<K: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> K {
    let object = json!({
        "apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).expect("test objects have the type that they are made for")
}

/// A task of a Pipeline, of one step.
pub(crate) fn task(name: &str) -> Value {
    json!({"name": name, "taskSpec": {"steps": [step("x")]}})
}

/// A step whose command is said, so that nobody looks its image up.
pub(crate) fn step(command: &str) -> Value {
    json!({"name": "s", "image": "images.example/tool", "command": [command]})
}

/// `base` with the fields of `more`.
pub(crate) fn with(mut base: Value, more: &Value) -> Value {
    if let (Some(base), Some(more)) = (base.as_object_mut(), more.as_object()) {
        base.extend(more.clone());
    }
    base
}

/// What the entrypoint leaves for the kubelet: results of the Task by their names.
pub(crate) fn results(values: &[(&str, &str)]) -> String {
    let entries: Vec<_> =
        values.iter().map(|(key, value)| json!({"key": key, "value": value, "type": 1})).collect();
    Value::Array(entries).to_string()
}

/// A note of the entrypoint's own, such as `Reason` or `ExitCode`.
pub(crate) fn note(key: &str, value: &str) -> String {
    json!([{"key": key, "value": value, "type": 3}]).to_string()
}

fn said(conditions: Option<&[RunCondition]>) -> (String, String) {
    let condition = conditions.and_then(succeeded);
    condition.map(|condition| (condition.status.clone(), condition.reason.clone())).unwrap_or_default()
}

fn is_end(said: &(String, String)) -> bool {
    ["True", "False"].contains(&said.0.as_str())
}

/// Status and reason of a TaskRun's condition, empty while it has none.
pub(crate) fn of_task_run(run: &TaskRun) -> (String, String) {
    said(run.status.as_ref().map(|status| status.conditions.as_slice()))
}

/// As [`of_task_run`].
pub(crate) fn of_pipeline_run(run: &PipelineRun) -> (String, String) {
    said(run.status.as_ref().map(|status| status.conditions.as_slice()))
}

/// The message of the condition.
pub(crate) fn message(conditions: &[RunCondition]) -> &str {
    succeeded(conditions).map(|condition| condition.message.as_str()).unwrap_or_default()
}

/// The words of a condition that has ended well or badly, for comparisons.
pub(crate) fn says(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}
