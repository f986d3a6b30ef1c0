//! What is taken back, and when: scenario 14, withdrawn Releases, what crashes leave behind.

use anyhow::ensure;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release};
use serde_json::{Value, json};
use testkit::engine::{RunScript, Runs, TaskScript};

use crate::service::{ADMISSION, Service, object, release};
use crate::track::{endless, is_held};

/// A Release whose run never ends.
async fn running(service: &Service) -> anyhow::Result<Release> {
    service.engine.play(Runs::any(), endless());
    service.tenant.create(&release("r")).await?;
    let release = service.has_reason("r", "Processed", "Progressing").await?;
    service.tenant.has::<RoleBinding>(1).await?;
    Ok(release)
}

#[tokio::test]
async fn scenario_14_deleted_while_its_run_runs() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let release = running(&service).await?;
    service.tenant.delete::<Release>("r").await?;
    service.tenant.gone::<Release>("r").await?;
    service.managed.gone::<PipelineRun>(&Service::run_of(&release, Phase::Managed, 0)).await?;
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_14_deleted_after_its_run_was_removed_by_hand() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let release = running(&service).await?;
    service.kill().await?;
    let run = Service::run_of(&release, Phase::Managed, 0);
    service.managed.patch::<PipelineRun>(&run, &json!({"metadata": {"finalizers": null}})).await?;
    service.managed.delete::<PipelineRun>(&run).await?;
    service.managed.gone::<PipelineRun>(&run).await?;
    service.tenant.delete::<Release>("r").await?;
    service.run().await?;
    service.tenant.gone::<Release>("r").await?;
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test]
async fn one_that_was_never_valid_goes_as_well() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&crate::service::release_with("r", "none", "plan", &json!({}))).await?;
    service.has_reason("r", "Released", "Failed").await?;
    service.tenant.delete::<Release>("r").await?;
    service.tenant.gone::<Release>("r").await
}

#[tokio::test]
async fn what_is_withdrawn_loses_its_rights_while_its_run_ends() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let release = running(&service).await?;
    let blocked = json!({"metadata": {"labels": {"release.appstudio.openshift.io/block-releases": "true"}}});
    service.managed.patch::<release_service_api::ReleasePlanAdmission>(ADMISSION, &blocked).await?;
    service.tenant.has::<RoleBinding>(0).await?;
    let failed = service.has_reason("r", "Validated", "Failed").await?;
    let validation = failed.status.and_then(|status| status.validation).unwrap_or_default();
    ensure!(validation.failed_post_validation == Some(true), "{validation:?}");
    let name = Service::run_of(&release, Phase::Managed, 0);
    let run: PipelineRun = service.managed.api().get(&name).await?;
    ensure!(is_held(&run), "it is not followed to its end");
    service.engine.play(Runs::any(), RunScript::new().task("push", TaskScript::succeeds()));
    service.has_reason("r", "Processed", "Succeeded").await?;
    service.has_reason("r", "Released", "Failed").await?;
    service.managed.until(&name, "to be let go", |run: &PipelineRun| !is_held(run)).await?;
    Ok(())
}

fn labels(release: &str, namespace: &str) -> Value {
    json!({
        "pipelines.appstudio.openshift.io/type": "managed",
        "release.appstudio.openshift.io/name": release, "release.appstudio.openshift.io/namespace": namespace,
    })
}

fn binding(name: &str, labels: &Value) -> RoleBinding {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "release-pipeline-resource-role"},
    }))
    .expect("it is a RoleBinding")
}

#[tokio::test]
async fn what_a_crash_left_behind_is_found() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let release = running(&service).await?;
    service.stop().await?;
    let tenant = &service.tenant.name;
    let infix = "-rolebinding-for-release-pipeline-resource-role-";
    // Of a Release that is gone, of one that had the name before, and of somebody else.
    service.tenant.create(&binding(&format!("gone{infix}aaaaaaaaaa"), &labels("gone", tenant))).await?;
    service.managed.create(&binding(&format!("r{infix}aaaaaaaaaa"), &labels("r", tenant))).await?;
    service.managed.create(&binding("mine", &labels("gone", tenant))).await?;
    let mut role: Role = serde_json::from_value(json!({"metadata": {"labels": labels("gone", tenant)}}))?;
    role.metadata.name = Some("gone-role-for-managed-collectors-aaaaaaaaaa".to_owned());
    service.managed.create(&role).await?;
    let mut run: PipelineRun = object("tekton.dev/v1", "PipelineRun", "managed-aaaaaaaaaa", &json!({}));
    run.metadata.labels = serde_json::from_value(labels("gone", tenant))?;
    run.metadata.finalizers = Some(vec![crate::track::FINALIZER.to_owned()]);
    service.managed.create(&run).await?;

    service.run().await?;
    service.managed.until("managed-aaaaaaaaaa", "to be let go", |run: &PipelineRun| !is_held(run)).await?;
    service.managed.has::<Role>(0).await?;
    let left = service.managed.has::<RoleBinding>(1).await?;
    ensure!(left[0].name_any() == "mine", "{}", left[0].name_any());
    let left = service.tenant.has::<RoleBinding>(1).await?;
    ensure!(left[0].name_any().starts_with("r-"), "{}", left[0].name_any());
    let run: PipelineRun = service.managed.api().get(&Service::run_of(&release, Phase::Managed, 0)).await?;
    ensure!(is_held(&run), "the run of a Release that is there was let go");
    Ok(())
}
