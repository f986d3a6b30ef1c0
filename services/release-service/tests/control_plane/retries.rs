//! Managed runs that failed for want of memory or time are repeated.

use anyhow::ensure;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::release::Attempt;
use release_service_api::{Phase, Release, ReleasePlanAdmission};
use serde_json::{Value, json};
use testkit::engine::{RunScript, Runs};

use crate::service::{ACCOUNT, ADMISSION, Service, release};
use crate::track::is_held;

const ATTEMPT: &str = "release.appstudio.openshift.io/attempt";
const URL: &str = "https://git.example/acme/catalog";
/// No branch, so that nobody is asked.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Settings by which a run is repeated so often, each time with half an hour more.
pub(crate) fn settings(max_retries: i64) -> Value {
    json!({"retryablePipelines": [{
        "url": "https://git\\.example/acme/.*", "revision": "[0-9a-f]{40}", "pathInRepo": "pipelines/push.yaml",
        "retryPolicy": {
            "maxRetries": max_retries,
            "mitigations": {"timeout": {"increment": "30m", "maxTimeout": "4h"}},
        },
    }]})
}

/// A pipeline of Git that may be repeated.
pub(crate) fn pipeline() -> Value {
    let params = json!([
        {"name": "url", "value": URL}, {"name": "revision", "value": COMMIT},
        {"name": "pathInRepo", "value": "pipelines/push.yaml"},
    ]);
    json!({
        "pipelineRef": {"resolver": "git", "params": params}, "serviceAccountName": ACCOUNT,
        "timeouts": {"pipeline": "2h0m0s", "tasks": "1h50m0s", "finally": "10m0s"},
    })
}

async fn start(max_retries: i64) -> anyhow::Result<Service> {
    let mut service = Service::install().await?;
    service.configure(&settings(max_retries)).await?;
    service.prepare().await?;
    let spec = json!({"spec": {"pipeline": pipeline()}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &spec).await?;
    service.run().await?;
    Ok(service)
}

fn attempts(release: &Release) -> Vec<Attempt> {
    release.status.clone().map(|status| status.managed_pipeline_attempts).unwrap_or_default()
}

#[tokio::test]
async fn a_run_that_took_too_long_gets_more_time() -> anyhow::Result<()> {
    let service = start(2).await?;
    service.engine.play(Runs::labelled(ATTEMPT, "0"), RunScript::times_out());
    service.tenant.create(&release("r")).await?;
    let released = service.has_reason("r", "Released", "Succeeded").await?;

    let attempts = attempts(&released);
    let said: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt.status.as_deref(), attempt.failure_reason.as_deref()))
        .collect();
    ensure!(
        said == [(Some("Failed"), Some("PipelineRunTimeout")), (Some("Succeeded"), None)],
        "{attempts:?}"
    );
    let second = Service::run_of(&released, Phase::Managed, 1);
    let expected = format!("{}/{second}", service.managed.name);
    let status = released.status.clone().unwrap_or_default();
    ensure!(attempts[1].pipeline_run.as_ref() == Some(&expected), "{attempts:?}");
    ensure!(status.processing.and_then(|of| of.pipeline_run).as_ref() == Some(&expected));
    let mitigation = attempts[1].mitigation.clone().unwrap_or_default();
    ensure!(mitigation.tasks_timeout.as_deref() == Some("2h20m0s"), "{mitigation:?}");

    let run = service.managed.until(&second, "to be let go", |run: &PipelineRun| !is_held(run)).await?;
    let timeouts = run.spec.timeouts.unwrap_or_default();
    ensure!(timeouts.pipeline.as_deref() == Some("2h30m0s"), "{timeouts:?}");
    ensure!(timeouts.tasks.as_deref() == Some("2h20m0s"), "{timeouts:?}");
    let first = Service::run_of(&released, Phase::Managed, 0);
    service.managed.until(&first, "to be let go", |run: &PipelineRun| !is_held(run)).await?;
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test]
async fn it_is_not_repeated_more_often_than_it_may() -> anyhow::Result<()> {
    let service = start(1).await?;
    service.engine.play(Runs::any(), RunScript::times_out());
    service.tenant.create(&release("r")).await?;
    let failed = service.has_reason("r", "Released", "Failed").await?;
    ensure!(attempts(&failed).len() == 2, "{:?}", attempts(&failed));
    service.managed.has::<PipelineRun>(2).await?;
    service.tenant.has::<RoleBinding>(0).await?;
    Ok(())
}

#[tokio::test]
async fn an_error_is_not_repeated() -> anyhow::Result<()> {
    let service = start(2).await?;
    service.engine.play(Runs::any(), RunScript::fails("Failed", "no"));
    service.tenant.create(&release("r")).await?;
    let failed = service.has_reason("r", "Released", "Failed").await?;
    let reasons: Vec<_> = attempts(&failed).into_iter().map(|attempt| attempt.failure_reason).collect();
    ensure!(reasons == [Some("Error".to_owned())], "{reasons:?}");
    let runs = service.managed.has::<PipelineRun>(1).await?;
    ensure!(runs[0].name_any() == Service::run_of(&failed, Phase::Managed, 0));
    Ok(())
}
