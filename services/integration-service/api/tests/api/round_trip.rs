//! Nothing is lost between a file, our types and the API server.

use std::path::Path;

use integration_service_api::{Version, convert, v1alpha1, v1beta1, v1beta2};
use rstest::rstest;
use testkit::crd;

use crate::KINDS;

#[tokio::test]
async fn scenarios_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<v1beta2::IntegrationTestScenario>("integration-test-scenario.yaml", &[]).await
}

#[tokio::test]
async fn v1beta1_scenarios_are_kept() -> anyhow::Result<()> {
    let file = "integration-test-scenario-v1beta1.yaml";
    KINDS.nothing_is_lost::<v1beta1::IntegrationTestScenario>(file, &[]).await
}

#[tokio::test]
async fn v1alpha1_scenarios_are_kept() -> anyhow::Result<()> {
    let file = "integration-test-scenario-v1alpha1.yaml";
    KINDS.nothing_is_lost::<v1alpha1::IntegrationTestScenario>(file, &[]).await
}

/// What was valid when it was written is so in the version that its writers move to.
#[rstest]
#[case("integration-test-scenario-v1beta1.yaml")]
#[case("integration-test-scenario-v1alpha1.yaml")]
#[tokio::test]
async fn older_scenarios_are_valid_in_the_newest_version(
    #[case] file: &str,
    #[values("examples", "tests/api/complete")] folder: &str,
) -> anyhow::Result<()> {
    let older = crd::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file))?;
    crd::assert_verdict(KINDS.created(&convert(older, Version::V1beta2)?).await?, &[]);
    Ok(())
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}
