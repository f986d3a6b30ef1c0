//! The engine that is measured: its manifests on an API server, its program as a process of this machine.
//!
//! ```text
//! CRDs, account, rules, settings ──▶ API server ◀── the engine's own token ── pipelines-engine
//!                                         └───────── webhooks, by URL ──────────▶ ┘
//! ```
//! As a process beside the cluster and not as a pod in it, because the kernel then tells what it costs, and because a
//! release build is measured without an image of it.
use std::{
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use kube::{Api, api::PostParams, core::DynamicObject};
use pipelines_engine_api::TaskRun;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{ControlPlane, manifests};

use crate::{
    bench::{account, process::Service},
    paths,
};

pub(super) const SERVICE: &str = "pipelines-engine";
/// Where it lives, and its Leases.
pub(super) const NAMESPACE: &str = "tekton-pipelines";
/// Kinds of the base that run the engine in a cluster: here this process does.
const RUNS_IT: [&str; 2] = ["Deployment", "PodDisruptionBudget"];
const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) engine: PathBuf,
    /// What the engine brings to the pods of runs.
    pub(super) entrypoint: PathBuf,
}

/// An API server with the engine's objects.
pub(super) struct Setup<'a> {
    plane: &'a ControlPlane,
    programs: &'a Programs,
    arguments: Vec<String>,
    folder: TempDir,
}

impl<'a> Setup<'a> {
    /// Brings the engine's objects onto an API server, which finds its webhooks at `host`, an address of this machine.
    pub(super) async fn install(
        plane: &'a ControlPlane,
        programs: &'a Programs,
        host: Ipv4Addr,
    ) -> anyhow::Result<Self> {
        let port =
            TcpListener::bind((host, 0)).with_context(|| format!("listen on {host}"))?.local_addr()?.port();
        let kustomize = paths::repository()?.join("deploy/kustomize");
        let mut objects = manifests::read(&kustomize.join("crds").join(SERVICE)).await?;
        objects.extend(manifests::read(&kustomize.join("base").join(SERVICE)).await?);
        objects.retain(|object| !RUNS_IT.contains(&kind(object)));
        for object in &mut objects {
            redirect_webhooks(object, host, port);
        }
        manifests::apply(&plane.admin(), objects, NAMESPACE).await?;

        let folder = tempfile::tempdir().context("create a folder for the engine's log")?;
        let kubeconfig = folder.path().join("kubeconfig");
        account::write_kubeconfig(plane, NAMESPACE, SERVICE, &kubeconfig).await?;
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={NAMESPACE}"),
            format!("--webhook-addr={host}:{port}"),
            format!("--webhook-names={host}"),
            format!("--entrypoint={}", programs.entrypoint.display()),
            // Nothing here is delivered by image.
            "--entrypoint-image=example.invalid/entrypoint".to_owned(),
            "--log-filter=warn".to_owned(),
        ];
        Ok(Self { plane, programs, arguments, folder })
    }

    /// Starts the engine, and waits until its caches are filled.
    pub(super) async fn start(&self) -> anyhow::Result<Service> {
        let log = self.folder.path().join("log");
        Service::start(&self.programs.engine, &self.arguments, &log).await
    }

    /// Waits until the API server asks the webhooks: until then it takes everything, and sooner than it will.
    pub(super) async fn await_webhooks(&self) -> anyhow::Result<()> {
        let runs = Api::<TaskRun>::namespaced(self.plane.admin(), "default");
        let invalid: TaskRun = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "metadata": {"name": "to-be-refused"},
            "spec": {"taskRef": {"name": "t"}, "taskSpec": {"steps": [{"image": "i"}]}},
        }))?;
        let trial = PostParams { dry_run: true, ..PostParams::default() };
        let what = "the API server to ask the engine's webhooks; is there a firewall between the two?";
        testkit::eventually(PATIENCE, what, async || match runs.create(&trial, &invalid).await {
            Ok(_) => anyhow::bail!("an invalid TaskRun was taken"),
            Err(kube::Error::Api(status)) => {
                ensure!(status.message.contains("validation failed"), "{}", status.message);
                Ok(())
            }
            Err(error) => Err(error.into()),
        })
        .await
    }

    /// The engine, as the API server knows it.
    pub(super) fn user() -> String {
        testkit::user_name(NAMESPACE, SERVICE)
    }
}

fn kind(object: &DynamicObject) -> &str {
    object.types.as_ref().map_or("", |types| &types.kind)
}

/// Puts an address in the place of the Service, which leads nowhere here. The engine adds its authority.
fn redirect_webhooks(object: &mut DynamicObject, host: Ipv4Addr, port: u16) {
    let webhooks = object.data.get_mut("webhooks").and_then(Value::as_array_mut);
    for webhook in webhooks.into_iter().flatten() {
        let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap_or("/").to_owned();
        webhook["clientConfig"] = json!({"url": format!("https://{host}:{port}{path}")});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_lead_to_this_machine() {
        let mut objects = manifests::parse(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n\
             apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: b}\n\
             webhooks:\n- name: x\n  clientConfig: {service: {name: e, namespace: n, path: /check, port: 443}}\n",
        )
        .unwrap();
        for object in &mut objects {
            redirect_webhooks(object, Ipv4Addr::LOCALHOST, 9);
        }
        assert_eq!((kind(&objects[0]), &objects[0].data), ("ConfigMap", &json!({})));
        assert_eq!(
            objects[1].data["webhooks"][0]["clientConfig"],
            json!({"url": "https://127.0.0.1:9/check"})
        );
    }
}
