use attest::PrivateKey;
use registry::Reference;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::docker_registry::DockerRegistry;
use testkit::registry::PlayedRegistry;

use crate::apply_mapping::testing::{COMMIT, World, attach, image, index, refer, sign_and_attest, verify};

const RUN: [&str; 7] = [
    "push-snapshot",
    "--workspace=@work",
    "--snapshot=snapshot.json",
    "--data=data.json",
    "--results-folder=out",
    "--retries=0",
    "--result-common-tags=@results/commonTags",
];

fn component(world: &World, name: &str, digest: &str, repository: &str, tags: &[&str]) -> Value {
    json!({
        "name": name, "containerImage": format!("{}@{digest}", world.reference(&format!("tenant/{name}")).name()),
        "repository": repository, "tags": tags, "source": {"git": {"revision": COMMIT}},
    })
}

fn write(world: &World, components: &[Value]) {
    world.write("snapshot.json", &json!({"application": "app", "components": components}));
    world.write("data.json", &json!({}));
}

/// Whatever was written, also by mounting.
fn writes(registry: &PlayedRegistry) -> usize {
    registry.calls().iter().filter(|path| path.contains("/blobs/uploads/")).count()
}

/// A signed and attested index with an SBOM and a referrer, which has one itself.
struct Built {
    digest: String,
    children: [String; 2],
    key: PrivateKey,
    sbom: String,
    referrer: String,
    second: String,
}

async fn built(world: &World) -> Built {
    let (digest, children) = index(&world.registry, "tenant/app", "");
    let key = PrivateKey::generate().unwrap();
    let context = world.context();
    for digest in [&digest, &children[0], &children[1]] {
        let image = world.reference("tenant/app").at(digest.parse().unwrap());
        sign_and_attest(&context, &image, &key).await;
    }
    let sbom = attach(&world.registry, "tenant/app", &children[0], "sbom", "sbom");
    let referrer = refer(&world.registry, "tenant/app", &digest, "application/x-scan");
    let second = refer(&world.registry, "tenant/app", &referrer, "application/x-signature");
    Built { digest, children, key, sbom, referrer, second }
}

async fn check_copy(lists_referrers: bool) {
    let world = World::new();
    world.registry.list_referrers();
    let other = world.other_registry();
    if lists_referrers {
        other.list_referrers();
    }
    let built = built(&world).await;
    let to = format!("{}/prod/app", other.address());
    write(&world, &[component(&world, "app", &built.digest, &to, &["v1", "v1.2"])]);
    world.run(&RUN).await.unwrap();

    for tag in ["v1", "v1.2", &built.digest] {
        assert_eq!(
            other.manifest("prod/app", tag),
            world.registry.manifest("tenant/app", &built.digest),
            "{tag}"
        );
    }
    let context = world.context();
    for digest in [&built.digest, &built.children[0], &built.children[1]] {
        let copy: Reference = format!("{to}@{digest}").parse().unwrap();
        assert_eq!(verify(&context, &copy, &built.key).await, Ok((1, 1)), "{digest}");
        // By another key it is not, so the check means something.
        verify(&context, &copy, &PrivateKey::generate().unwrap()).await.unwrap_err();
        let manifest: Value = serde_json::from_slice(&other.manifest("prod/app", digest).unwrap()).unwrap();
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            assert!(other.blob("prod/app", layer["digest"].as_str().unwrap()).is_some());
        }
    }
    assert!(other.manifest("prod/app", &built.sbom).is_some());
    for (subject, referrer) in [(&built.digest, &built.referrer), (&built.referrer, &built.second)] {
        let subject: Reference = format!("{to}@{subject}").parse().unwrap();
        let found = context.registry.referrers(&subject, &context.keychain).await.unwrap();
        assert_eq!(
            found.iter().map(|one| one.digest.to_string()).collect::<Vec<_>>(),
            std::slice::from_ref(referrer)
        );
    }
    let expected = json!({"images": [{
        "name": "app", "shasum": built.digest, "arches": ["amd64", "arm64"], "oses": ["linux"],
        "urls": [format!("{to}:v1"), format!("{to}:v1.2")],
    }]});
    assert_eq!(world.read("out/push-snapshot-results.json"), expected);
    assert_eq!(world.result("commonTags"), "v1 v1.2");

    // Once more: nothing is written.
    let before = (writes(&other), other.write_count());
    world.run(&RUN).await.unwrap();
    assert_eq!((writes(&other), other.write_count()), before);
    assert_eq!(world.read("out/push-snapshot-results.json"), expected);
}

#[tokio::test]
async fn an_index_is_copied_with_all_that_belongs_to_it_and_only_once() {
    check_copy(true).await;
    check_copy(false).await;
}

#[tokio::test]
async fn within_one_registry_blobs_are_mounted() {
    let world = World::new();
    let digest = image(&world.registry, "tenant/app", "", "amd64", &json!({}));
    let to = world.reference("prod/app").name();
    write(&world, &[component(&world, "app", &digest, &to, &["v1"])]);
    world.run(&RUN).await.unwrap();
    assert_eq!(world.registry.manifest("prod/app", "v1"), world.registry.manifest("tenant/app", &digest));
    assert!(
        world.registry.calls().iter().all(|path| !path.ends_with("/blobs/uploads/1")),
        "nothing was sent"
    );
    assert_eq!(world.read("out/push-snapshot-results.json")["images"][0]["arches"], json!(["amd64"]));
}

#[tokio::test]
async fn signatures_at_the_destination_stay_beside_those_that_come() {
    let world = World::new();
    let other = world.other_registry();
    let built = built(&world).await;
    let to = format!("{}/prod/app", other.address());
    write(&world, &[component(&world, "app", &built.digest, &to, &["v1"])]);
    world.run(&RUN).await.unwrap();
    let (context, ours) = (world.context(), PrivateKey::generate().unwrap());
    let copy: Reference = format!("{to}@{}", built.digest).parse().unwrap();
    sign_and_attest(&context, &copy, &ours).await;
    // A further one where it came from.
    let third = PrivateKey::generate().unwrap();
    let source = world.reference("tenant/app").at(built.digest.parse().unwrap());
    sign_and_attest(&context, &source, &third).await;
    world.run(&RUN).await.unwrap();
    for key in [&built.key, &ours, &third] {
        assert_eq!(verify(&context, &copy, key).await, Ok((1, 1)));
    }
}

#[tokio::test]
async fn one_failure_stops_no_other_and_all_are_said() {
    let world = World::new();
    let other = world.other_registry();
    other.protect("prod/closed", "somebody", "else");
    let at = |name: &str| format!("{}/prod/{name}", other.address());
    let digest = |name: &str| image(&world.registry, &format!("tenant/{name}"), "", "amd64", &json!({}));
    let missing = format!("sha256:{}", "0".repeat(64));
    write(
        &world,
        &[
            component(&world, "closed", &digest("closed"), &at("closed"), &["v1"]),
            component(&world, "gone", &missing, &at("gone"), &["v1"]),
            component(&world, "good", &digest("good"), &at("good"), &["v1"]),
        ],
    );
    let error = world.refused(&RUN).await;
    assert!(error.contains("2 of 3 pushes failed"), "{error}");
    assert!(
        error.contains("\"closed\"") && error.contains("prod/closed") && error.contains("does not let us"),
        "{error}"
    );
    assert!(error.contains(&missing) && error.contains("has no such thing"), "{error}");
    assert!(other.manifest("prod/good", "v1").is_some());
    let results = world.read("out/push-snapshot-results.json");
    let names: Vec<_> = results["images"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, [json!("good")], "what was pushed is told even so");
}

#[rstest]
#[case::tag(json!({"tags": ["../x"]}), "is no tag")]
#[case::host(json!({"repository": "-evil.test/x"}), "repository of component")]
#[case::address(json!({"repository": "https://quay.io/x"}), "is no image reference")]
#[case::link_local(json!({"repository": "169.254.169.254/latest/meta"}), "169.254.169.254")]
#[case::no_digest(json!({"containerImage": "quay.io/a/b"}), "expected repository@sha256")]
#[tokio::test]
async fn hostile_snapshots_get_nowhere(#[case] change: Value, #[case] words: &str) {
    let world = World::new();
    let digest = image(&world.registry, "tenant/app", "", "amd64", &json!({}));
    let mut one = component(&world, "app", &digest, &world.reference("prod/app").name(), &["v1"]);
    for (key, value) in change.as_object().unwrap() {
        one[key] = value.clone();
    }
    write(&world, &[one]);
    let error = world.refused(&RUN).await;
    assert!(error.contains(words), "{error}");
    assert_eq!(world.registry.write_count(), 0);
}

#[tokio::test]
async fn a_manifest_that_is_not_what_its_digest_says_is_not_copied() {
    let world = World::new();
    let digest = image(&world.registry, "tenant/app", "", "amd64", &json!({}));
    let manifest: Value =
        serde_json::from_slice(&world.registry.manifest("tenant/app", &digest).unwrap()).unwrap();
    let layer = &manifest["layers"][0];
    let evil = "x".repeat(usize::try_from(layer["size"].as_u64().unwrap()).unwrap());
    world.registry.corrupt_blob("tenant/app", layer["digest"].as_str().unwrap(), evil.as_bytes());
    let other = world.other_registry();
    let to = format!("{}/prod/app", other.address());
    write(&world, &[component(&world, "app", &digest, &to, &["v1"])]);
    let error = world.refused(&RUN).await;
    assert!(error.contains("sent something else"), "{error}");
    assert!(other.manifest("prod/app", "v1").is_none());
}

#[tokio::test]
async fn an_image_has_no_tag_before_all_that_belongs_to_it_is_there() {
    let world = World::new();
    let digest = image(&world.registry, "tenant/app", "", "amd64", &json!({}));
    let sbom = attach(&world.registry, "tenant/app", &digest, "sbom", "sbom");
    let manifest: Value =
        serde_json::from_slice(&world.registry.manifest("tenant/app", &sbom).unwrap()).unwrap();
    world.registry.corrupt_blob("tenant/app", manifest["layers"][0]["digest"].as_str().unwrap(), b"x");
    let other = world.other_registry();
    let to = format!("{}/prod/app", other.address());
    write(&world, &[component(&world, "app", &digest, &to, &["v1"])]);
    world.run(&RUN).await.unwrap_err();
    assert!(other.manifest("prod/app", &digest).is_some());
    assert!(other.manifest("prod/app", "v1").is_none());
}

#[tokio::test]
async fn a_registry_that_is_away_for_a_moment_is_tried_again() {
    let world = World::new();
    let other = world.other_registry();
    let digest = image(&world.registry, "tenant/app", "", "amd64", &json!({}));
    let to = format!("{}/prod/app", other.address());
    write(&world, &[component(&world, "app", &digest, &to, &["v1"])]);
    other.break_writes(4);
    let flags: Vec<&str> =
        RUN.into_iter().map(|flag| if flag == "--retries=0" { "--retries=1" } else { flag }).collect();
    world.run(&flags).await.unwrap();
    assert!(other.manifest("prod/app", "v1").is_some());
}

#[tokio::test]
async fn sources_go_along_where_they_are_wanted() {
    let world = World::new();
    let digest = image(&world.registry, "tenant/app", "", "amd64", &json!({}));
    let mut one = component(&world, "app", &digest, &world.reference("prod/app").name(), &["v1"]);
    one["pushSourceContainer"] = true.into();
    write(&world, &[one]);
    let error = world.refused(&RUN).await;
    assert!(error.contains("sources are asked for") && error.contains(".src"), "{error}");
    let sources = image(&world.registry, "tenant/app", &format!("{COMMIT}.src"), "sources", &json!({}));
    world.run(&RUN).await.unwrap();
    assert_eq!(
        world.registry.manifest("prod/app", "v1-source"),
        world.registry.manifest("tenant/app", &sources)
    );
    // Beside the image itself they are found first.
    let newer = attach(&world.registry, "tenant/app", &digest, "src", "newer");
    world.run(&RUN).await.unwrap();
    assert_eq!(
        world.registry.manifest("prod/app", "v1-source"),
        world.registry.manifest("tenant/app", &newer)
    );
}

/// A registry that others have written, and that lists no referrers.
#[tokio::test]
async fn a_real_registry_takes_it_all_and_mounts_what_it_has() {
    let world = World::new();
    world.registry.list_referrers();
    let real = DockerRegistry::start_open(world.authority()).await.unwrap();
    let built = built(&world).await;
    let first = format!("{}/staging/app", real.address());
    write(&world, &[component(&world, "app", &built.digest, &first, &["v1"])]);
    world.run(&RUN).await.unwrap();
    let second = format!("{}/prod/app", real.address());
    let mut again = component(&world, "app", &built.digest, &second, &["v1", "latest"]);
    again["containerImage"] = format!("{first}@{}", built.digest).into();
    write(&world, &[again]);
    world.run(&RUN).await.unwrap();
    let context = world.context();
    for repository in [&first, &second] {
        let copy: Reference = format!("{repository}@{}", built.digest).parse().unwrap();
        assert_eq!(verify(&context, &copy, &built.key).await, Ok((1, 1)), "{repository}");
        let found = context.registry.referrers(&copy, &context.keychain).await.unwrap();
        assert_eq!(
            found.iter().map(|one| one.digest.to_string()).collect::<Vec<_>>(),
            std::slice::from_ref(&built.referrer)
        );
    }
    let latest: Reference = format!("{second}:latest").parse().unwrap();
    let latest = context.registry.manifest(&latest, &context.keychain).await.unwrap();
    assert_eq!(latest.digest.to_string(), built.digest);
}
