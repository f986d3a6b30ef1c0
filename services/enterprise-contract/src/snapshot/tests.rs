use rstest::rstest;

use super::*;

fn snapshot(text: &str) -> Snapshot {
    Snapshot::parse("test", text).unwrap()
}

fn names(snapshot: &Snapshot) -> Vec<(&str, &str)> {
    snapshot
        .components
        .iter()
        .map(|component| (component.name.as_str(), component.container_image.as_str()))
        .collect()
}

#[rstest]
#[case::json(r#"{"application": "a", "components": [{"name": "n", "containerImage": "i"}]}"#)]
#[case::yaml("application: a\ncomponents:\n- name: n\n  containerImage: i\n")]
#[case::whole_object(
    "apiVersion: appstudio.redhat.com/v1alpha1\nkind: Snapshot\nspec: {application: a, components: [{name: n, containerImage: i}]}"
)]
fn reads(#[case] text: &str) {
    let read = snapshot(text);
    assert_eq!((read.application.as_str(), names(&read)), ("a", vec![("n", "i")]));
}

#[test]
fn keeps_what_the_source_says() {
    let source = json!({"git": {"url": "https://git.example/app", "revision": "abc", "later": 1}});
    let text = json!({"components": [{"name": "n", "containerImage": "i", "source": source}]}).to_string();
    assert_eq!(snapshot(&text).value()["components"][0]["source"], source);
}

#[rstest]
#[case::no_document("{", "cannot be read")]
#[case::text("just text", "the Snapshot is no object")]
#[case::list("[]", "the Snapshot is no object")]
#[case::components_no_list(r#"{"components": {}}"#, "components is no list")]
#[case::component_no_object(r#"{"components": ["i"]}"#, "components[0] is no object")]
#[case::no_image(r#"{"components": [{"name": "n"}]}"#, "components[0].containerImage is missing")]
#[case::image_no_text(
    r#"{"components": [{"containerImage": 1}]}"#,
    "components[0].containerImage is no text"
)]
#[case::source_no_object(r#"{"components": [{"containerImage": "i", "source": 1}]}"#, "components[0].source")]
#[case::object_without_spec(r#"{"apiVersion": "v1"}"#, "the Snapshot is no object")]
fn refuses_with_the_field(#[case] text: &str, #[case] expected: &str) {
    let error = Snapshot::parse("--images", text).unwrap_err().to_string();
    assert!(error.starts_with("--images") && error.contains(expected), "{error}");
}

#[rstest]
#[case::new_image(r#"{"components": [{"name": "b", "containerImage": "2"}]}"#, &[("a", "1"), ("", "3"), ("b", "2")])]
#[case::known_image(r#"{"components": [{"name": "b", "containerImage": "1"}]}"#, &[("a", "1"), ("", "3")])]
#[case::names_the_nameless(r#"{"components": [{"name": "c", "containerImage": "3"}]}"#, &[("a", "1"), ("c", "3")])]
fn merges(#[case] other: &str, #[case] expected: &[(&str, &str)]) {
    let mut merged =
        snapshot(r#"{"components": [{"name": "a", "containerImage": "1"}, {"containerImage": "3"}]}"#);
    merged.merge(snapshot(other));
    assert_eq!(names(&merged), expected);
}

#[test]
fn the_first_application_counts() {
    let mut merged = snapshot(r#"{"displayName": "first"}"#);
    merged.merge(snapshot(r#"{"displayName": "second", "application": "app"}"#));
    assert_eq!((merged.display_name.as_str(), merged.application.as_str()), ("first", "app"));
}

#[tokio::test]
async fn files_texts_and_images_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot.json");
    std::fs::write(&file, r#"{"components": [{"name": "a", "containerImage": "1"}]}"#).unwrap();
    let cluster = Cluster::new(None);
    let asked = Asked {
        images: Some(file.display().to_string()),
        text: Some(r#"{"components": [{"name": "Unnamed", "containerImage": "2"}]}"#.to_owned()),
        snapshot: Some(r#"{"components": [{"name": "b", "containerImage": "2"}]}"#.to_owned()),
        image: Some("3".to_owned()),
        file: None,
    };
    let (read, named) = Snapshot::read(&asked, &cluster).await.unwrap();
    assert_eq!(names(&read), [("b", "2"), ("a", "1"), (UNNAMED, "3")]);
    assert_eq!(named, None);
    assert!(matches!(Snapshot::read(&Asked::default(), &cluster).await, Err(Error::Nothing)));
    let empty = Asked { images: Some("{\"components\": []}".to_owned()), ..Asked::default() };
    assert!(matches!(Snapshot::read(&empty, &cluster).await, Err(Error::Empty { .. })));
}
