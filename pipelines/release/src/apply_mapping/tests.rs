use rstest::rstest;
use serde_json::{Value, json};

use super::testing::{COMMIT, World, image, index};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn component(name: &str) -> Value {
    json!({
        "name": name, "containerImage": format!("quay.io/tenant/{name}@sha256:{HEX}"),
        "source": {"git": {"url": "https://git.test/a/b", "revision": COMMIT}},
    })
}

fn world(components: &[Value], mapping: &Value) -> World {
    let world = World::new();
    world.write("snapshot.json", &json!({"application": "app", "components": components}));
    world.write("data.json", &json!({"mapping": mapping, "other": 1}));
    world
}

const RUN: [&str; 5] = [
    "apply-mapping",
    "--workspace=@work",
    "--snapshot=snapshot.json",
    "--data=data.json",
    "--result-mapped=@results/mapped",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&RUN[..], more].concat()
}

#[tokio::test]
async fn only_mapped_components_stay_with_what_the_mapping_says() {
    let mapping = json!({
        "defaults": {"tags": ["v1"]},
        "components": [
            {"name": "b", "repository": "quay.io/prod/b", "tags": ["{{ git_short_sha }}", "v1", "{{ digest_sha }}"], "source": {"git": {"extra": 1}}},
            {"name": "a", "repository": "quay.io/prod/a"},
            {"name": "gone", "repository": "quay.io/prod/gone"},
        ],
    });
    let world = world(&[component("c"), component("b"), component("a")], &mapping);
    world.run(&RUN).await.unwrap();
    assert_eq!(world.result("mapped"), "true");
    let mapped = world.read("snapshot.json");
    let names: Vec<_> =
        mapped["components"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!((names, &mapped["application"]), (vec!["a", "b"], &json!("app")));
    let b = &mapped["components"][1];
    assert_eq!(b["tags"], json!(["v1", "0123456", HEX]));
    assert_eq!(b["source"]["git"], json!({"url": "https://git.test/a/b", "revision": COMMIT, "extra": 1}));
    assert_eq!(world.read("snapshot.json.orig")["components"].as_array().unwrap().len(), 3);

    // Again, as after a crash: the same comes out.
    world.run(&RUN).await.unwrap();
    assert_eq!(world.read("snapshot.json"), mapped);
    assert_eq!(world.read("snapshot.json.orig")["components"].as_array().unwrap().len(), 3);
}

#[rstest]
#[case::no_mapping(json!({"other": 1}), &[], "false")]
#[case::no_file(Value::Null, &["--data=none.json"], "false")]
#[tokio::test]
async fn without_a_mapping_nothing_changes(
    #[case] data: Value,
    #[case] more: &[&str],
    #[case] expected: &str,
) {
    let world = world(&[component("a")], &Value::Null);
    world.write("data.json", &data);
    let flags: Vec<&str> = RUN
        .into_iter()
        .filter(|flag| more.is_empty() || !flag.starts_with("--data"))
        .chain(more.iter().copied())
        .collect();
    world.run(&flags).await.unwrap();
    assert_eq!(world.result("mapped"), expected);
    assert_eq!(world.read("snapshot.json")["components"], json!([component("a")]));
}

#[tokio::test]
async fn an_empty_result_fails_where_it_shall_and_names_both_sides() {
    let world =
        world(&[component("a")], &json!({"components": [{"name": "b", "repository": "quay.io/prod/b"}]}));
    let error = world.refused(&with(&["--fail-on-empty-result=true"])).await;
    assert!(error.contains("Snapshot (a)") && error.contains("data.mapping.components (b)"), "{error}");
    world.run(&RUN).await.unwrap();
    assert_eq!(world.result("mapped"), "true");
    assert_eq!(world.read("snapshot.json")["components"], json!([]));
}

#[rstest]
#[case::twice(json!([{"name": "a"}, {"name": "a"}]), "\"a\" stands there twice")]
#[case::no_name(json!([{"repository": "x"}]), "data.mapping.components[0].name")]
#[case::no_list(json!("a"), "expected a list")]
#[case::no_object(json!(["a"]), "data.mapping.components[0]: expected an object")]
#[case::bad_tags(json!([{"name": "a", "tags": "v1"}]), "component \"a\": tags")]
#[case::unknown_variable(json!([{"name": "a", "tags": ["{{ user }}"]}]), "no variable \"user\"")]
#[case::tag_in_the_image(json!([{"name": "a", "containerImage": "quay.io/x/y:v1"}]), "without a tag")]
#[case::option_as_a_tag(json!([{"name": "a", "tags": ["--help"]}]), "is none")]
#[tokio::test]
async fn bad_mappings_are_named(#[case] components: Value, #[case] words: &str) {
    let world = world(&[component("a")], &json!({"components": components}));
    let error = world.refused(&RUN).await;
    assert!(error.contains(words), "{error}");
    assert_eq!(world.read("snapshot.json")["components"], json!([component("a")]), "nothing was written");
}

#[tokio::test]
async fn a_missing_snapshot_and_a_name_that_is_there_twice_are_refused() {
    let world = world(&[component("a"), component("a")], &json!({"components": [{"name": "a"}]}));
    let error = world.refused(&RUN).await;
    assert!(error.contains("components of the Snapshot: \"a\" stands there twice"), "{error}");
    std::fs::remove_file(world.path("work/snapshot.json")).unwrap();
    let error = world.refused(&RUN).await;
    assert!(error.contains("read the Snapshot"), "{error}");
}

#[rstest]
#[case::repository(json!({"name": "a", "repository": "quay.io/evil/a"}), false)]
#[case::further_repository(json!({"name": "a", "repository": "quay.io/prod/a", "repositories": [{"url": "quay.io/evil/a"}]}), false)]
#[case::other_image(json!({"name": "a", "repository": "quay.io/prod/a", "containerImage": format!("quay.io/evil/a@sha256:{HEX}")}), false)]
#[case::other_name(json!({"name": "a", "repository": "quay.io/prod/a", "publicRepository": "quay.io/known/a"}), false)]
#[case::own_tags(json!({"name": "a", "repository": "quay.io/prod/a", "tags": ["nightly"]}), true)]
#[tokio::test]
async fn only_the_admission_says_where_to(#[case] entry: Value, #[case] is_fine: bool) {
    let world = world(&[component("a")], &json!({"components": [entry]}));
    let own = json!({"spec": {"data": {"mapping": {"components": [{"name": "a", "repository": "quay.io/prod/a"}]}}}});
    world.write("admission.json", &own);
    let flags = with(&["--admission=admission.json"]);
    if is_fine {
        world.run(&flags).await.unwrap();
    } else {
        let error = world.refused(&flags).await;
        assert!(error.contains("ReleasePlanAdmission") && error.contains("\"a\""), "{error}");
    }
}

#[tokio::test]
async fn variables_of_the_image_are_read_from_it_also_of_an_index() {
    let world = World::new();
    let labels = json!({"version": "1.2", "build-date": "2024-03-05T00:00:00Z"});
    let single = image(&world.registry, "tenant/a", "", "amd64", &labels);
    let (several, _) = index(&world.registry, "tenant/b", "");
    let at = |repository: &str, digest: &str| format!("{}@{digest}", world.reference(repository).name());
    world.write("snapshot.json", &json!({"components": [
        {"name": "a", "containerImage": at("tenant/a", &single)}, {"name": "b", "containerImage": at("tenant/b", &several)},
    ]}));
    world.write("release.json", &json!({"status": {"startTime": "2024-03-06T00:00:00Z"}}));
    let format = "%Y%m%d";
    world.write("data.json", &json!({"mapping": {
        "defaults": {"timestampFormat": format},
        "components": [
            {"name": "a", "repository": "quay.io/prod/a", "tags": ["{{ labels.version }}-{{ timestamp }}-{{ release_timestamp }}"]},
            {"name": "b", "repository": "quay.io/prod/b", "tags": ["{{ timestamp }}"], "pushSourceContainer": true},
        ],
    }}));
    world.run(&with(&["--release=release.json"])).await.unwrap();
    let mapped = world.read("snapshot.json");
    assert_eq!(mapped["components"][0]["tags"], json!(["1.2-20240305-20240306"]));
    assert_eq!(mapped["components"][1]["tags"], json!(["20240301"]));
    assert_eq!(mapped["components"][1]["pushSourceContainer"], json!(true));
}

#[tokio::test]
async fn images_without_a_mapping_are_released_where_they_are_if_so_wanted() {
    let world = world(&[component("a")], &Value::Null);
    world.write("release.json", &json!({"metadata": {"creationTimestamp": "2024-03-06T00:00:00Z"}}));
    let flags = with(&[
        "--release=release.json",
        "--in-place=true",
        "--in-place-tags",
        "released-{{ release_timestamp }}",
    ]);
    world.run(&flags).await.unwrap();
    let component = &world.read("snapshot.json")["components"][0];
    assert_eq!(component["repository"], "quay.io/tenant/a");
    assert_eq!(component["tags"], json!(["released-1709683200"]));
}
