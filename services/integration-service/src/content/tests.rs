use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const A: &str = "reg.test/a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "reg.test/b@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn component(name: &str, spec: &Value, status: &Value) -> Arc<Component> {
    let mut object = json!({"metadata": {"name": name, "namespace": "n"}, "spec": spec, "status": status});
    object["spec"]["application"] = json!("app");
    object["spec"]["componentName"] = json!(name);
    Arc::new(serde_json::from_value(object).unwrap())
}

fn entry(name: &str, image: &str) -> SnapshotComponent {
    SnapshotComponent {
        name: name.to_owned(),
        container_image: image.to_owned(),
        ..SnapshotComponent::default()
    }
}

fn names(list: &Candidates) -> Vec<&str> {
    list.entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn lists_by_name_what_has_an_image() {
    let list = candidates(&[
        component("b", &json!({"containerImage": B}), &json!({})),
        component("a", &json!({"containerImage": A}), &json!({})),
        component("never-built", &json!({}), &json!({})),
        component("empty", &json!({"containerImage": ""}), &json!({})),
    ]);
    assert_eq!(names(&list), ["a", "b"]);
    assert_eq!(list.skipped, []);
}

#[rstest]
#[case::promoted(json!({"containerImage": A}), json!({"lastPromotedImage": B}), B)]
#[case::only_mirrored(json!({"containerImage": A}), json!({}), A)]
#[case::only_promoted(json!({}), json!({"lastPromotedImage": B}), B)]
fn what_was_promoted_last_counts(#[case] spec: Value, #[case] status: Value, #[case] expected: &str) {
    assert_eq!(candidates(&[component("c", &spec, &status)]).entries[0].container_image, expected);
}

#[rstest]
#[case::tag_only("reg.test/a:v1", Unfit::NeverBuilt)]
#[case::short_digest("reg.test/a@sha256:12", Unfit::Invalid)]
#[case::no_repository(&format!("@sha256:{}", "a".repeat(64)), Unfit::Invalid)]
fn skips_what_is_no_image_by_digest(#[case] image: &str, #[case] why: Unfit) {
    let list = candidates(&[component("c", &json!({"containerImage": image}), &json!({}))]);
    let skipped = Skipped { component: "c".to_owned(), image: image.to_owned(), why };
    assert_eq!((list.entries, list.skipped), (vec![], vec![skipped]));
}

#[test]
fn what_is_being_deleted_is_left_out() {
    let mut going = component("c", &json!({"containerImage": A}), &json!({}));
    Arc::make_mut(&mut going).metadata.deletion_timestamp =
        Some(serde_json::from_value(json!("2024-01-01T00:00:00Z")).unwrap());
    assert_eq!(candidates(&[going]), Candidates::default());
}

#[rstest]
#[case::built(json!({"git": {"url": "https://g.test/x", "revision": "main", "context": "d"}}), json!("abc"), Some("abc"))]
#[case::not_built(json!({"git": {"url": "https://g.test/x", "revision": "main"}}), json!(""), Some("main"))]
#[case::of_versions(json!({"url": "https://g.test/x"}), json!("abc"), Some("abc"))]
fn the_source_is_at_the_last_built_commit(
    #[case] source: Value,
    #[case] commit: Value,
    #[case] revision: Option<&str>,
) {
    let spec = json!({"containerImage": A, "source": source});
    let list = candidates(&[component("c", &spec, &json!({"lastBuiltCommit": commit}))]);
    let git = list.entries[0].source.clone().unwrap().git.unwrap();
    assert_eq!((git.url.as_str(), git.revision.as_deref()), ("https://g.test/x", revision));
}

#[test]
fn an_entry_takes_the_place_of_the_component_s_other_one() {
    let mut list = candidates(&[
        component("a", &json!({"containerImage": A}), &json!({})),
        component("c", &json!({"containerImage": "reg.test/c@sha256:1"}), &json!({})),
    ]);
    list.with(entry("a", B)).with(entry("b", A)).with(entry("c", A));
    assert_eq!(list.entries, [entry("a", B), entry("b", A), entry("c", A)]);
    assert_eq!(list.skipped, [], "c has an image now");
}

#[test]
fn the_hash_knows_content_not_order() {
    let hash = content_hash(&[entry("a", A), entry("b", B)]);
    assert_eq!(hash, content_hash(&[entry("b", B), entry("a", A)]));
    assert_ne!(hash, content_hash(&[entry("a", B), entry("b", A)]));
    assert_eq!(hash.len(), 26);
    let mut built = entry("a", A);
    let git = |revision: &str| GitSource {
        url: "https://g.test/x".to_owned(),
        revision: Some(revision.to_owned()),
        ..GitSource::default()
    };
    built.source = Some(SnapshotSource { git: Some(git("1")) });
    let first = content_hash(std::slice::from_ref(&built));
    built.source = Some(SnapshotSource { git: Some(git("2")) });
    assert_ne!(first, content_hash(std::slice::from_ref(&built)), "another commit is another content");
    built.source = Some(SnapshotSource { git: Some(GitSource { context: Some("d".into()), ..git("1") }) });
    assert_eq!(first, content_hash(&[built]), "the directory is the Component's, not the build's");
}
