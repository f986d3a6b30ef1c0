//! Nothing is lost between a file, our types and the API server.

use build_service_api as api;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::through;

use crate::KINDS;

#[tokio::test]
async fn selectors_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::BuildPipelineSelector>("build-pipeline-selector.yaml", &[]).await
}

#[tokio::test]
async fn checks_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::DependencyUpdateCheck>("dependency-update-check.yaml", &[]).await
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}

#[rstest]
#[case::choice(through::<api::request::PipelineChoice>, json!({"name": "docker-build", "bundle": "latest"}))]
#[case::config(through::<api::PipelineConfig>, json!({
    "default-pipeline-name": "docker-build",
    "pipelines": [{"name": "docker-build", "bundle": "images.example.com/a:1", "additional-params": ["hermetic"]}],
}))]
fn annotations_and_settings_keep_their_json(
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[case] value: Value,
) -> anyhow::Result<()> {
    assert_eq!(through(&value)?, value);
    Ok(())
}
