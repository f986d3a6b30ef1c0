//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use kube::api::{Patch, PatchParams, PostParams};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::json;
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::rbac::Rare;
use testkit::{DEADLINE, wait_for};

use crate::service::{Service, run};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let plane = testkit::ControlPlane::shared().await;
    let ledger = plane.ledger()?;
    let mark = ledger.mark().await?;
    let mut service = Service::start().await?;
    let secret = testkit::builders::secret(&service.tenant, "login", []);
    let secrets =
        kube::Api::<k8s_openapi::api::core::v1::Secret>::namespaced(service.admin(), &service.tenant);
    secrets.create(&PostParams::default(), &secret).await?;
    let accounts =
        kube::Api::<k8s_openapi::api::core::v1::ServiceAccount>::namespaced(service.admin(), &service.tenant);
    let account =
        serde_json::from_value(json!({"metadata": {"name": "builder"}, "secrets": [{"name": "login"}]}))?;
    accounts.create(&PostParams::default(), &account).await?;
    service.kubelet.play(Pods::any(), PodScript::new().container("step-s", Container::never_ends()));
    let spec = json!({
        "taskRunTemplate": {"serviceAccountName": "builder"},
        "workspaces": [{"name": "w", "volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}},
        }}}],
        "pipelineSpec": {"workspaces": [{"name": "w"}], "tasks": [
            {"name": "a", "workspaces": [{"name": "w"}], "taskSpec": {
                "workspaces": [{"name": "w"}],
                "steps": [{"name": "s", "image": "images.example/tool", "command": ["x"]}],
                "sidecars": [{"name": "c", "image": "images.example/tool"}],
            }},
        ]},
    });
    let runs = service.pipeline_runs();
    runs.create(&PostParams::default(), &run("PipelineRun", "long", &spec)).await?;
    let reason = |run: &TaskRun| {
        let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        succeeded(conditions).map(|condition| condition.reason.clone()).unwrap_or_default()
    };
    wait_for(&service.task_runs(), "long-a", "running", DEADLINE, |run: &TaskRun| reason(run) == "Running")
        .await?;
    let wish = json!({"spec": {"status": "Cancelled"}});
    runs.patch("long", &PatchParams::default(), &Patch::Merge(&wish)).await?;
    wait_for(&service.task_runs(), "long-a", "its end", DEADLINE, |run: &TaskRun| {
        reason(run) == "TaskRunCancelled"
    })
    .await?;
    let remote = json!({"pipelineRef": {"resolver": "git", "params": [{"name": "url", "value": "https://git.example/x"}]}});
    runs.create(&PostParams::default(), &run("PipelineRun", "remote", &remote)).await?;
    wait_for(&runs, "remote", "an answer", DEADLINE, |run: &PipelineRun| {
        let conditions = run.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        succeeded(conditions).is_some_and(|condition| condition.reason == "CouldntGetPipeline")
    })
    .await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let no_streaming = "API servers without streaming lists";
    let adopts = "what was made before a crash is read before it is taken in";
    let leads = "webhooks are off in this test";
    let mut rare: Vec<_> = [
        "configmaps",
        "limitranges",
        "pipelineruns",
        "pipelines",
        "pods",
        "resolutionrequests",
        "stepactions",
        "taskruns",
        "tasks",
    ]
    .map(|resource| Rare { verb: "list", resource, because: no_streaming })
    .into();
    rare.extend(
        ["configmaps", "persistentvolumeclaims", "pods", "resolutionrequests", "taskruns"]
            .map(|resource| Rare { verb: "get", resource, because: adopts }),
    );
    for resource in
        ["mutatingwebhookconfigurations", "validatingwebhookconfigurations", "customresourcedefinitions"]
    {
        rare.extend(["get", "patch"].map(|verb| Rare { verb, resource, because: leads }));
    }
    rare.extend(["create", "get", "patch"].map(|verb| Rare { verb, resource: "secrets", because: leads }));
    let of_resolver = "the resolver `cluster` has a test of its own";
    rare.extend(["pipelines", "stepactions", "tasks"].map(|resource| Rare {
        verb: "get",
        resource,
        because: of_resolver,
    }));
    rare.push(Rare { verb: "patch", resource: "events", because: "the same is told twice" });
    rare.push(Rare {
        verb: "deliver",
        resource: "entrypoints",
        because: "asked of by the API server, of nobody's making",
    });
    rare.extend(["pipelineruns/finalizers", "taskruns/finalizers"].map(|resource| Rare {
        verb: "update",
        resource,
        because: "asked of by an admission plugin",
    }));
    service.installed.compare_rules(&calls, &rare)?.check()
}
