//! Nothing is lost between a file, our types and the API server.

use release_service_api as api;

use crate::{KINDS, plan};

#[tokio::test]
async fn releases_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::Release>("release.yaml", &[]).await
}

#[tokio::test]
async fn plans_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::ReleasePlan>("release-plan.yaml", &[]).await
}

#[tokio::test]
async fn admissions_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::ReleasePlanAdmission>("release-plan-admission.yaml", &[]).await
}

#[tokio::test]
async fn configurations_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::ReleaseServiceConfig>("release-service-config.yaml", &[]).await
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}

#[tokio::test]
async fn a_plan_keeps_releases_for_a_week_by_default() -> anyhow::Result<()> {
    let stored = KINDS.stored(&plan()).await?;
    assert_eq!(stored["spec"]["releaseGracePeriodDays"], api::ReleasePlanSpec::GRACE_PERIOD_DAYS);
    Ok(())
}
