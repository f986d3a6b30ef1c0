//! On whose behalf Releases are made: scenarios 7 and 21.

use anyhow::ensure;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, ReleasePlan, labels};
use serde_json::{Value, json};
use testkit::builders::Build as _;

use crate::service::{ALICE, PLAN, Service, message, reason, release};

fn by_a_program(name: &str) -> Release {
    release(name).label(labels::AUTOMATED.as_str(), "true")
}

async fn attribute(service: &Service, author: Value, standing: &str) -> anyhow::Result<()> {
    let attributed = json!({"metadata": {"labels": {
        labels::AUTHOR.as_str(): author, labels::STANDING_ATTRIBUTION.as_str(): standing,
    }}});
    service.tenant.patch::<ReleasePlan>(PLAN, &attributed).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_7_an_automated_release_is_of_the_author_of_its_plan() -> anyhow::Result<()> {
    let service = Service::start().await?;
    attribute(&service, json!("bob"), "true").await?;
    service.tenant.create(&by_a_program("r")).await?;
    service.tenant.create(&release("by-hand")).await?;
    let by_hand = service.is_over("by-hand").await?;
    let attribution = by_hand.status.unwrap_or_default().attribution.unwrap_or_default();
    assert_eq!((attribution.author.as_deref(), attribution.standing_authorization), (Some(ALICE), None));
    // Nobody has said yet that it was a program, and that is no failure.
    let waiting: Release = service.tenant.api().get("r").await?;
    ensure!(
        reason(&waiting, "Validated").is_none() && waiting.finalizers().is_empty(),
        "{:?}",
        waiting.status
    );
    service.managed.has::<PipelineRun>(1).await?;

    service.tenant.patch_status::<Release>("r", &json!({"automated": true})).await?;
    let released = service.has_reason("r", "Released", "Succeeded").await?;
    let status = released.status.unwrap_or_default();
    let attribution = status.attribution.unwrap_or_default();
    assert_eq!(
        (attribution.author.as_deref(), attribution.standing_authorization),
        (Some("bob"), Some(true))
    );
    assert_eq!(status.automated, Some(true), "it is not ours");
    Ok(())
}

#[tokio::test]
async fn scenario_7_that_it_waits_for_its_automation_shows_after_a_while() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.tenant.create(&by_a_program("r")).await?;
    let waiting = service.has_reason("r", "Released", "Progressing").await?;
    let age = fleet::Clock::system().now().duration_since(waiting.creation_timestamp().unwrap().0);
    ensure!(age.as_secs() >= 10 && reason(&waiting, "Validated").is_none(), "{age:?} {:?}", waiting.status);
    Ok(())
}

#[tokio::test]
async fn scenario_7_nobody_answers_for_an_automated_release() -> anyhow::Result<()> {
    let service = Service::start().await?;
    for (name, author, standing) in
        [("nobody", Value::Null, "true"), ("not-for-others", json!("bob"), "false")]
    {
        attribute(&service, author, standing).await?;
        service.tenant.create(&by_a_program(name)).await?;
        service.tenant.patch_status::<Release>(name, &json!({"automated": true})).await?;
        let refused = service.has_reason(name, "Released", "Failed").await?;
        assert_eq!(
            message(&refused, "Validated"),
            "no author in the ReleasePlan found for automated release"
        );
    }
    Ok(())
}

#[tokio::test]
async fn scenario_21_nobody_answers_for_a_release_by_hand() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let mut anonymous = release("r");
    anonymous.metadata.labels = None;
    service.tenant.create(&anonymous).await?;
    let refused = service.has_reason("r", "Released", "Failed").await?;
    assert_eq!(message(&refused, "Validated"), "no author found for manual release");
    assert_eq!(message(&refused, "Released"), "Release validation failed");
    Ok(())
}
