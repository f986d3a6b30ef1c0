//! The stand-in for the kubelet, against an API server that checks what it writes.

use anyhow::Context as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Container as ContainerSpec, ContainerStatus, Pod, PodSpec};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use testkit::kubelet::{Container, PlayedKubelet, PodScript, Pods};
use testkit::{ControlPlane, DEADLINE, Namespace, builders, wait_for, wait_gone};
use tokio::time::timeout;

/// A namespace, its pods, and the kubelet that plays them.
struct Stage {
    namespace: Namespace<'static>,
    pods: Api<Pod>,
    kubelet: PlayedKubelet,
}

impl Stage {
    async fn open() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        let namespace = plane.namespace("kubelet").await?;
        let pods = Api::namespaced(plane.admin(), &namespace);
        let kubelet = PlayedKubelet::start(plane.admin(), &namespace).await?;
        Ok(Self { namespace, pods, kubelet })
    }

    /// Makes a pod of these containers that is never restarted.
    async fn pod(&self, name: &str, containers: &[&str]) -> anyhow::Result<Pod> {
        let container = |name: &&str| ContainerSpec {
            name: (*name).to_owned(),
            image: Some("none.invalid/none:v1".to_owned()),
            ..ContainerSpec::default()
        };
        let spec = PodSpec {
            containers: containers.iter().map(container).collect(),
            restart_policy: Some("Never".to_owned()),
            ..PodSpec::default()
        };
        let metadata = builders::metadata(&self.namespace, name);
        let pod = Pod { metadata, spec: Some(spec), status: None };
        Ok(self.pods.create(&PostParams::default(), &pod).await?)
    }

    async fn patch(&self, name: &str, patch: Value) -> anyhow::Result<Pod> {
        Ok(self.pods.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await?)
    }

    async fn waits_for(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&Pod) -> bool,
    ) -> anyhow::Result<Pod> {
        wait_for(&self.pods, name, what, DEADLINE, condition).await
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_deref()?;
    statuses.iter().find(|status| status.name == name)
}

fn is_running(pod: &Pod, name: &str) -> bool {
    container(pod, name).and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some())
}

fn waits(pod: &Pod, name: &str) -> Option<String> {
    container(pod, name)?.state.clone()?.waiting?.reason
}

fn condition(pod: &Pod, type_: &str) -> Option<String> {
    let found = testkit::wait::conditions(pod).into_iter().find(|condition| condition.type_ == type_)?;
    Some(format!("{} {}", found.status, found.reason))
}

/// All that is written of the one pod that there is, up to its end.
async fn states_since(pods: &Api<Pod>, version: &str) -> anyhow::Result<Vec<Pod>> {
    let mut states = Vec::new();
    let mut events = std::pin::pin!(pods.watch(&WatchParams::default(), version).await?);
    while !states.last().is_some_and(is_over) {
        let event = events.try_next().await?.context("the watch has ended")?;
        if let WatchEvent::Modified(pod) = event {
            states.push(pod);
        }
    }
    Ok(states)
}

#[tokio::test]
async fn a_service_sees_every_state_of_a_pod() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let script = PodScript::new()
        .container("step-a", Container::succeeds().message("result"))
        .container("step-b", Container::is_oom_killed())
        .one_after_another();
    stage.kubelet.play(Pods::labelled("task", "test"), script);
    let mut pod = Pod { metadata: builders::metadata(&stage.namespace, "run"), ..Pod::default() };
    pod.metadata.labels = Some([("task".to_owned(), "test".to_owned())].into());
    let containers = json!([{"name": "step-b", "image": "b"}, {"name": "step-a", "image": "a"}]);
    let inits = json!([{"name": "prepare", "image": "p"}]);
    let spec = json!({"restartPolicy": "Never", "initContainers": inits, "containers": containers});
    pod.spec = serde_json::from_value(spec)?;
    let pod = stage.pods.create(&PostParams::default(), &pod).await?;

    let version = pod.metadata.resource_version.context("a stored object has a version")?;
    let states = timeout(DEADLINE, states_since(&stage.pods, &version)).await??;

    let text = |pod: &Pod| {
        let ready = condition(pod, "Ready").unwrap_or_default();
        format!("{} {ready}", phase(pod)).trim().to_owned()
    };
    let unready = "Pending False ContainersNotReady";
    assert_eq!(
        states.iter().map(text).collect::<Vec<_>>(),
        [
            "Pending",
            unready,
            unready,
            unready,
            "Running True",
            "Running False ContainersNotReady",
            "Failed False PodFailed",
        ]
    );
    let last = states.last().context("there is one")?;
    assert_eq!(last.spec.as_ref().and_then(|spec| spec.node_name.as_deref()), Some(stage.kubelet.node()));
    assert_eq!(condition(last, "PodScheduled").as_deref(), Some("True "));
    let exits: Vec<_> = ["step-a", "step-b"]
        .into_iter()
        .filter_map(|name| container(last, name)?.state.clone()?.terminated)
        .map(|end| (end.exit_code, end.reason.unwrap_or_default(), end.message))
        .collect();
    let expected =
        [(0, "Completed".to_owned(), Some("result".to_owned())), (137, "OOMKilled".to_owned(), None)];
    assert_eq!(exits, expected);
    assert!(last.status.as_ref().is_some_and(|status| status.pod_ip.is_some()), "no podIP");
    Ok(())
}

#[tokio::test]
async fn pods_wait_until_another_script_lets_them_go() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let no_node = PodScript::unschedulable("0/1 nodes are available: 1 Insufficient cpu.");
    let no_image = PodScript::new().others(Container::cannot_pull("not found"));
    let no_secret = PodScript::new().others(Container::waits("CreateContainerConfigError", "no Secret x"));
    let endless = PodScript::new().others(Container::never_ends());
    let held = [("no-node", no_node), ("no-image", no_image), ("no-secret", no_secret), ("endless", endless)];
    for (name, script) in held {
        stage.kubelet.play(Pods::named(name), script);
        stage.pod(name, &["main"]).await?;
    }
    let unscheduled = |pod: &Pod| condition(pod, "PodScheduled").as_deref() == Some("False Unschedulable");
    stage.waits_for("no-node", "no node", unscheduled).await?;
    let waits_for = |reason: &'static str| move |pod: &Pod| waits(pod, "main").as_deref() == Some(reason);
    stage.waits_for("no-image", "the second reason", waits_for("ImagePullBackOff")).await?;
    stage.waits_for("no-secret", "the reason", waits_for("CreateContainerConfigError")).await?;
    stage.waits_for("endless", "its start", |pod| is_running(pod, "main")).await?;

    stage.kubelet.play(Pods::any(), PodScript::new());
    for name in ["no-node", "no-image", "no-secret", "endless"] {
        stage.waits_for(name, "its end", |pod| phase(pod) == "Succeeded").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_sidecar_ends_when_its_image_is_changed() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let script = PodScript::new()
        .container("sidecar-db", Container::never_ends())
        .container("step-test", Container::succeeds().after_annotation("tekton.dev/ready"));
    stage.kubelet.play(Pods::any(), script);
    stage.pod("run", &["step-test", "sidecar-db"]).await?;
    stage
        .waits_for("run", "condition Ready", |pod| condition(pod, "Ready").as_deref() == Some("True "))
        .await?;

    stage.patch("run", json!({"metadata": {"annotations": {"tekton.dev/ready": "READY"}}})).await?;
    let pod = stage.waits_for("run", "the step's end", |pod| !is_running(pod, "step-test")).await?;
    assert!(is_running(&pod, "sidecar-db") && phase(&pod) == "Running");

    let nop = json!({"spec": {"containers": [{"name": "sidecar-db", "image": "none.invalid/nop"}]}});
    stage.patch("run", nop).await?;
    let pod = stage.waits_for("run", "its end", is_over).await?;
    let sidecar = container(&pod, "sidecar-db").context("it has one")?;
    assert_eq!((phase(&pod), sidecar.restart_count), ("Succeeded", 1));
    assert!(sidecar.image_id.starts_with("none.invalid/nop@sha256:"), "{}", sidecar.image_id);
    Ok(())
}

#[tokio::test]
async fn pods_go_when_they_are_deleted_or_thrown_out() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    stage.kubelet.play(Pods::any(), PodScript::new().others(Container::never_ends()));
    stage.kubelet.play(Pods::named("lost"), PodScript::node_lost());
    stage.kubelet.play(Pods::named("evicted"), PodScript::evicted("The node was low on resource: memory."));
    for name in ["deleted", "lost", "evicted"] {
        stage.pod(name, &["main"]).await?;
    }
    stage.waits_for("deleted", "its start", |pod| is_running(pod, "main")).await?;
    stage.pods.delete("deleted", &DeleteParams::default()).await?;
    wait_gone(&stage.pods, "deleted", DEADLINE).await?;

    let evicted = stage.waits_for("evicted", "its end", is_over).await?;
    assert_eq!(evicted.status.and_then(|status| status.reason).as_deref(), Some("Evicted"));

    let terminating = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let lost = stage.waits_for("lost", "its deletion", terminating).await?;
    assert!(is_running(&lost, "main"), "nobody can have stopped it");
    stage.kubelet.play(Pods::named("lost"), PodScript::new());
    wait_gone(&stage.pods, "lost", DEADLINE).await
}

#[tokio::test]
async fn restarts_containers_that_may_be() -> anyhow::Result<()> {
    let stage = Stage::open().await?;
    let twice = Container::exits(1).message("first").then_exits(0).message("second");
    stage.kubelet.play(Pods::any(), PodScript::new().others(twice));
    let spec = json!({
        "restartPolicy": "OnFailure",
        "initContainers": [{"name": "proxy", "image": "p", "restartPolicy": "Always"}],
        "containers": [{"name": "main", "image": "m"}],
    });
    let metadata = builders::metadata(&stage.namespace, "run");
    let pod = Pod { metadata, spec: serde_json::from_value(spec)?, status: None };
    stage.pods.create(&PostParams::default(), &pod).await?;
    let pod = stage.waits_for("run", "its end", is_over).await?;
    let main = container(&pod, "main").context("it has one")?;
    assert_eq!((phase(&pod), main.restart_count), ("Succeeded", 1));
    let last = main.last_state.clone().and_then(|state| state.terminated).and_then(|end| end.message);
    assert_eq!(last.as_deref(), Some("first"));
    Ok(())
}

#[tokio::test]
async fn many_play_beside_each_other_each_in_its_namespace() -> anyhow::Result<()> {
    let (ours, theirs) = tokio::try_join!(Stage::open(), Stage::open())?;
    ours.kubelet.play(Pods::any(), PodScript::new().others(Container::exits(1)));
    for name in ["a", "b", "c", "d", "e"] {
        tokio::try_join!(ours.pod(name, &["main"]), theirs.pod(name, &["main"]))?;
    }
    for name in ["a", "b", "c", "d", "e"] {
        ours.waits_for(name, "its failure", |pod| phase(pod) == "Failed").await?;
        theirs.waits_for(name, "its success", |pod| phase(pod) == "Succeeded").await?;
    }
    Ok(())
}

#[tokio::test]
async fn another_one_goes_on_where_one_has_stopped() -> anyhow::Result<()> {
    let Stage { namespace, pods, kubelet } = Stage::open().await?;
    kubelet.play(Pods::any(), PodScript::new().others(Container::never_ends()));
    let stage = Stage { namespace, pods, kubelet };
    stage.pod("run", &["main"]).await?;
    let running = stage.waits_for("run", "its start", |pod| is_running(pod, "main")).await?;
    let started = container(&running, "main").map(|status| status.state.clone());

    let Stage { namespace, pods, kubelet } = stage;
    kubelet.stop().await;
    let client = ControlPlane::shared().await.admin();
    let stage = Stage { kubelet: PlayedKubelet::start(client, &namespace).await?, namespace, pods };
    let pod = stage.waits_for("run", "its end", is_over).await?;
    let ended = container(&pod, "main").and_then(|status| status.state.clone()?.terminated);
    assert_eq!(
        ended.and_then(|end| end.started_at),
        started.flatten().and_then(|state| state.running?.started_at)
    );
    Ok(())
}

#[tokio::test]
async fn nothing_is_played_once_it_is_dropped() -> anyhow::Result<()> {
    let Stage { namespace, pods, kubelet } = Stage::open().await?;
    drop(kubelet);
    // A witness in another namespace: once its pod is over, ours would have been as well.
    let witness = Stage::open().await?;
    let pod = Pod {
        metadata: builders::metadata(&namespace, "left"),
        spec: serde_json::from_value(json!({"containers": [{"name": "main", "image": "m"}]}))?,
        status: None,
    };
    let left = pods.create(&PostParams::default(), &pod).await?;
    witness.pod("witness", &["main"]).await?;
    witness.waits_for("witness", "its end", is_over).await?;
    assert_eq!(pods.get("left").await?.metadata.resource_version, left.metadata.resource_version);
    Ok(())
}
