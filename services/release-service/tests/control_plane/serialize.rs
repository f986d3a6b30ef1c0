//! Releases of one plan, one after the other (spec, section 9.9).

use anyhow::ensure;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, ReleasePlanAdmission};
use serde_json::{Value, json};
use testkit::engine::Runs;

use crate::service::{ADMISSION, Service, release};
use crate::track::endless;

const RELEASE: &str = "release.appstudio.openshift.io/name";

/// Three Releases of the plan, the first of which goes on until it is ended.
async fn three(is_serial: bool) -> anyhow::Result<Service> {
    let service = Service::start().await?;
    let value = if is_serial { json!("true") } else { Value::Null };
    let annotations = json!({"release.appstudio.openshift.io/serialize": value});
    let body = json!({"metadata": {"annotations": annotations}});
    service.managed.patch::<ReleasePlanAdmission>(ADMISSION, &body).await?;
    service.engine.play(Runs::labelled(RELEASE, "a"), endless());
    for name in ["a", "b", "c"] {
        service.tenant.create(&release(name)).await?;
    }
    service.managed_run("a").await?;
    Ok(service)
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_the_release_before() -> anyhow::Result<()> {
    let service = Box::pin(three(true)).await?;
    for name in ["b", "c"] {
        service.has_reason(name, "Validated", "Succeeded").await?;
    }
    // A run would have been made before that was written.
    let runs = service.managed.has::<PipelineRun>(1).await?;
    ensure!(runs[0].labels().get(RELEASE).map(String::as_str) == Some("a"));
    service.managed.delete::<PipelineRun>(&runs[0].name_any()).await?;
    service.has_reason("a", "Released", "Failed").await?;
    let second = service.has_reason("b", "Released", "Succeeded").await?;
    let third = service.has_reason("c", "Released", "Succeeded").await?;
    let ended = |release: &Release| json!(release.status)["processing"]["completionTime"].clone();
    let begun = |release: &Release| json!(release.status)["processing"]["startTime"].clone();
    ensure!(
        ended(&second).as_str() <= begun(&third).as_str(),
        "b ended at {}, c began at {}",
        ended(&second),
        begun(&third)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn does_not_wait_where_nobody_asked_for_it() -> anyhow::Result<()> {
    let service = Box::pin(three(false)).await?;
    for name in ["b", "c"] {
        service.has_reason(name, "Released", "Succeeded").await?;
    }
    let first: Release = service.tenant.api().get("a").await?;
    ensure!(crate::service::reason(&first, "Released").as_deref() == Some("Progressing"));
    Ok(())
}
