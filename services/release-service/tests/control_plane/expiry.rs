//! Releases go when their time has come: scenario 16.

use anyhow::ensure;
use kube::ResourceExt;
use release_service_api::Release;
use serde_json::{Value, json};
use testkit::engine::Runs;

use crate::service::{Service, release, release_with};
use crate::track::{FINALIZER, endless};

const PAST: &str = "2024-03-01T12:00:00Z";

/// How many expire at once.
const MANY: usize = 60;

fn over(expires: &Value) -> Value {
    let condition = json!({
        "type": "Released", "status": "True", "reason": "Succeeded", "message": "", "lastTransitionTime": PAST,
    });
    json!({"conditions": [condition], "expirationTime": expires})
}

#[tokio::test]
async fn scenario_16_only_what_is_over_and_expired_goes() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    service.engine.play(Runs::labelled("release.appstudio.openshift.io/name", "running"), endless());
    service.tenant.create(&release_with("kept", "shop-1", "plan", &json!({"gracePeriodDays": 3}))).await?;
    service.tenant.create(&release("running")).await?;
    let kept = service.has_reason("kept", "Released", "Succeeded").await?;
    service.has_reason("running", "Processed", "Progressing").await?;
    // Creation and three days.
    let expires = kept.status.as_ref().and_then(|status| status.expiration_time.as_ref());
    let created = kept.metadata.creation_timestamp.as_ref();
    let days =
        expires.zip(created).map(|(expires, created)| expires.0.duration_since(created.0).as_hours() / 24);
    ensure!(days == Some(3), "{days:?}");

    service.stop().await?;
    for (name, expires) in [("timeless", json!(null)), ("due", json!(PAST))] {
        service.tenant.create(&release(name)).await?;
        service.tenant.patch_status::<Release>(name, &over(&expires)).await?;
    }
    service.tenant.patch_status::<Release>("running", &json!({"expirationTime": PAST})).await?;
    service.run().await?;
    service.tenant.gone::<Release>("due").await?;
    // Those that are looked at in the same moment have been by now.
    service.tenant.create(&release("later")).await?;
    service.has_reason("later", "Released", "Succeeded").await?;
    let left: Vec<_> = service.tenant.all::<Release>().await?.iter().map(ResourceExt::name_any).collect();
    ensure!(left == ["kept", "later", "running", "timeless"], "{left:?}");
    Ok(())
}

#[tokio::test]
async fn scenario_16_one_that_was_released_goes_with_all_that_it_has() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&release("r")).await?;
    service.has_reason("r", "Released", "Succeeded").await?;
    let runs = service.managed.has::<pipelines_engine_api::PipelineRun>(1).await?;
    service.tenant.patch_status::<Release>("r", &json!({"expirationTime": PAST})).await?;
    service.tenant.gone::<Release>("r").await?;
    service.managed.gone::<pipelines_engine_api::PipelineRun>(&runs[0].name_any()).await
}

#[tokio::test]
async fn nothing_goes_where_expiration_is_off() -> anyhow::Result<()> {
    let service = Service::start_with(&["--expiration=off"]).await?;
    service.tenant.create(&release("r")).await?;
    service.has_reason("r", "Released", "Succeeded").await?;
    service.tenant.patch_status::<Release>("r", &json!({"expirationTime": PAST})).await?;
    service.tenant.create(&release("later")).await?;
    service.has_reason("later", "Released", "Succeeded").await?;
    let there: Release = service.tenant.api().get("r").await?;
    ensure!(there.metadata.deletion_timestamp.is_none(), "it goes");
    Ok(())
}

#[tokio::test]
async fn many_go_at_once_and_nothing_is_listed_for_them() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--expiration-rate=1000");
    service.prepare().await?;
    service.run().await?;
    for number in 0..MANY {
        let name = format!("r-{number}");
        let mut release = release(&name);
        release.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        // Nobody is to take it up before its status says that it is over.
        release.metadata.labels.get_or_insert_default().insert("velero.io/restore-name".into(), "b".into());
        service.tenant.create(&release).await?;
        service.tenant.patch_status::<Release>(&name, &over(&json!(PAST))).await?;
    }
    service.touch("before").await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    for number in 0..MANY {
        let body = json!({"metadata": {"labels": {"velero.io/restore-name": null}}});
        service.tenant.patch::<Release>(&format!("r-{number}"), &body).await?;
    }
    service.tenant.has::<Release>(0).await?;
    service.touch("after").await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases").except("events");
    // To delete it and to let it go.
    ensure!(calls.writes() == 2 * MANY, "{} writes: {calls:?}", calls.writes());
    ensure!(calls.reads() == 0, "{} reads: {calls:?}", calls.reads());
    Ok(())
}
