//! The image repository that a Component is pushed to.

use application_service_api::Component;
use build_service_api::ErrorId;
use image_controller_api::{ComponentImage, annotations};

use crate::failure::Failure;

/// `image` without tag and digest: cut at `@`, and at a `:` after the last `/`.
pub(crate) fn repository_of(image: &str) -> &str {
    let image = image.trim();
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let last = image.rfind('/').map_or(0, |at| at + 1);
    image[last..].find(':').map_or(image, |colon| &image[..last + colon])
}

/// What image-controller answered in an annotation, if it did. The error is for people.
pub(crate) fn annotated(component: &Component) -> Option<Result<ComponentImage, String>> {
    let text = annotations::IMAGE.of(&component.metadata.annotations)?;
    Some(serde_json::from_str(text).map_err(|error| format!("{}: {error}", annotations::IMAGE)))
}

/// The repository, once there is one: `spec.containerImage`, else what the annotation says.
pub(crate) fn repository(component: &Component) -> Result<Option<String>, Failure> {
    let given = component.spec.container_image.as_deref().map(repository_of).filter(|name| !name.is_empty());
    if let Some(given) = given {
        return Ok(Some(given.to_owned()));
    }
    match annotated(component) {
        None => Ok(None),
        Some(Err(error)) => Err(Failure::permanent(ErrorId::FailedToParseImageAnnotation, error)),
        Some(Ok(image)) => {
            Ok(Some(repository_of(&image.image).to_owned()).filter(|repository| !repository.is_empty()))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("quay.io/org/app", "quay.io/org/app")]
    #[case("quay.io/org/app:v1", "quay.io/org/app")]
    #[case("quay.io/org/app@sha256:0", "quay.io/org/app")]
    #[case("quay.io/org/app:v1@sha256:0", "quay.io/org/app")]
    #[case::port("registry.example:5000/app", "registry.example:5000/app")]
    #[case::port_and_tag("registry.example:5000/org/app:v1", "registry.example:5000/org/app")]
    #[case::bare("app:v1", "app")]
    #[case::blank("  ", "")]
    fn cuts_tags_and_digests(#[case] image: &str, #[case] expected: &str) {
        assert_eq!(repository_of(image), expected);
    }

    #[rstest]
    #[case::spec(Some("a/b:1"), Some(r#"{"image":"c/d"}"#), Ok(Some("a/b")))]
    #[case::annotation(None, Some(r#"{"image":"c/d:2"}"#), Ok(Some("c/d")))]
    #[case::empty_spec(Some(""), Some(r#"{"image":"c/d"}"#), Ok(Some("c/d")))]
    #[case::not_yet(None, Some("{}"), Ok(None))]
    #[case::neither(None, None, Ok(None))]
    #[case::garbage(None, Some("{"), Err(200))]
    #[case::garbage_does_not_matter(Some("a/b"), Some("{"), Ok(Some("a/b")))]
    fn finds_the_repository(
        #[case] spec: Option<&str>,
        #[case] annotation: Option<&str>,
        #[case] expected: Result<Option<&str>, i32>,
    ) {
        let component: Component = serde_json::from_value(json!({
            "metadata": {"name": "c", "annotations": annotation.map(|text| json!({"image.redhat.com/image": text}))},
            "spec": {"containerImage": spec},
        }))
        .unwrap();
        let found = repository(&component).map_err(|failure| match failure {
            Failure::Permanent { id, .. } => id.number(),
            Failure::Transient { .. } => 0,
        });
        assert_eq!(found, expected.map(|name| name.map(str::to_owned)));
    }
}
