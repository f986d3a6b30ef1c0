use attest::PrivateKey;
use attest::cosign::Store;
use registry::{Attached, Keychain};
use serde_json::{Value, json};

use super::{Item, Settings, requests};
use crate::apply_mapping::testing::{World, image, index};

const RUN: [&str; 6] = [
    "sign",
    "--workspace=@work",
    "--snapshot=snapshot.json",
    "--admission=admission.json",
    "--release=release.json",
    "--key-folder=@key",
];

/// An index that was pushed, and an admission that wants it signed.
fn world(key: &PrivateKey) -> (World, String, [String; 2]) {
    let world = World::new();
    let (digest, children) = index(&world.registry, "prod/app", "v1");
    let component = json!({
        "name": "app", "containerImage": format!("quay.io/tenant/app@{digest}"), "tags": ["v1", "v1.2"],
        "repository": world.reference("prod/app").name(), "publicRepository": "registry.test/app",
    });
    world.write("snapshot.json", &json!({"components": [component]}));
    world.write("admission.json", &json!({"spec": {"data": {"sign": {}}}}));
    world.write("release.json", &json!({"status": {"attribution": {"author": "jane"}}}));
    std::fs::create_dir(world.path("key")).unwrap();
    std::fs::write(world.path("key/cosign.key"), key.to_encrypted("secret").unwrap()).unwrap();
    std::fs::write(world.path("key/cosign.password"), "secret\n").unwrap();
    (world, digest, children)
}

async fn identities(world: &World, digest: &str, key: &PrivateKey) -> Vec<String> {
    let store = Store::new(world.context().registry.clone());
    let image = world.reference("prod/app").at(digest.parse().unwrap());
    let layers = store.layers(&image, Attached::Signature, &Keychain::default()).await.unwrap();
    let mut names: Vec<String> = layers
        .iter()
        .filter(|layer| layer.is_signed_by(key.public()))
        .map(|layer| {
            let payload: Value = serde_json::from_slice(&layer.bytes).unwrap();
            assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], digest);
            payload["critical"]["identity"]["docker-reference"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn every_manifest_is_signed_by_every_name_and_only_once() {
    let key = PrivateKey::generate().unwrap();
    let (world, digest, children) = world(&key);
    world.run(&RUN).await.unwrap();
    for digest in [&digest, &children[0], &children[1]] {
        let expected = ["registry.test/app:v1", "registry.test/app:v1.2"];
        assert_eq!(identities(&world, digest, &key).await, expected, "{digest}");
    }
    assert!(identities(&world, &digest, &PrivateKey::generate().unwrap()).await.is_empty());
    let before = world.registry.write_count();
    world.run(&RUN).await.unwrap();
    assert_eq!(world.registry.write_count(), before, "what is signed is left alone");
}

#[tokio::test]
async fn nothing_is_signed_unless_the_admission_says_so() {
    let key = PrivateKey::generate().unwrap();
    let (world, digest, _) = world(&key);
    world.write("admission.json", &json!({"spec": {"data": {}}}));
    // What a tenant says does not count.
    world.write("data.json", &json!({"sign": {}}));
    let flags = [&RUN[..], &["--data=data.json"]].concat();
    world.run(&flags).await.unwrap();
    assert!(identities(&world, &digest, &key).await.is_empty());
}

#[tokio::test]
async fn what_was_not_pushed_and_bad_keys_are_named() {
    let key = PrivateKey::generate().unwrap();
    let (world, digest, _) = world(&key);
    std::fs::write(world.path("key/cosign.password"), "other").unwrap();
    let error = world.refused(&RUN).await;
    assert!(error.contains("cosign.key") && error.contains("password"), "{error}");
    world.write("admission.json", &json!({"spec": {"data": {"sign": {"key": "prod/key"}}}}));
    let error = world.refused(&RUN).await;
    assert!(error.contains("expected k8s://"), "{error}");
    world.write("admission.json", &json!({"spec": {"data": {"sign": {}}}}));
    std::fs::remove_file(world.path("key/cosign.key")).unwrap();
    let error = world.refused(&RUN).await;
    assert!(error.contains("names no key"), "{error}");
    let other = image(&world.registry, "tenant/app", "", "s390x", &json!({}));
    let snapshot = world.read("snapshot.json").to_string().replace(&digest, &other);
    world.write("snapshot.json", &serde_json::from_str(&snapshot).unwrap());
    let error = world.refused(&RUN).await;
    assert!(error.contains("only what was pushed is signed"), "{error}");
}

#[test]
fn each_manifest_and_name_is_asked_for_once() {
    let digest: registry::Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    let manifest: registry::Reference = "quay.io/prod/app".parse().unwrap();
    let item = Item {
        manifest: manifest.at(digest.clone()),
        digest: digest.clone(),
        identities: vec!["registry.test/app:v1".to_owned(), "registry.test/app:v2".to_owned()],
    };
    let settings: Settings = serde_json::from_value(json!({"pipelineImage": "quay.io/x/y"})).unwrap();
    let asked = requests::requests(&[item.clone(), item], &settings, "jane");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].request, "hacbs-signing-pipeline");
    let params = json!({
        "reference": "registry.test/app:v1", "manifest_digest": digest.as_str(), "requester": "jane",
        "config_map_name": "signing-config-map", "pipeline_image": "quay.io/x/y",
    });
    assert_eq!(json!(asked[0].params), params);
}
