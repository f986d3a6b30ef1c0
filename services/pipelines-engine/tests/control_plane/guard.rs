//! The guard of pods of runs (decision 0022): webhook and policy of the base, asked by a real API server before it looks for a
//! kubelet. Whoever is let in gets another answer here, for there is none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use clap::Parser as _;
use fleet::Fleet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use pipelines_engine::Args;
use pipelines_engine_api::status::tampered;
use pipelines_engine_api::{PipelineRun, RunCondition, TaskRun};
use prometheus::Registry;
use serde_json::{Value, json};
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::pki::Authority;
use testkit::{ControlPlane, DEADLINE, Options, PlayedKubelet, Webhooks, eventually, wait_for};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::service::{run, step, task};

/// A namespace with each mark that the guard goes by, and one with none.
const GUARDED: &str = "team-a";
const GUARDED_TOO: &str = "team-b";
const ALLOWED: &str = "team-c";
const UNGUARDED: &str = "others";

/// Every way into a pod, with the method that it is asked by.
const WAYS: [(&str, &str); 4] =
    [("exec", "POST"), ("attach", "POST"), ("portforward", "POST"), ("proxy", "GET")];

/// What a tenant's developer may do at most, far more than the roles of this project grant.
const DEVELOPER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: developer}
rules:
- {apiGroups: [''], resources: [pods], verbs: [create, delete, get, patch, update]}
- {apiGroups: [''], resources: [pods/attach, pods/exec, pods/portforward, pods/proxy], verbs: [create, get]}
- {apiGroups: [''], resources: [pods/ephemeralcontainers], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: developer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: developer}
subjects: [{kind: ServiceAccount, name: developer, namespace: others}]
";

/// A control plane with an engine that is asked.
struct Guarded {
    plane: ControlPlane,
    developer: Client,
    _kubelets: Vec<PlayedKubelet>,
    metrics: Registry,
    stop: CancellationToken,
    ended: Option<JoinHandle<Result<(), fleet::Error>>>,
    _files: tempfile::TempDir,
}

impl Guarded {
    async fn start() -> anyhow::Result<Self> {
        let plane = ControlPlane::start(Options::default()).await?;
        let mut kubelets = Vec::new();
        for (name, labels) in [
            (GUARDED, json!({"konflux-ci.dev/type": "tenant"})),
            (
                GUARDED_TOO,
                json!({"toolchain.dev.openshift.com/type": "tenant", "konflux-ci.dev/type": "tenant"}),
            ),
            (ALLOWED, json!({"konflux-ci.dev/type": "tenant", "fleet.konflux-ci.dev/enter-runs": "allowed"})),
            (UNGUARDED, json!({})),
        ] {
            let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
            Api::<Namespace>::all(plane.admin()).create(&PostParams::default(), &namespace).await?;
            let kubelet = PlayedKubelet::start(plane.admin(), name).await?;
            kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::never_ends()));
            kubelets.push(kubelet);
        }
        let files = tempfile::tempdir()?;
        let authority = Authority::new("engine")?;
        let leaf = authority.server("engine", &["127.0.0.1"])?;
        std::fs::write(files.path().join("tls.crt"), leaf.cert_pem)?;
        std::fs::write(files.path().join("tls.key"), leaf.key_pem)?;
        std::fs::File::create(files.path().join("entrypoint"))?.write_all(b"not run")?;
        let port = testkit::free_port()?;
        let to_here = Webhooks { port, ca_pem: Some(authority.cert_pem()), namespaces: &[] };
        let installed = plane.install("pipelines-engine", Some(to_here)).await?;
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kustomize/base/pipelines-engine");
        plane.apply_path(&base.join("guard-policy.yaml")).await?;
        plane.apply_yaml(DEVELOPER).await?;

        let args = Args::try_parse_from([
            "pipelines-engine",
            "--metrics-addr=127.0.0.1:0",
            "--health-addr=127.0.0.1:0",
            &format!("--webhook-addr=127.0.0.1:{port}"),
            &format!("--webhook-cert-dir={}", files.path().display()),
            "--entrypoint-image=images.example/entrypoint",
            &format!("--entrypoint={}", files.path().join("entrypoint").display()),
            &format!("--namespace={}", installed.namespace()),
            "--identity=test",
        ])?;
        let (metrics, stop) = (Registry::new(), CancellationToken::new());
        let client = fleet::client::build(installed.config().await?, &metrics)?;
        let fleet =
            Fleet::new("pipelines-engine", args.fleet.clone(), client, metrics.clone(), stop.clone())?;
        let ended = Some(tokio::spawn(pipelines_engine::run(args, fleet)));
        let developer = plane.client_as(UNGUARDED, "developer").await?;
        await_policy(&developer).await?;
        drop(installed);
        Ok(Self { plane, developer, _kubelets: kubelets, metrics, stop, ended, _files: files })
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.plane.admin(), namespace)
    }

    /// Has a TaskRun of one step run in a namespace until somebody ends it. The name of its pod.
    async fn running(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let spec = json!({"taskSpec": {"steps": [step("x")]}});
        let runs = self.api::<TaskRun>(namespace);
        runs.create(&PostParams::default(), &run("TaskRun", name, &spec)).await?;
        self.started(namespace, name).await
    }

    async fn started(&self, namespace: &str, name: &str) -> anyhow::Result<String> {
        let run = wait_for(&self.api::<TaskRun>(namespace), name, "its step", DEADLINE, |run: &TaskRun| {
            run.status.as_ref().is_some_and(|status| status.steps.iter().any(|step| step.running.is_some()))
        })
        .await?;
        Ok(run.status.unwrap_or_default().pod_name)
    }

    /// A pod that is of no run, whatever it is called.
    async fn plain(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.developer.clone(), namespace);
        pods.create(&PostParams::default(), &pod(name, &json!({}))).await?;
        Ok(())
    }

    /// Waits until the API server asks the engine.
    async fn asks(&self, namespace: &str, pod: &str) -> anyhow::Result<()> {
        eventually(DEADLINE, "the guard to be asked", async || {
            let (_, message) = enter(&self.developer, namespace, pod, ("exec", "POST")).await?;
            anyhow::ensure!(message.contains("nobody is let into pods of runs"), "answered: {message}");
            Ok(())
        })
        .await
    }

    /// How often the guard gave each answer, if it ever did.
    fn answers(&self) -> BTreeMap<(String, String), u64> {
        let families = self.metrics.gather();
        let of_guard = families
            .iter()
            .filter(|family| family.name() == "tekton_pipelines_controller_pod_entries_total")
            .flat_map(prometheus::proto::MetricFamily::get_metric);
        let label = |metric: &prometheus::proto::Metric, name: &str| {
            let labels = metric.get_label().iter();
            labels
                .filter(|label| label.name() == name)
                .map(|label| label.value().to_owned())
                .collect::<String>()
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        of_guard
            .map(|metric| {
                ((label(metric, "way"), label(metric, "answer")), metric.get_counter().get_value() as u64)
            })
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        if let Some(ended) = self.ended.take() {
            ended.await??;
        }
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A policy is in force a moment after it is stored.
async fn await_policy(developer: &Client) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(developer.clone(), GUARDED);
    let trial = PostParams { dry_run: true, ..PostParams::default() };
    eventually(DEADLINE, "a forged pod to be refused", async || {
        match pods.create(&trial, &pod("forged", &json!({"labels": {"tekton.dev/taskRun": "build"}}))).await {
            Ok(_) => anyhow::bail!("it was taken"),
            Err(error) if error.to_string().contains("only the pipelines engine makes pods of runs") => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    })
    .await
}

fn pod(name: &str, metadata: &Value) -> Pod {
    let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    if let (Some(pod), Some(more)) = (pod["metadata"].as_object_mut(), metadata.as_object()) {
        pod.extend(more.clone());
    }
    serde_json::from_value(pod).expect("a pod")
}

/// HTTP status and message of the answer to somebody who wants to get into a pod.
async fn enter(
    client: &Client,
    namespace: &str,
    pod: &str,
    (way, method): (&str, &str),
) -> anyhow::Result<(u16, String)> {
    let uri = format!("/api/v1/namespaces/{namespace}/pods/{pod}/{way}?command=sh&stdout=true&ports=80");
    let request = http::Request::builder().method(method).uri(uri).body(Vec::new())?;
    match client.request_text(request).await {
        Ok(text) => Ok((200, text)),
        Err(kube::Error::Api(status)) => Ok((status.code, status.message.clone())),
        Err(error) => Ok((0, error.to_string())),
    }
}

/// Whether the answer to [`enter`] is the API server's, which did not find a kubelet behind an open door.
fn was_let_in((code, message): &(u16, String)) -> bool {
    *code != 403 && !message.contains("webhook") && !message.contains("denied the request")
}

async fn change(client: &Client, namespace: &str, name: &str, patch: &Value) -> Result<Pod, String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patched = pods.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    patched.map_err(|error| error.to_string())
}

async fn debug(client: &Client, namespace: &str, name: &str) -> Result<Pod, String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch = json!({"spec": {"ephemeralContainers": [{"name": "debugger", "image": "i"}]}});
    let patched =
        pods.patch_ephemeral_containers(name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    patched.map_err(|error| error.to_string())
}

#[tokio::test]
async fn nobody_is_let_into_pods_of_runs() -> anyhow::Result<()> {
    let mut guarded = Guarded::start().await?;
    let of_run = guarded.running(GUARDED, "build").await?;
    assert_eq!(of_run, "build-pod");
    guarded.asks(GUARDED, &of_run).await?;
    let developer = guarded.developer.clone();
    for way in WAYS {
        for client in [&developer, &guarded.plane.admin()] {
            let (code, message) = enter(client, GUARDED, &of_run, way).await?;
            assert_eq!(code, 403, "{way:?}: {message}");
            assert!(message.contains("pod \"build-pod\" is of TaskRun \"build\""), "{way:?}: {message}");
        }
    }
    let message = debug(&developer, GUARDED, &of_run).await.unwrap_err();
    assert!(message.contains("a container for debugging is inside"), "{message}");
    let of_other = guarded.running(GUARDED_TOO, "build").await?;
    guarded.asks(GUARDED_TOO, &of_other).await?;

    // Also of a pod that this engine has not heard of: another makes it in a namespace of its own.
    let answers = guarded.answers();
    let count = |way: &str, answer: &str| answers.get(&(way.to_owned(), answer.to_owned())).copied();
    assert_eq!(count("attach", "refused"), Some(2), "{answers:?}");
    assert!(answers.keys().all(|(_, answer)| answer == "refused"), "{answers:?}");
    let run = guarded.api::<TaskRun>(GUARDED).get("build").await?;
    assert_eq!(tampered(&conditions_of_task(&run)), None, "nobody was inside");

    // Pods that are of no run are nobody's business, whatever they are called.
    guarded.plain(GUARDED, "my-pod").await?;
    for way in WAYS {
        let answer = enter(&developer, GUARDED, "my-pod", way).await?;
        assert!(was_let_in(&answer), "{way:?}: {answer:?}");
    }
    debug(&developer, GUARDED, "my-pod").await.map_err(anyhow::Error::msg)?;

    // While the engine is away nobody is let in, and nothing else is kept from anybody.
    guarded.stop().await?;
    let (code, message) = enter(&developer, GUARDED, &of_run, WAYS[0]).await?;
    assert_eq!(code, 500, "{message}");
    assert!(message.contains("guard.webhook.pipeline.tekton.dev"), "{message}");
    debug(&developer, GUARDED, &of_run).await.unwrap_err();
    guarded.plain(GUARDED, "web-0").await?;
    guarded.plain(UNGUARDED, "my-pod").await?;
    for (namespace, pod) in [(GUARDED, "web-0"), (UNGUARDED, "my-pod")] {
        let answer = enter(&developer, namespace, pod, WAYS[0]).await?;
        assert!(was_let_in(&answer), "{namespace}/{pod}: {answer:?}");
    }
    Ok(())
}

/// By its label and owner it is told whose a pod is, and its annotations are read by its steps.
#[tokio::test]
async fn only_the_engine_makes_and_changes_pods_of_runs() -> anyhow::Result<()> {
    let mut guarded = Guarded::start().await?;
    let of_run = guarded.running(GUARDED, "build").await?;
    let developer = guarded.developer.clone();
    let run = guarded.api::<TaskRun>(GUARDED).get("build").await?;
    let owners = json!([{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "build", "uid": run.uid(), "controller": true}]);
    let pods: Api<Pod> = Api::namespaced(developer.clone(), GUARDED);
    let forged =
        pods.create(&PostParams::default(), &pod("forged", &json!({"ownerReferences": owners}))).await;
    assert!(forged.unwrap_err().to_string().contains("only the pipelines engine makes"));

    guarded.plain(GUARDED, "mine").await?;
    for (name, patch, expected) in [
        (
            &*of_run,
            json!({"spec": {"containers": [{"name": "step-s", "image": "evil.example/x"}]}}),
            "changes images",
        ),
        (
            &*of_run,
            json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/script-0-x": "evil"}}}),
            "labels and annotations",
        ),
        (
            &*of_run,
            json!({"metadata": {"annotations": {"tekton.dev/ready": null}}}),
            "labels and annotations",
        ),
        (&*of_run, json!({"metadata": {"labels": {"tekton.dev/taskRun": null}}}), "labels and annotations"),
        ("mine", json!({"metadata": {"labels": {"tekton.dev/taskRun": "build"}}}), "labels and annotations"),
        ("mine", json!({"metadata": {"ownerReferences": owners}}), "makes pods of runs"),
    ] {
        let refused = change(&developer, GUARDED, name, &patch).await;
        let message = refused.err().unwrap_or_default();
        assert!(message.contains(expected), "{name} {patch}: {message:?}");
    }
    let harmless =
        json!({"metadata": {"annotations": {"k8s.ovn.org/pod-networks": "x"}, "labels": {"mine": "1"}}});
    change(&developer, GUARDED, &of_run, &harmless).await.map_err(anyhow::Error::msg)?;
    // Whoever administers the cluster, and other namespaces, as before.
    let note = json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/note": "x"}}});
    change(&guarded.plane.admin(), GUARDED, &of_run, &note).await.map_err(anyhow::Error::msg)?;
    let elsewhere: Api<Pod> = Api::namespaced(developer, UNGUARDED);
    elsewhere
        .create(&PostParams::default(), &pod("x", &json!({"labels": {"tekton.dev/taskRun": "x"}})))
        .await?;

    // The engine itself goes on as ever: it ends the pod with its run.
    let wish = json!({"spec": {"status": "TaskRunCancelled"}});
    guarded.api::<TaskRun>(GUARDED).patch("build", &PatchParams::default(), &Patch::Merge(wish)).await?;
    testkit::wait_gone(&guarded.api::<Pod>(GUARDED), &of_run, DEADLINE).await?;
    guarded.stop().await
}

#[tokio::test]
async fn where_it_is_allowed_runs_are_marked() -> anyhow::Result<()> {
    let mut guarded = Guarded::start().await?;
    let spec = json!({"pipelineSpec": {"tasks": [task("a"), task("b")]}});
    let pipelines = guarded.api::<PipelineRun>(ALLOWED);
    pipelines.create(&PostParams::default(), &run("PipelineRun", "build", &spec)).await?;
    let entered = guarded.started(ALLOWED, "build-a").await?;
    let untouched = guarded.started(ALLOWED, "build-b").await?;
    let probe = guarded.running(GUARDED, "probe").await?;
    guarded.asks(GUARDED, &probe).await?;

    let answer = enter(&guarded.developer, ALLOWED, &entered, WAYS[0]).await?;
    assert!(was_let_in(&answer), "{answer:?}");
    let runs = guarded.api::<TaskRun>(ALLOWED);
    // Before the answer, so without waiting.
    let conditions = conditions_of_task(&runs.get("build-a").await?);
    let mark = tampered(&conditions).expect("whoever was let in left a mark");
    assert_eq!((&*mark.status, &*mark.reason), ("True", "Exec"));
    assert_eq!(
        mark.message,
        format!("\"system:serviceaccount:{UNGUARDED}:developer\" was let into pod \"build-a-pod\" (exec)")
    );
    assert_eq!(conditions[0].type_, "Succeeded", "clients take the first for the one that counts");
    let marked = wait_for(&pipelines, "build", "its mark", DEADLINE, |run: &PipelineRun| {
        tampered(&conditions_of_pipeline(run)).is_some()
    })
    .await?;
    let conditions = conditions_of_pipeline(&marked);
    let mark = tampered(&conditions).expect("it was waited for");
    assert_eq!((&*mark.reason, &*mark.message), ("TaskRunTampered", "somebody was let into pods of build-a"));
    assert_eq!(tampered(&conditions_of_task(&runs.get("build-b").await?)), None);

    debug(&guarded.developer, ALLOWED, &untouched).await.map_err(anyhow::Error::msg)?;
    let marked = wait_for(&runs, "build-b", "its mark", DEADLINE, |run: &TaskRun| {
        tampered(&conditions_of_task(run)).is_some()
    })
    .await?;
    assert_eq!(tampered(&conditions_of_task(&marked)).map(|mark| &*mark.reason), Some("EphemeralContainer"));

    // The mark stays, and the run goes on beside it.
    let wish = json!({"spec": {"status": "Cancelled"}});
    pipelines.patch("build", &PatchParams::default(), &Patch::Merge(wish)).await?;
    let ended = wait_for(&runs, "build-a", "its end", DEADLINE, |run: &TaskRun| {
        conditions_of_task(run).iter().any(|condition| condition.reason == "TaskRunCancelled")
    })
    .await?;
    assert!(tampered(&conditions_of_task(&ended)).is_some());
    guarded.stop().await
}

fn conditions_of_task(run: &TaskRun) -> Vec<RunCondition> {
    run.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
}

fn conditions_of_pipeline(run: &PipelineRun) -> Vec<RunCondition> {
    run.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
}
