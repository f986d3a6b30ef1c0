//! What is not released, and why: scenarios 5, 6, 12 and 22 of the side of the checks.

use anyhow::ensure;
use application_service_api::Snapshot;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Phase, Release, ReleasePlan, ReleasePlanAdmission};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::engine::Runs;

use crate::service::{
    ADMISSION, PLAN, POLICY, SNAPSHOT, Service, admission_with, message, plan, plan_with, release,
    release_with, snapshot, truth,
};
use crate::track::endless;

/// Waits until a Release is refused, and returns why.
async fn is_refused(service: &Service, name: &str) -> anyhow::Result<String> {
    let release = service.has_reason(name, "Released", "Failed").await?;
    let status = release.status.clone().unwrap_or_default();
    ensure!(status.conditions[0].type_ == "Released", "clients read the first");
    ensure!(message(&release, "Released") == "Release validation failed", "{status:?}");
    ensure!(truth(&release, "Validated").as_deref() == Some("False"), "{status:?}");
    ensure!(truth(&release, "Processed").is_none() && status.processing.is_none(), "{status:?}");
    ensure!(release.finalizers().is_empty(), "nothing was made for it");
    Ok(message(&release, "Validated"))
}

#[tokio::test]
async fn what_is_missing_is_named() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (tenant, managed) = (service.tenant.name.clone(), service.managed.name.clone());
    service.tenant.create(&plan_with("empty", &json!({}))).await?;
    service.tenant.create(&plan("nowhere", "no-such-namespace")).await?;
    service.tenant.create(&plan_with("other", &json!({"application": "bank", "target": managed}))).await?;
    service.managed.create(&admission_with("bank", &tenant, &json!({"applications": ["bank"]}))).await?;
    let cases = [
        ("a", "none", SNAPSHOT, format!("ReleasePlan {tenant}/none not found")),
        ("b", PLAN, "none", format!("Snapshot {tenant}/none not found")),
        ("c", "empty", SNAPSHOT, format!("ReleasePlan {tenant}/empty runs no pipeline")),
        ("d", "nowhere", SNAPSHOT, "no ReleasePlanAdmission in namespace no-such-namespace".to_owned()),
        ("e", "other", SNAPSHOT, format!("Snapshot {tenant}/{SNAPSHOT} is of Application shop")),
    ];
    for (name, plan, snapshot, _) in &cases {
        service.tenant.create(&release_with(name, snapshot, plan, &json!({}))).await?;
    }
    for (name, _, _, expected) in &cases {
        let cause = is_refused(&service, name).await?;
        ensure!(cause.contains(expected), "{name}: {cause}");
        service.tenant.told(name, "ValidationFailed").await?;
    }
    ensure!(
        service.managed.all::<PipelineRun>().await?.is_empty()
            && service.tenant.all::<RoleBinding>().await?.is_empty()
    );
    Ok(())
}

#[tokio::test]
async fn what_the_managed_pipeline_works_with_is_named_if_it_is_missing() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let unknown = json!({"spec": {"policy": "unknown"}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &unknown).await?;
    service.tenant.create(&release("policy")).await?;
    let cause = is_refused(&service, "policy").await?;
    ensure!(
        cause.contains(&format!("EnterpriseContractPolicy {}/unknown not found", service.managed.name)),
        "{cause}"
    );

    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &json!({"spec": {"policy": POLICY}})).await?;
    service.home.delete::<ConfigMap>("ec-defaults").await?;
    service.tenant.create(&release("defaults")).await?;
    let cause = is_refused(&service, "defaults").await?;
    ensure!(cause.contains(&format!("ConfigMap {}/ec-defaults not found", service.home.name)), "{cause}");
    Ok(())
}

#[rstest]
#[case::auto_release("release.appstudio.openshift.io/auto-release", "false")]
#[case::block_releases("release.appstudio.openshift.io/block-releases", "true")]
#[tokio::test]
async fn scenario_5_a_disabled_admission_takes_nothing(
    #[case] label: &str,
    #[case] value: &str,
) -> anyhow::Result<()> {
    let service = Service::start().await?;
    let disabled = json!({"metadata": {"labels": {label: value}}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &disabled).await?;
    service.tenant.create(&release("r")).await?;
    let cause = is_refused(&service, "r").await?;
    ensure!(cause.contains("takes no Releases"), "{cause}");
    let is_shown = |plan: &ReleasePlan| {
        let status = plan.status.as_ref().and_then(|status| status.release_plan_admission.as_ref());
        status.is_some_and(|admission| !admission.active && admission.name.is_some())
    };
    service.tenant.until(PLAN, "to show it", is_shown).await?;
    // What was refused stays so: a new one is made when the cause is gone.
    service
        .managed
        .patch::<ReleasePlanAdmission>(ADMISSION, &json!({"metadata": {"labels": {label: null}}}))
        .await?;
    service.tenant.create(&release("again")).await?;
    service.has_reason("again", "Released", "Succeeded").await?;
    is_refused(&service, "r").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_6_an_admission_of_another_tenant_is_of_no_use() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.managed.create(&admission_with("theirs", "another-tenant", &json!({}))).await?;
    let named =
        json!({"metadata": {"labels": {"release.appstudio.openshift.io/releasePlanAdmission": "theirs"}}});
    service.tenant.patch::<ReleasePlan>(PLAN, &named).await?;
    service.tenant.create(&release("r")).await?;
    let cause = is_refused(&service, "r").await?;
    ensure!(cause.contains("theirs"), "{cause}");
    let is_unmatched = |plan: &ReleasePlan| truth(plan, "Matched").as_deref() == Some("False");
    service.tenant.until(PLAN, "to be unmatched", is_unmatched).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_12_pipelines_of_the_cluster_are_for_debugging() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let of_cluster = json!({"spec": {"pipeline": {"pipelineRef": {"resolver": "cluster", "params": [
        {"name": "kind", "value": "pipeline"}, {"name": "name", "value": "p"}, {"name": "namespace", "value": "n"},
    ]}}}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &of_cluster).await?;
    service.tenant.create(&release("r")).await?;
    let cause = is_refused(&service, "r").await?;
    ensure!(
        cause == "tried using debug only options while debug mode is disabled in the ReleaseServiceConfig",
        "{cause}"
    );
    service.configure(&json!({"debug": true})).await?;
    service.tenant.create(&release("debugged")).await?;
    service.has_reason("debugged", "Released", "Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn what_turns_bad_later_is_followed_to_its_end() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), endless());
    service.tenant.create(&release("r")).await?;
    let released = service.has_reason("r", "Processed", "Progressing").await?;
    let run = Service::run_of(&released, Phase::Managed, 0);
    let blocked = json!({"metadata": {"labels": {"release.appstudio.openshift.io/block-releases": "true"}}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &blocked).await?;
    let released = service.has_reason("r", "Released", "Failed").await?;
    let validation = released.status.clone().unwrap_or_default().validation.unwrap_or_default();
    assert_eq!(validation.failed_post_validation, Some(true));
    // What was given is taken back at once; the run itself goes on.
    service.tenant.has::<RoleBinding>(0).await?;
    assert_eq!(crate::service::reason(&released, "Processed").as_deref(), Some("Progressing"));
    let ended: Value = json!({"conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        "completionTime": "2024-03-01T12:00:00Z"});
    service.managed.patch_status::<PipelineRun>(&run, &ended).await?;
    let released = service.has_reason("r", "Processed", "Succeeded").await?;
    assert_eq!(message(&released, "Released"), "Release validation failed");
    service.managed.until(&run, "to be let go", |run: &PipelineRun| !crate::track::is_held(run)).await?;
    Ok(())
}

/// The watch of plans may be behind that of Releases.
#[tokio::test]
async fn a_release_made_in_one_go_with_its_plan_is_not_refused() -> anyhow::Result<()> {
    let service = Service::start().await?;
    for number in 0..8 {
        let (name, managed) = (format!("fresh-{number}"), &service.managed.name);
        let (plans, releases) = (service.tenant.api::<ReleasePlan>(), service.tenant.api::<Release>());
        let params = kube::api::PostParams::default();
        service.tenant.create(&snapshot(&name)).await?;
        plans.create(&params, &plan(&name, managed)).await?;
        releases.create(&params, &release_with(&name, &name, &name, &json!({}))).await?;
    }
    for number in 0..8 {
        service.has_reason(&format!("fresh-{number}"), "Released", "Succeeded").await?;
    }
    ensure!(service.tenant.all::<Snapshot>().await?.len() == 9);
    Ok(())
}
