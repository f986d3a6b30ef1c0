//! Nothing is lost between a file, our types and the API server.

use image_controller_api as api;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::through;

use crate::KINDS;

#[tokio::test]
async fn repositories_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::ImageRepository>("image-repository.yaml", &[]).await
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}

#[rstest]
#[case::ready(json!({"image": "images.example.com/a", "visibility": "private", "secret": "a"}))]
#[case::failed(json!({"message": "Invalid image url"}))]
#[case::of_a_newer_version(json!({"visibility": "internal"}))]
fn annotation_keeps_its_json(#[case] value: Value) -> anyhow::Result<()> {
    assert_eq!(through::<api::ComponentImage>(&value)?, value);
    Ok(())
}
