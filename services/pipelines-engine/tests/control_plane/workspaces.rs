//! Workspaces: claims that a run makes and shares, and those that need not be bound.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use testkit::kubelet::{Container, PodScript, Pods};

use crate::service::{Service, message, of_pipeline_run, says, step, with};

#[tokio::test]
async fn scenario_13_one_claim_is_made_and_shared() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.kubelet.play(Pods::any(), PodScript::new().others(Container::never_ends()));
    let task = |name: &str, path: &str| {
        json!({"name": name, "workspaces": [{"name": "w", "workspace": "data", "subPath": path}],
            "taskSpec": {"workspaces": [{"name": "w"}], "steps": [step("x")]}})
    };
    let spec = json!({
        "workspaces": [{"name": "data", "subPath": "run", "volumeClaimTemplate": {
            "metadata": {"name": "disk", "labels": {"mine": "yes"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        }}],
        "pipelineSpec": {"workspaces": [{"name": "data"}], "tasks": [task("a", "one"), task("b", "two")]},
    });
    service.run_pipeline("shares", &spec).await?;
    for name in ["shares-a", "shares-b"] {
        service.task_says(name, "Running").await?;
    }
    let claims = service.api::<PersistentVolumeClaim>().list(&ListParams::default()).await?;
    assert_eq!(claims.items.len(), 1);
    let claim = &claims.items[0];
    let name = claim.metadata.name.clone().unwrap_or_default();
    assert!(name.starts_with("disk-"), "{name}");
    assert_eq!(
        claim.metadata.labels.as_ref().and_then(|labels| labels.get("mine")).map(String::as_str),
        Some("yes")
    );
    let run = service.pipeline_runs().get("shares").await?;
    let owners = claim.metadata.owner_references.clone().unwrap_or_default();
    assert_eq!(owners.len(), 1);
    assert_eq!(
        Some(&owners[0].uid),
        run.metadata.uid.as_ref(),
        "so the garbage collector takes it with the run"
    );

    let pods = service.api::<Pod>();
    let mut bound = Vec::new();
    for (pod, path) in [("shares-a-pod", "run/one"), ("shares-b-pod", "run/two")] {
        let spec = pods.get(pod).await?.spec.unwrap_or_default();
        let volumes = spec.volumes.unwrap_or_default();
        let volume = volumes.iter().find(|volume| {
            volume.persistent_volume_claim.as_ref().is_some_and(|claimed| claimed.claim_name == name)
        });
        let volume = volume.map(|volume| volume.name.clone()).unwrap_or_default();
        let mounts = spec.containers[0].volume_mounts.clone().unwrap_or_default();
        let mount = mounts.into_iter().find(|mount| mount.name == volume).unwrap_or_default();
        assert_eq!((&*mount.mount_path, mount.sub_path.as_deref()), ("/workspace/w", Some(path)));
        bound.push(spec.affinity.and_then(|affinity| affinity.node_affinity));
    }
    // Whichever came second has to go where the first is.
    let required = bound
        .iter()
        .flatten()
        .filter_map(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let places: Vec<_> = required
        .flat_map(|selector| &selector.node_selector_terms)
        .flat_map(|term| term.match_expressions.iter().flatten().chain(term.match_fields.iter().flatten()))
        .flat_map(|requirement| requirement.values.iter().flatten().cloned())
        .collect();
    assert_eq!(places, [service.kubelet.node()]);
    service.stop().await
}

#[tokio::test]
async fn scenario_14_an_optional_workspace_may_stay_unbound() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let reads = with(step("x"), &json!({"args": ["$(workspaces.w.bound)", "<$(workspaces.w.path)>"]}));
    let pipeline = |is_optional: bool| {
        json!({"pipelineSpec": {
            "workspaces": [{"name": "data", "optional": true}],
            "tasks": [{"name": "a", "workspaces": [{"name": "w", "workspace": "data"}],
                "taskSpec": {"workspaces": [{"name": "w", "optional": is_optional}], "steps": [reads]}}],
        }})
    };
    service.run_pipeline("unbound", &pipeline(true)).await?;
    assert_eq!(of_pipeline_run(&service.end_of("unbound").await?), says("True", "Succeeded"));
    let pod = service.api::<Pod>().get("unbound-a-pod").await?.spec.unwrap_or_default();
    let args = pod.containers[0].args.clone().unwrap_or_default();
    assert_eq!(args[args.len() - 2..], ["false", "<>"]);

    service.run_pipeline("required", &pipeline(false)).await?;
    let refused: PipelineRun = service.end_of("required").await?;
    assert_eq!(of_pipeline_run(&refused), says("False", "RequiredWorkspaceMarkedOptional"));
    let status = refused.status.unwrap_or_default();
    assert!(message(&status.conditions).contains("\"data\""), "{status:?}");
    service.stop().await
}
