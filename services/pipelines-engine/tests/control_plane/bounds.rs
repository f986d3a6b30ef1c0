//! What a run is given and what it may not exceed: its account, the entrypoint's ConfigMap, the size of an object, Pod Security.

use std::io::Write as _;

use clap::Parser as _;
use fleet::{Clock, Fleet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use pipelines_engine::Args;
use pipelines_engine::live::delivery::Delivery;
use pipelines_engine::live::keeper;
use pipelines_engine::stores::Stores;
use pipelines_engine_api::{PipelineRun, TaskRun};
use prometheus::Registry;
use serde_json::{Value, json};
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::{DEADLINE, eventually, wait_for, wait_gone};
use tokio_util::sync::CancellationToken;

use crate::service::{Service, of_task_run, run, step, task};

/// In a namespace without the configured account, whose `default` names a Secret that does not exist.
#[tokio::test]
async fn what_a_pod_does_without_is_said_once() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let account: ServiceAccount =
        serde_json::from_value(json!({"metadata": {"name": "default"}, "secrets": [{"name": "login"}]}))?;
    service.api::<ServiceAccount>().create(&PostParams::default(), &account).await?;
    service.kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::never_ends()));
    service.run_task("alone", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    service.task_says("alone", "Running").await?;
    let pod = service.api::<Pod>().get("alone-pod").await?.spec.unwrap_or_default();
    assert_eq!(pod.service_account_name.as_deref(), Some("default"));
    assert_eq!(pod.automount_service_account_token, Some(false), "nobody chose this account");

    let told = async |reason: &str| -> anyhow::Result<Vec<String>> {
        let events = service.api::<Event>().list(&ListParams::default()).await?;
        let of_run = events.into_iter().filter(|event| event.reason.as_deref() == Some(reason));
        Ok(of_run.filter_map(|event| event.note).collect())
    };
    eventually(DEADLINE, "both to be told", async || {
        anyhow::ensure!(told("DefaultAccountUsed").await?.len() == 1, "nothing of the account");
        anyhow::ensure!(told("FailedToRetrieveSecret").await?.len() == 1, "nothing of the Secret");
        Ok(())
    })
    .await?;
    service.merge::<TaskRun>("alone", &json!({"spec": {"status": "TaskRunCancelled"}})).await?;
    service.end_of_task("alone").await?;
    let of_account = told("DefaultAccountUsed").await?;
    assert_eq!(of_account.len(), 1);
    assert!(of_account[0].contains("no ServiceAccount \"appstudio-pipeline\""), "{of_account:?}");
    let of_secret = told("FailedToRetrieveSecret").await?;
    assert_eq!(
        of_secret,
        ["ServiceAccount \"default\" names Secrets that do not exist: login; steps run without them"]
    );
    service.stop().await
}

/// Runs the keeper of entrypoints alone, with a clock that is so many minutes ahead, until `done`.
async fn keep(
    service: &Service,
    minutes: i64,
    done: impl AsyncFn(&Registry) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut program = tempfile::NamedTempFile::new()?;
    program.write_all(b"not run")?;
    let args = Args::try_parse_from([
        "pipelines-engine",
        "--metrics-addr=127.0.0.1:0",
        "--health-addr=127.0.0.1:0",
        "--leader-elect=false",
        "--entrypoint-image=images.example/entrypoint",
        &format!("--watch-namespaces={}", service.tenant),
        &format!("--namespace={}", service.installed.namespace()),
        "--identity=keeper",
    ])?;
    let (registry, stop) = (Registry::new(), CancellationToken::new());
    let client = fleet::client::build(service.installed.config().await?, &registry)?;
    let mut fleet =
        Fleet::new("pipelines-engine", args.fleet.clone(), client, registry.clone(), stop.clone())?;
    let stores = Stores::new(&mut fleet, service.installed.namespace());
    let delivery = Delivery::new(&mut fleet, program.path(), args.entrypoint_image)?;
    let clock = Clock::fixed(Clock::system().now() + jiff::SignedDuration::from_mins(minutes));
    let writer = fleet.writer().clone();
    let keeper = keeper::controller(&fleet, &stores.task_runs, &delivery, &writer, clock);
    fleet.run(keeper);
    let running = tokio::spawn(fleet.serve());
    let outcome = done(&registry).await;
    stop.cancel();
    running.await??;
    outcome
}

fn looks(registry: &Registry) -> f64 {
    let families = registry.gather();
    let of_keeper = families
        .iter()
        .filter(|family| family.name() == "controller_runtime_reconcile_total")
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .filter(|metric| metric.get_label().iter().any(|label| label.value() == "entrypoint"));
    of_keeper.map(|metric| metric.get_counter().get_value()).sum()
}

#[tokio::test]
async fn the_entrypoint_goes_when_nothing_has_run_for_an_hour() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.pass("first").await?;
    let maps = service.api::<ConfigMap>();
    let ours = async || -> anyhow::Result<Vec<String>> {
        let all = maps.list(&ListParams::default().labels("fleet.konflux-ci.dev/entrypoint")).await?;
        Ok(all.into_iter().filter_map(|map| map.metadata.name).collect())
    };
    let names = ours().await?;
    assert_eq!(names.len(), 1);
    let looked = async |registry: &Registry| {
        eventually(DEADLINE, "the keeper to look", async || {
            anyhow::ensure!(looks(registry) >= 1.0, "it has not looked");
            Ok(())
        })
        .await
    };
    service.kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::never_ends()));
    service.run_task("live", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    service.task_says("live", "Running").await?;
    keep(&service, 300, looked).await?;
    assert_eq!(ours().await?, names, "a run lives");

    service.merge::<TaskRun>("live", &json!({"spec": {"status": "TaskRunCancelled"}})).await?;
    service.end_of_task("live").await?;
    keep(&service, 58, looked).await?;
    assert_eq!(ours().await?, names, "an hour is not over");
    keep(&service, 62, async |_| wait_gone(&maps, &names[0], DEADLINE).await).await?;

    // The engine has heard of it, and brings it again to the next run.
    service.kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::succeeds()));
    service.pass("second").await?;
    assert_eq!(ours().await?, names);
    service.stop().await
}

/// One PipelineRun with a script of so many bytes in its only task.
fn with_script(bytes: usize) -> Value {
    let mut task = task("a");
    task["taskSpec"]["steps"] = json!([{"name": "s", "image": "i", "script": "x".repeat(bytes)}]);
    json!({"pipelineSpec": {"tasks": [task]}})
}

#[tokio::test]
async fn a_run_that_cannot_be_stored_ends_and_says_so() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let said = |run: &PipelineRun| {
        let conditions = run.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        (conditions[0].reason.clone(), conditions[0].message.clone())
    };
    service.run_pipeline("counted", &with_script(800_000)).await?;
    let (reason, message) = said(&service.end_of("counted").await?);
    assert_eq!(reason, "PipelineRunTooLarge", "{message}");
    assert!(message.contains("with its status it would have"), "{message}");

    // What kubectl applied is not in the engine's memory: here etcd is the one that counts.
    let mut large: PipelineRun = run("PipelineRun", "refused", &with_script(680_000));
    let applied = ("kubectl.kubernetes.io/last-applied-configuration".to_owned(), "x".repeat(250_000));
    large.metadata.annotations = Some([applied].into());
    service.pipeline_runs().create(&PostParams::default(), &large).await?;
    let (reason, message) = said(&service.end_of("refused").await?);
    assert_eq!(reason, "PipelineRunTooLarge", "{message}");
    assert!(message.contains("it was not stored"), "{message}");

    let mark = service.plane.ledger()?.mark().await?;
    service.pass("other").await?;
    let calls = service.calls(&mark).await?;
    let again = calls.iter().filter(|call| {
        let name = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        name.starts_with("counted") || name.starts_with("refused")
    });
    assert_eq!(again.count(), 0, "what has ended is left alone");
    let children = service.task_runs().list(&ListParams::default()).await?;
    let names: Vec<_> = children.into_iter().filter_map(|run| run.metadata.name).collect();
    assert!(!names.iter().any(|name| name == "counted-a"), "{names:?}");
    service.stop().await
}

/// As Pod Security "restricted" asks for it.
fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

async fn is_restricted_as_its_steps_are(delivery: &str) -> anyhow::Result<()> {
    let settings = [("feature-flags", json!({"entrypoint-delivery": delivery}))];
    let mut service = Service::with(&settings, &[]).await?;
    let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces: Api<Namespace> = Api::all(service.admin());
    namespaces.patch(&service.tenant, &PatchParams::default(), &Patch::Merge(label)).await?;
    service.kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::never_ends()));
    let mut tight = step("x");
    tight["securityContext"] = restricted();
    let mut sidecar = tight.clone();
    sidecar["name"] = json!("c");
    let workspaces = json!([{"name": "w", "emptyDir": {}}]);
    let spec = json!({"workspaces": workspaces, "taskSpec": {
        "workspaces": [{"name": "w"}], "steps": [tight, {"image": "i", "script": "true", "securityContext": restricted()}],
        "sidecars": [sidecar], "stepTemplate": {"securityContext": restricted()},
    }});
    service.run_task("tight", &spec).await?;
    service.run_task("loose", &json!({"taskSpec": {"steps": [step("x")]}})).await?;
    let loose = service.end_of_task("loose").await?;
    assert_eq!(of_task_run(&loose).1, "PodAdmissionFailed", "{:?}", loose.status);
    let tight = wait_for(&service.task_runs(), "tight", "its pod", DEADLINE, |run: &TaskRun| {
        run.status
            .as_ref()
            .is_some_and(|status| !status.pod_name.is_empty() || status.completion_time.is_some())
    })
    .await?;
    assert_eq!(tight.status.unwrap_or_default().pod_name, "tight-pod");
    service.api::<Pod>().get("tight-pod").await?;
    service.stop().await
}

#[tokio::test]
async fn pods_are_as_restricted_as_their_steps() -> anyhow::Result<()> {
    is_restricted_as_its_steps_are("configmap").await?;
    is_restricted_as_its_steps_are("init-container").await
}
