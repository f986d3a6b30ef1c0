//! Killed at any moment, the service ends where it ends on a calm day: scenario 10. Never a second run, never a binding left behind.

use std::time::Duration;

use anyhow::ensure;
use application_service_api::{Application, Snapshot};
use enterprise_contract_api::EnterpriseContractPolicy;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use pipelines_engine_api::{PipelineRun, TaskRun};
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission, ReleaseServiceConfig};
use serde_json::{Value, json};
use testkit::builders;
use testkit::drill::{Drill, Tenant};
use testkit::engine::{RunScript, Runs};
use testkit::{PlayedEngine, wait_for, wait_gone};

use crate::retries::{pipeline, settings};
use crate::service::{
    ACCOUNT, ADMISSION, NEIGHBOURS, PLAN, POLICY, SHOP, SNAPSHOT, admission_with, application, bundle,
    object, plan_with, policy, reason, release, snapshot,
};
use crate::track::{endless, is_held};

/// The pauses of the kit grow while requests fail, and a Release takes several of them.
const PATIENCE: Duration = Duration::from_mins(3);

const TYPE: &str = "pipelines.appstudio.openshift.io/type";

pub(crate) fn drill() -> Drill {
    // Nobody would call its webhooks, and what they spare would not be drilled. Its settings are the tenant's, for a drill has no
    // other namespace; and so is the managed namespace.
    let flags =
        ["--enable-webhooks=false", "--enterprise-contract-config-map=none", "--service-namespace={tenant}"];
    Drill::of("release-service", env!("CARGO_BIN_EXE_release-service")).beside(NEIGHBOURS).flags(flags)
}

/// A Release goes through three phases, of which the second has to be repeated; another one is deleted while it runs.
pub(crate) async fn flow(tenant: &Tenant) -> anyhow::Result<()> {
    let engine = PlayedEngine::start(tenant.admin(), tenant).await?;
    engine.play(Runs::labelled("release.appstudio.openshift.io/attempt", "0"), RunScript::times_out());
    Box::pin(prepare(tenant)).await?;
    Box::pin(released(tenant)).await?;
    engine.play(Runs::labelled(TYPE, "managed"), endless());
    Box::pin(deleted(tenant)).await?;
    engine.stop().await;
    Ok(())
}

/// A drill installs webhooks too, and without the one for authors no Release can be made.
async fn without_webhooks(tenant: &Tenant) -> anyhow::Result<()> {
    let all: Api<MutatingWebhookConfiguration> = Api::all(tenant.admin());
    for configuration in all.list(&ListParams::default()).await?.items {
        if json!(configuration).to_string().contains(&**tenant) {
            all.delete(&configuration.name_any(), &DeleteParams::default()).await?;
        }
    }
    Ok(())
}

async fn prepare(tenant: &Tenant) -> anyhow::Result<()> {
    let new = PostParams::default();
    without_webhooks(tenant).await?;
    let config: ReleaseServiceConfig = object(
        "appstudio.redhat.com/v1alpha1",
        "ReleaseServiceConfig",
        "release-service-config",
        &settings(1),
    );
    tenant.api::<ReleaseServiceConfig>().create(&new, &config).await?;
    tenant.api::<Application>().create(&new, &application(SHOP)).await?;
    tenant.api::<Snapshot>().create(&new, &snapshot(SNAPSHOT)).await?;
    tenant.api::<EnterpriseContractPolicy>().create(&new, &policy(POLICY)).await?;
    tenant.api::<ServiceAccount>().create(&new, &builders::service_account(tenant, ACCOUNT)).await?;
    // Last: the service begins once it may read its settings.
    tenant.api::<Role>().create(&new, &serde_json::from_value(reader())?).await?;
    tenant.api::<RoleBinding>().create(&new, &serde_json::from_value(binding())?).await?;
    let admission = admission_with(ADMISSION, tenant, &json!({"pipeline": pipeline()}));
    tenant.api::<ReleasePlanAdmission>().create(&new, &admission).await?;
    let own = json!({"pipelineRef": bundle("own")});
    let plan = plan_with(PLAN, &json!({"target": &**tenant, "tenantPipeline": own, "finalPipeline": own}));
    tenant.api::<ReleasePlan>().create(&new, &plan).await?;
    let is_matched = |plan: &ReleasePlan| {
        let admission = plan.status.as_ref().and_then(|status| status.release_plan_admission.as_ref());
        admission.is_some_and(|admission| admission.active) && !plan.owner_references().is_empty()
    };
    wait_for(&tenant.api::<ReleasePlan>(), PLAN, "its admission", PATIENCE, is_matched).await?;
    let has_plan = |admission: &ReleasePlanAdmission| {
        let status = admission.status.as_ref();
        status.is_some_and(|status| status.release_plans.len() == 1 && status.retry_info.is_some())
    };
    let admissions = tenant.api::<ReleasePlanAdmission>();
    wait_for(&admissions, ADMISSION, "its plan", PATIENCE, has_plan).await?;
    Ok(())
}

/// What the base allows in the namespace of the service.
fn reader() -> Value {
    let rule = json!({
        "apiGroups": ["appstudio.redhat.com"], "resources": ["releaseserviceconfigs"], "verbs": ["list", "watch"],
    });
    json!({"metadata": {"name": "settings"}, "rules": [rule]})
}

fn binding() -> Value {
    json!({
        "metadata": {"name": "settings"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "settings"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:serviceaccounts"}],
    })
}

/// Three phases, four runs, and nothing left but these.
async fn released(tenant: &Tenant) -> anyhow::Result<()> {
    let releases = tenant.api::<Release>();
    releases.create(&PostParams::default(), &release("r")).await?;
    let is_released = |release: &Release| {
        reason(release, "Released").as_deref() == Some("Succeeded")
            && ["TenantPipelineProcessed", "ManagedPipelineProcessed", "FinalPipelineProcessed"]
                .iter()
                .all(|type_| reason(release, type_).as_deref() == Some("Succeeded"))
    };
    let release = wait_for(&releases, "r", "its end", PATIENCE, is_released).await?;
    let attempts = release.status.map(|status| status.managed_pipeline_attempts).unwrap_or_default();
    ensure!(attempts.len() == 2, "{attempts:?}");
    let runs = tenant.api::<PipelineRun>();
    let all = runs.list(&ListParams::default()).await?.items;
    ensure!(all.len() == 4, "there are {:?}", all.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
    for run in all {
        let is_free = |run: &PipelineRun| !is_held(run);
        wait_for(&runs, &run.name_any(), "to be let go", PATIENCE, is_free).await?;
    }
    without_bindings(tenant).await
}

/// One that is deleted while its managed run runs takes all with it.
async fn deleted(tenant: &Tenant) -> anyhow::Result<()> {
    let releases = tenant.api::<Release>();
    releases.create(&PostParams::default(), &release("s")).await?;
    let is_running = |release: &Release| reason(release, "Processed").as_deref() == Some("Progressing");
    wait_for(&releases, "s", "its managed run", PATIENCE, is_running).await?;
    releases.delete("s", &DeleteParams::default()).await?;
    wait_gone(&releases, "s", PATIENCE).await?;
    let of_s = ListParams::default().labels("release.appstudio.openshift.io/name=s");
    let runs = tenant.api::<PipelineRun>();
    for run in runs.list(&of_s).await?.items {
        wait_gone(&runs, &run.name_any(), PATIENCE).await?;
    }
    // Nobody collects garbage here, and what it says of a Release that is gone is another uid each time.
    let tasks = tenant.api::<TaskRun>();
    for task in tasks.list(&of_s).await?.items {
        tasks.delete(&task.name_any(), &DeleteParams::default()).await?;
    }
    without_bindings(tenant).await
}

async fn without_bindings(tenant: &Tenant) -> anyhow::Result<()> {
    let ours = ListParams::default().labels("release.appstudio.openshift.io/name");
    let bindings = tenant.api::<RoleBinding>();
    for binding in bindings.list(&ours).await?.items {
        wait_gone(&bindings, &binding.name_any(), PATIENCE).await?;
    }
    Ok(())
}

#[tokio::test]
async fn scenario_10_killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let drill = drill();
    let crashes = drill.crash_after_each_write(async |tenant| Box::pin(flow(tenant)).await);
    eprintln!("crash drill: {}", Box::pin(crashes).await?);
    Ok(())
}
