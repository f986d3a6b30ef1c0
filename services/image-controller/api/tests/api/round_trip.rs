//! Nothing is lost between a file, our types and the API server.

use image_controller_api::{ComponentImage, ImageRepository};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through};

use crate::{KINDS, file};

#[rstest]
#[tokio::test]
async fn types_and_the_api_server_keep(
    #[values("examples", "tests/api/complete")] folder: &str,
) -> anyhow::Result<()> {
    let value = crd::read(file(folder).join("image-repository.yaml"))?;
    assert_eq!(through::<ImageRepository>(&value)?, value);
    let stored = KINDS.stored(&value).await?;
    assert_eq!((&stored["spec"], stored.get("status")), (&value["spec"], value.get("status")));
    Ok(())
}

#[test]
fn complete_object_uses_each_declared_field() -> anyhow::Result<()> {
    let value = crd::read(file("tests/api/complete/image-repository.yaml"))?;
    assert_eq!(KINDS.uncovered(&value, &[])?, Vec::<String>::new());
    Ok(())
}

/// What a newer version of the kind adds stays, at each level.
#[tokio::test]
async fn unknown_fields_are_kept() -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "ImageRepository",
        "metadata": {"name": "newer"},
        "spec": {
            "added": {"a": [null]},
            "image": {"visibility": "public", "added": 1},
            "credentials": {"added": true},
            "notifications": [{"title": "a", "added": 1, "config": {"added": 1}}],
        },
        "status": {"added": 1, "state": "added", "image": {"added": 1}, "credentials": {"added": 1}},
    });
    let stored = KINDS.stored(&object).await?;
    assert_eq!((&stored["spec"], &stored["status"]), (&object["spec"], &object["status"]));
    Ok(())
}

#[test]
fn reads_what_lacks_a_field() -> anyhow::Result<()> {
    let sparse = json!({"metadata": {"name": "sparse"}, "spec": {"notifications": [{}]}, "status": {}});
    assert_eq!(through::<ImageRepository>(&sparse)?["metadata"]["name"], "sparse");
    Ok(())
}

#[rstest]
#[case::ready(json!({"image": "images.example.com/a", "visibility": "private", "secret": "a"}))]
#[case::failed(json!({"message": "Invalid image url"}))]
fn annotation_keeps_its_json(#[case] value: Value) -> anyhow::Result<()> {
    assert_eq!(through::<ComponentImage>(&value)?, value);
    Ok(())
}
