//! A Release from its creation to its end: scenarios 1, 16 and 20, and what the whole costs the API server.

use anyhow::ensure;
use application_service_api::Snapshot;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release, ReleasePlan, ReleasePlanAdmission, labels};
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::Runs;

use crate::service::{
    ACCOUNT, ADMISSION, EC_BUNDLE, PLAN, SHOP, SNAPSHOT, Service, annotation, bundle, label, release,
    release_with,
};
use crate::track::{FINALIZER, endless, is_held};

fn conditions(release: &Release) -> Vec<(String, String, String)> {
    let status = release.status.clone().unwrap_or_default();
    let of = |condition: fleet_api::Condition| (condition.type_, condition.status, condition.reason);
    status.conditions.into_iter().map(of).collect()
}

fn owned(conditions: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    conditions.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

#[tokio::test]
async fn scenario_1_one_binding_and_one_run() -> anyhow::Result<()> {
    let mut service = Service::install_with_webhooks().await?;
    service.run().await?;
    service.prepare().await?;
    service.engine.play(Runs::any(), endless());
    let marked = json!({"metadata": {"labels": {"pac.test.appstudio.openshift.io/sha": "1f"},
        "annotations": {"appstudio.openshift.io/component": "web", "other.example/a": "b"}}});
    service.tenant.patch::<Snapshot>(SNAPSHOT, &marked).await?;
    let graced = json!({"spec": {"releaseGracePeriodDays": 3}});
    service.tenant.patch::<ReleasePlan>(PLAN, &graced).await?;
    service.tenant.create(&release("r")).await?;
    let released = service.has_reason("r", "Processed", "Progressing").await?;

    let (tenant, managed) = (&service.tenant.name, &service.managed.name);
    assert!(label(&released, labels::AUTHOR.as_str()).is_some_and(|author| author != "alice"));
    assert_eq!(released.spec.grace_period_days, Some(3));
    assert_eq!(released.finalizers(), [FINALIZER]);
    assert_eq!(label(&released, "pac.test.appstudio.openshift.io/sha"), Some("1f"));
    assert_eq!(annotation(&released, "appstudio.openshift.io/component"), Some("web"));
    assert_eq!(annotation(&released, "other.example/a"), None);
    assert_eq!(
        conditions(&released),
        owned(&[
            ("Released", "False", "Progressing"),
            ("Validated", "True", "Succeeded"),
            ("Processed", "False", "Progressing"),
            ("ManagedPipelineProcessed", "False", "Progressing"),
        ])
    );
    let [binding] = &service.tenant.has::<RoleBinding>(1).await?[..] else { unreachable!() };
    let subject = &binding.subjects.as_ref().unwrap()[0];
    assert_eq!(
        (&*binding.role_ref.name, &*subject.name, subject.namespace.as_deref()),
        ("release-pipeline-resource-role", ACCOUNT, Some(&**managed))
    );
    assert_eq!(binding.owner_references()[0].uid, released.uid().unwrap());

    let [run] = &service.managed.has::<PipelineRun>(1).await?[..] else { unreachable!() };
    assert_eq!(run.name_any(), Service::run_of(&released, Phase::Managed, 0));
    assert_eq!(run.finalizers(), [FINALIZER]);
    // The engine adds its own.
    let ours = run.labels().iter().filter(|(key, _)| !key.starts_with("tekton.dev/"));
    let labels: Value = ours.map(|(key, value)| (key.clone(), json!(value))).collect();
    assert_eq!(
        labels,
        json!({
            "appstudio.openshift.io/application": SHOP,
            "appstudio.openshift.io/service": "release",
            "appstudio.openshift.io/snapshot": SNAPSHOT,
            "pipelines.appstudio.openshift.io/type": "managed",
            "release.appstudio.openshift.io/attempt": "0",
            "release.appstudio.openshift.io/name": "r",
            "release.appstudio.openshift.io/namespace": tenant,
        })
    );
    let owner = format!("{tenant}/r");
    assert_eq!(annotation(run, "operator-sdk/primary-resource"), Some(&*owner));
    assert_eq!(annotation(run, "operator-sdk/primary-resource-type"), Some("Release.appstudio.redhat.com"));
    let spec = json!(run.spec);
    let param = |name: &str, value: String| json!({"name": name, "value": value});
    let policy = json!({"description": "strict", "publicKey": "k8s://keys/public", "sources": [{"policy": ["oci::images.example/rules:1"]}]});
    assert_eq!(
        spec["params"],
        json!([
            param("release", owner.clone()),
            param("releasePlan", format!("{tenant}/{PLAN}")),
            param("releasePlanAdmission", format!("{managed}/{ADMISSION}")),
            param("releaseServiceConfig", format!("{}/release-service-config", service.home.name)),
            param("snapshot", format!("{tenant}/{SNAPSHOT}")),
            param("enterpriseContractPolicy", policy.to_string()),
            param("verify_ec_task_bundle", EC_BUNDLE.to_owned()),
        ])
    );
    assert_eq!(spec["taskRunTemplate"]["serviceAccountName"], ACCOUNT);
    assert_eq!(spec["pipelineRef"], bundle("push"));
    let [workspace] = &spec["workspaces"].as_array().unwrap()[..] else { panic!("{}", spec["workspaces"]) };
    assert_eq!(workspace["name"], "release-workspace");
    let claim = &workspace["volumeClaimTemplate"]["spec"];
    assert_eq!(claim["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(claim["resources"]["requests"]["storage"], "1Gi");

    let status = released.status.clone().unwrap_or_default();
    let processing = status.processing.unwrap_or_default();
    assert_eq!(processing.pipeline_run, Some(format!("{managed}/{}", run.name_any())));
    assert_eq!(processing.role_binding, Some(format!("{tenant}/{}", binding.name_any())));
    assert_eq!(status.target.as_ref(), Some(managed));
    assert_eq!(
        status.attribution.unwrap_or_default().author.as_deref(),
        label(&released, labels::AUTHOR.as_str())
    );
    service.tenant.told("r", "PipelineRunCreated").await?;
    Ok(())
}

#[tokio::test]
async fn a_simple_release_takes_seven_writes() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.touch("before").await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.tenant.create(&release("r")).await?;
    let released = service.is_over("r").await?;
    let run = Service::run_of(&released, Phase::Managed, 0);
    service.managed.until(&run, "to be let go", |run: &PipelineRun| !is_held(run)).await?;
    service.tenant.has::<RoleBinding>(0).await?;
    service.touch("after").await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases").except("events");
    // The service has just begun: plan and admission are matched, and it looks for what nobody took back.
    let calls =
        calls.except("releaseplans").except("releaseplanadmissions").filter(|call| call.verb != "list");
    ensure!(calls.writes() == 7, "{} writes: {calls:?}", calls.writes());
    // Snapshot, policy and defaults when it begins and when it ends; what clean-up looks at.
    ensure!(calls.reads() <= 10, "{} reads: {calls:?}", calls.reads());

    assert!((service.sum("release_total") - 1.0).abs() < 0.1);
    assert!((service.sum("release_duration_seconds") - 1.0).abs() < 0.1);
    assert!((service.sum("release_processing_duration_seconds") - 1.0).abs() < 0.1);
    assert!(service.sum("release_concurrent_total").abs() < 0.1);
    Ok(())
}

#[tokio::test]
async fn scenario_16_expires_counted_from_its_creation() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&release_with("kept", SNAPSHOT, PLAN, &json!({"gracePeriodDays": 2}))).await?;
    service.tenant.create(&release_with("refused", SNAPSHOT, "none", &json!({}))).await?;
    for (name, days) in [("kept", 2), ("refused", 7)] {
        let released = service.is_over(name).await?;
        let created = released.creation_timestamp().unwrap().0;
        let expires = released.status.unwrap_or_default().expiration_time.map(|time| time.0);
        assert_eq!(expires, Some(created + jiff::SignedDuration::from_hours(24 * days)), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn scenario_20_nothing_comes_of_a_restored_release() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&release("restored").label("velero.io/restore-name", "backup")).await?;
    let copy = release("copy").annotation("fleet.konflux-ci.dev/uid", "of-another");
    service.tenant.create(&copy).await?;
    service.tenant.create(&release("r")).await?;
    service.is_over("r").await?;
    service.managed.has::<PipelineRun>(1).await?;
    for name in ["restored", "copy"] {
        let release: Release = service.tenant.api().get(name).await?;
        assert_eq!((release.status, release.metadata.finalizers), (None, None), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn how_far_a_run_is_shows_after_a_while() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), endless());
    service.tenant.create(&release("r")).await?;
    let released = service.has_reason("r", "Processed", "Progressing").await?;
    let run = Service::run_of(&released, Phase::Managed, 0);
    assert_eq!(crate::service::message(&released, "Processed"), format!("{}/{run}", service.managed.name));
    // The played engine says once that it began. Said later, that would take back what is said here.
    let has_begun =
        |run: &PipelineRun| run.status.as_ref().is_some_and(|status| !status.conditions.is_empty());
    service.managed.until(&run, "to begin", has_begun).await?;
    // As if it ran for long: what is said of it then is not held back.
    let long_ago = json!({"managedProcessing": {"startTime": "2024-01-01T00:00:00Z"}});
    service.tenant.patch_status::<Release>("r", &long_ago).await?;
    let message = "Tasks Completed: 2 (Failed: 0, Cancelled 0), Incomplete: 3, Skipped: 0";
    let progress = json!({"conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Running", "message": message}]});
    service.managed.patch_status::<PipelineRun>(&run, &progress).await?;
    // The service looks once in half a minute; this has it look now.
    let touched = json!({"metadata": {"annotations": {"example.com/touched": "now"}}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &touched).await?;
    let is_told =
        |release: &Release| crate::service::message(release, "Processed") == format!("{run}: 2/5 tasks done");
    service.tenant.until("r", "to say how far it is", is_told).await?;
    Ok(())
}
