//! Whether a cluster does what a cluster should: pods, Services by name, volumes, logs, exec, port-forward.
//! Everything happens in a namespace of its own, which is removed at the end.
use std::{process::Output, process::Stdio, time::Duration};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, PersistentVolumeClaim, Pod, Service, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::{Instant, sleep, timeout},
};

use super::{Cluster, image, programs::Programs};
use crate::ui;

/// For each step. Images are there already, so nothing takes long.
const DEADLINE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);
/// Pods run as somebody without rights, as the fleet's do.
const USER: u32 = 65532;

/// Runs all checks on an embedded cluster that is up.
pub async fn run(cluster: &Cluster) -> anyhow::Result<()> {
    let smoke = Smoke::begin(cluster).await?;
    let outcome = smoke.all().await;
    let removed = smoke.end().await;
    outcome?;
    removed
}

/// Leaves a Deployment and a volume with content in a new namespace, whose name is returned.
pub async fn leave(cluster: &Cluster) -> anyhow::Result<String> {
    let smoke = Smoke::begin(cluster).await?;
    let step = ui::step("a Deployment and a volume are there to be kept");
    smoke.deploy().await?;
    smoke.write_volume().await?;
    step.done();
    Ok(smoke.namespace)
}

/// Finds what [`leave`] left as it should be, however often the cluster was restarted since.
pub async fn find(cluster: &Cluster, namespace: &str) -> anyhow::Result<()> {
    let step = ui::step("the Deployment runs again, and the volume has its content");
    let smoke = Smoke::of(cluster, namespace.to_owned()).await?;
    smoke.deployment_is_available().await?;
    smoke.read_volume().await?;
    step.done();
    Ok(())
}

struct Smoke<'a> {
    cluster: &'a Cluster,
    client: Client,
    namespace: String,
    image: String,
}

impl<'a> Smoke<'a> {
    async fn of(cluster: &'a Cluster, namespace: String) -> anyhow::Result<Self> {
        Ok(Self {
            cluster,
            client: cluster.client().await?,
            namespace,
            image: image::reference(&Programs::locate()?.pod)?,
        })
    }

    /// In a new namespace, which pods can be created in.
    async fn begin(cluster: &'a Cluster) -> anyhow::Result<Self> {
        let namespaces: Api<Namespace> = Api::all(cluster.client().await?);
        let namespace = serde_json::from_value(json!({ "metadata": { "generateName": "smoke-" } }))?;
        let namespace =
            namespaces.create(&PostParams::default(), &namespace).await.context("create a namespace")?;
        let smoke = Self::of(cluster, namespace.name_any()).await?;
        let accounts = smoke.api::<ServiceAccount>();
        smoke
            .until("the namespace has its default ServiceAccount", async || {
                Ok(accounts.get_opt("default").await?.is_none().then(|| "none".to_owned()))
            })
            .await?;
        Ok(smoke)
    }

    async fn end(&self) -> anyhow::Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let removed = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        removed.with_context(|| format!("remove namespace {}", self.namespace))?;
        self.volumes_are_removed().await
    }

    async fn all(&self) -> anyhow::Result<()> {
        let step = ui::step("a pod runs to its end, and its log can be read");
        ensure_same(&self.run_pod("once", &["print", "hello"], None).await?, "hello")?;
        step.done();

        let step = ui::step("a Deployment rolls out");
        self.deploy().await?;
        step.done();

        let step = ui::step("its Service answers by name, from a pod");
        let url = format!("http://web.{}.svc.cluster.local/", self.namespace);
        // A Deployment is ready a moment before its node sends there what is for the Service.
        self.until("the Service answers", async || {
            Ok(match self.run_pod("caller", &["get", &url], None).await {
                Ok(answer) if answer.starts_with("web-") => None,
                Ok(answer) => Some(format!("{url} answered {answer:?}, not a pod's name")),
                Err(error) => Some(format!("{error:#}")),
            })
        })
        .await?;
        step.done();

        let step = ui::step("a volume is written by one pod and read by another");
        self.write_volume().await?;
        self.read_volume().await?;
        step.done();

        let step = ui::step("kubectl exec runs a program in a pod");
        ensure_same(
            &self.kubectl(&["exec", "deployment/web", "--", "/pod", "print", "inside"]).await?,
            "inside",
        )?;
        step.done();

        let step = ui::step("kubectl port-forward reaches a pod");
        self.forward_port().await?;
        step.done();
        Ok(())
    }

    async fn write_volume(&self) -> anyhow::Result<()> {
        self.create::<PersistentVolumeClaim>(json!({
            "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
        }))
        .await?;
        self.run_pod("writer", &["write", "/data/file", "kept"], Some("data")).await?;
        Ok(())
    }

    /// May be done again.
    async fn read_volume(&self) -> anyhow::Result<()> {
        ensure_same(&self.run_pod("reader", &["read", "/data/file"], Some("data")).await?, "kept")
    }

    /// Runs the image's program to its success, in a new pod; returns its log.
    async fn run_pod(&self, name: &str, arguments: &[&str], claim: Option<&str>) -> anyhow::Result<String> {
        let volumes =
            claim.map(|claim| json!([{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }]));
        let mounts = claim.map(|_| json!([{ "name": "data", "mountPath": "/data" }]));
        let pod = json!({
            "metadata": { "generateName": format!("{name}-") },
            "spec": {
                "restartPolicy": "Never",
                "securityContext": { "runAsUser": USER, "runAsNonRoot": true },
                "containers": [{
                    "name": "main", "image": self.image, "args": arguments, "volumeMounts": mounts,
                }],
                "volumes": volumes,
            },
        });
        let name = self.create::<Pod>(pod).await?;
        let pods = self.api::<Pod>();
        self.until(&format!("pod {name} succeeds"), async || {
            let status = pods.get(&name).await?.status.unwrap_or_default();
            match status.phase.as_deref() {
                Some("Succeeded") => Ok(None),
                Some("Failed") => {
                    let log = self.kubectl(&["logs", &name]).await;
                    bail!("pod {name} failed: {}", log.unwrap_or_else(|error| format!("{error:#}")))
                }
                _ => Ok(Some(serde_json::to_string(&status)?)),
            }
        })
        .await?;
        self.kubectl(&["logs", &name]).await
    }

    async fn deploy(&self) -> anyhow::Result<()> {
        self.create::<Deployment>(json!({
            "metadata": { "name": "web" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "web" } },
                "template": {
                    "metadata": { "labels": { "app": "web" } },
                    "spec": { "containers": [{
                        "name": "main",
                        "image": self.image,
                        "args": ["serve", ":8080"],
                        "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
                    }] },
                },
            },
        }))
        .await?;
        self.create::<Service>(json!({
            "metadata": { "name": "web" },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] },
        }))
        .await?;
        self.deployment_is_available().await
    }

    async fn deployment_is_available(&self) -> anyhow::Result<()> {
        let deployments = self.api::<Deployment>();
        self.until("Deployment web has 2 available pods", async || {
            let status = deployments.get("web").await?.status.unwrap_or_default();
            let is_done = status.available_replicas == Some(2);
            Ok((!is_done).then(|| format!("{status:?}")))
        })
        .await
    }

    async fn forward_port(&self) -> anyhow::Result<()> {
        let mut child = Command::from(self.cluster.kubectl()?)
            .args(["--namespace", &self.namespace, "port-forward", "service/web", ":80"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("run kubectl")?;
        let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        let first =
            timeout(DEADLINE, lines.next_line()).await.context("kubectl port-forward says nothing")??;
        let Some(address) = first.as_deref().and_then(forwarded_address) else {
            let output = child.wait_with_output().await?;
            bail!("kubectl port-forward: {first:?} {}", String::from_utf8_lossy(&output.stderr).trim());
        };
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let answer = http.get(format!("http://{address}/")).send().await?.error_for_status()?.text().await?;
        child.kill().await?;
        ensure!(answer.starts_with("web-"), "the forwarded port answered {answer:?}, not a pod's name");
        Ok(())
    }

    /// A claim's volume goes with it.
    async fn volumes_are_removed(&self) -> anyhow::Result<()> {
        let step = ui::step("the volume is removed with its claim");
        let volumes: Api<k8s_openapi::api::core::v1::PersistentVolume> = Api::all(self.client.clone());
        self.until("no volume of the namespace is left", async || {
            let left = volumes.list(&kube::api::ListParams::default()).await?.items;
            let of_ours = left.iter().find(|volume| {
                let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
                claim.and_then(|claim| claim.namespace.as_deref()) == Some(self.namespace.as_str())
            });
            Ok(of_ours.map(|volume| format!("{} is {:?}", volume.name_any(), volume.status)))
        })
        .await?;
        step.done();
        Ok(())
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object and returns its name.
    async fn create<K>(&self, object: Value) -> anyhow::Result<String>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + serde::de::DeserializeOwned,
    {
        let created = self.api::<K>().create(&PostParams::default(), &serde_json::from_value(object)?).await;
        Ok(created.with_context(|| format!("create {}", K::kind(&())))?.name_any())
    }

    async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::from(self.cluster.kubectl()?);
        command
            .args(["--namespace", &self.namespace])
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let Output { status, stdout, stderr } =
            timeout(DEADLINE, command.output()).await.context("kubectl does not end")??;
        ensure!(
            status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&stderr).trim()
        );
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    /// Asks until there is nothing left that `what` waits for.
    async fn until(
        &self,
        what: &str,
        missing: impl AsyncFn() -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let Some(reason) = missing().await.with_context(|| what.to_owned())? else { return Ok(()) };
            if Instant::now() > deadline {
                bail!("{what}: not within {} s; last seen: {reason}", DEADLINE.as_secs());
            }
            sleep(POLL).await;
        }
    }
}

fn ensure_same(seen: &str, expected: &str) -> anyhow::Result<()> {
    ensure!(seen.trim_end() == expected, "{expected:?} was expected, but it was {seen:?}");
    Ok(())
}

/// The local address in kubectl's `Forwarding from 127.0.0.1:43210 -> 8080`.
fn forwarded_address(line: &str) -> Option<&str> {
    line.strip_prefix("Forwarding from ")?.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_forwarded_port() {
        assert_eq!(forwarded_address("Forwarding from 127.0.0.1:43210 -> 8080"), Some("127.0.0.1:43210"));
        assert_eq!(forwarded_address("error: timed out"), None);
    }
}
