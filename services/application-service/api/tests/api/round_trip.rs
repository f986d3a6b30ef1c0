//! Nothing is lost between a file, our types and the API server.

use application_service_api as api;

use crate::KINDS;

#[tokio::test]
async fn applications_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::Application>("application.yaml", &[]).await
}

/// The default pipeline is of the same type as that of a version, which is looked into.
#[tokio::test]
async fn components_are_kept() -> anyhow::Result<()> {
    let others = ["env", "resources", "default-build-pipeline"];
    KINDS.nothing_is_lost::<api::Component>("component.yaml", &others).await
}

/// A proposed Component is looked into as one.
#[tokio::test]
async fn detections_are_kept() -> anyhow::Result<()> {
    let others = ["componentStub"];
    KINDS.nothing_is_lost::<api::ComponentDetectionQuery>("component-detection-query.yaml", &others).await
}

#[tokio::test]
async fn snapshots_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::Snapshot>("snapshot.yaml", &[]).await
}

#[tokio::test]
async fn environments_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::Environment>("environment.yaml", &[]).await
}

#[tokio::test]
async fn bindings_are_kept() -> anyhow::Result<()> {
    let others = ["resources"];
    KINDS
        .nothing_is_lost::<api::SnapshotEnvironmentBinding>("snapshot-environment-binding.yaml", &others)
        .await
}

#[tokio::test]
async fn promotions_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::PromotionRun>("promotion-run.yaml", &[]).await
}
