//! Nothing is lost between a file, our types and the API server.

use gitops_service_api as api;

use crate::KINDS;

#[tokio::test]
async fn targets_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::DeploymentTarget>("deployment-target.yaml", &[]).await
}

#[tokio::test]
async fn claims_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::DeploymentTargetClaim>("deployment-target-claim.yaml", &[]).await
}

#[tokio::test]
async fn classes_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::DeploymentTargetClass>("deployment-target-class.yaml", &[]).await
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}
