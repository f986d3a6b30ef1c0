//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use kube::api::{ListParams, Patch, PatchParams, PostParams};
use pipelines_engine_api::status::succeeded;
use pipelines_engine_api::{ResolutionRequest, TaskRun};
use serde_json::json;
use testkit::kubelet::{Container, PodScript, Pods};
use testkit::rbac::Rare;
use testkit::{DEADLINE, eventually, wait_for};

use crate::resolvers::{Outside, Resolvers, set};
use crate::service::{Service, of_pipeline_run, run, says};

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
    ask_resolvers(&service).await?;
    name_what_is_not_there(&service).await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?;
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
    rare.extend(["pipelines", "stepactions"].map(|resource| Rare {
        verb: "get",
        resource,
        because: "the engine looks for them, and the resolver `cluster` reads them, as they do Tasks",
    }));
    rare.push(Rare { verb: "patch", resource: "events", because: "the same is told twice" });
    rare.push(Rare {
        verb: "get",
        resource: "pods/log",
        because: "results come by logs only where that is asked for",
    });
    rare.extend([("deliver", "entrypoints"), ("manage", "podsofruns")].map(|(verb, resource)| Rare {
        verb,
        resource,
        because: "asked of by the API server, of nobody's making",
    }));
    rare.push(Rare {
        verb: "delete",
        resource: "configmaps",
        because: "an entrypoint is kept for an hour; its removal has a test of its own",
    });
    rare.extend(["pipelineruns/finalizers", "taskruns/finalizers"].map(|resource| Rare {
        verb: "update",
        resource,
        because: "asked of by an admission plugin",
    }));
    service.installed.compare_rules(&calls, &rare)?.check()
}

/// Has runs refer to what each resolver has, and to one that is not there.
async fn ask_resolvers(service: &Service) -> anyhow::Result<()> {
    let outside = Outside::start().await?;
    let resolvers = Resolvers::start(service, &[&service.tenant], &outside).await?;
    let param = |name: &str, value: &str| json!({"name": name, "value": value});
    let bundle = format!("{}/tasks:v1", outside.registry.address());
    let references = [
        ("git", json!([param("url", &outside.git.url("gone")), param("pathInRepo", "a")])),
        (
            "bundles",
            json!([
                param("bundle", &bundle),
                param("name", "a"),
                param("serviceAccount", "builder"),
                param("secret", "login")
            ]),
        ),
        (
            "cluster",
            json!([param("kind", "task"), param("name", "gone"), param("namespace", &service.tenant)]),
        ),
    ];
    set(service, "config-registry-cert", &json!({"cert": outside.authority.cert_pem()})).await?;
    for (resolver, params) in references {
        let spec = json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"resolver": resolver, "params": params}}]}});
        service.run_pipeline(resolver, &spec).await?;
        assert_eq!(of_pipeline_run(&service.end_of(resolver).await?), says("False", "CouldntGetTask"));
    }
    let hub = json!({"taskRef": {"resolver": "hub", "params": [param("name", "a")]}});
    service.run_task("hub", &hub).await?;
    eventually(DEADLINE, "the controller to say that nobody has answered yet", async || {
        let requests = service.api::<ResolutionRequest>().list(&ListParams::default()).await?;
        let conditions =
            requests.items.iter().filter_map(|request| Some(&request.status.as_ref()?.conditions));
        let reasons: Vec<_> = conditions.filter_map(|all| Some(&*succeeded(all)?.reason)).collect();
        anyhow::ensure!(reasons.contains(&"ResolutionInProgress"), "{reasons:?}");
        Ok(())
    })
    .await?;
    resolvers.stop().await
}

/// Has a run refer to a Task that no watch has brought, so that the API server is asked.
async fn name_what_is_not_there(service: &Service) -> anyhow::Result<()> {
    let spec = json!({"pipelineSpec": {"tasks": [{"name": "a", "taskRef": {"name": "gone"}}]}});
    service.run_pipeline("unknown", &spec).await?;
    assert_eq!(of_pipeline_run(&service.end_of("unknown").await?), says("False", "CouldntGetTask"));
    Ok(())
}
