//! Copies from one repository to another.

use crate::world::World;
use registry::{Copied, Digest, Document, Error, Keychain, Manifest, Reference};
use serde_json::{Value, json};
use testkit::registry::PlayedRegistry;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// More than is sent at once, and no multiple of it.
fn large() -> Vec<u8> {
    (0..20_000_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect()
}

fn uploads(registry: &PlayedRegistry) -> usize {
    registry.calls().iter().filter(|path| path.contains("/blobs/uploads/")).count()
}

/// Copies what `tenant/app` has under the digest of `content`.
async fn copy(world: &World, to: &Reference, content: &[u8], keychain: &Keychain) -> Result<Copied, Error> {
    let from = world.reference("tenant/app");
    world.client.copy_blob(&from, to, &Digest::of(content), content.len() as u64, keychain).await
}

#[tokio::test]
async fn a_blob_of_the_same_registry_is_mounted() {
    let world = World::new();
    let (content, to) = (large(), world.reference("prod/app"));
    let digest = world.registry.push_blob("tenant/app", &content);
    world.registry.lock("tenant/app", "team", "secret");
    let team = world.keychain(&[("", "team", "secret")]);
    assert_eq!(copy(&world, &to, &content, &team).await.unwrap(), Copied::Mounted);
    assert_eq!(world.registry.blob("prod/app", &digest), Some(content.clone()));
    assert_eq!(uploads(&world.registry), 2, "and once without a token");
    assert_eq!(copy(&world, &to, &content, &team).await.unwrap(), Copied::WasThere);
    assert_eq!(uploads(&world.registry), 2);
}

#[tokio::test]
async fn logins_that_may_only_read_or_write_copy_together() {
    let world = World::new();
    let digest = world.registry.push_blob("tenant/app", b"content");
    world.registry.lock("tenant/app", "tenant", "one");
    world.registry.protect("prod/app", "team", "two");
    let logins = world.keychain(&[("/tenant/app", "tenant", "one"), ("/prod/app", "team", "two")]);
    let copied = copy(&world, &world.reference("prod/app"), b"content", &logins).await.unwrap();
    assert_eq!(copied, Copied::Sent);
    assert_eq!(world.registry.blob("prod/app", &digest), Some(b"content".to_vec()));
}

#[tokio::test]
async fn a_blob_of_another_registry_is_sent_in_pieces() {
    let world = World::new();
    let (other, to) = world.other_registry();
    let content = large();
    let digest = world.registry.push_blob("tenant/app", &content);
    assert_eq!(copy(&world, &to, &content, &Keychain::default()).await.unwrap(), Copied::Sent);
    assert_eq!(other.blob("prod/app", &digest), Some(content));
    assert_eq!(uploads(&other), 4, "the beginning, two pieces, the last with the end");
}

#[tokio::test]
async fn a_copy_that_breaks_off_begins_anew() {
    let world = World::new();
    let (other, to) = world.other_registry();
    let digest = world.registry.push_blob("tenant/app", b"content");
    other.break_writes(2);
    assert_eq!(copy(&world, &to, b"content", &Keychain::default()).await.unwrap(), Copied::Sent);
    assert_eq!(other.blob("prod/app", &digest), Some(b"content".to_vec()));
}

#[tokio::test]
async fn something_else_than_was_asked_for_never_arrives() {
    let world = World::new();
    let (other, to) = world.other_registry();
    let nobody = Keychain::default();
    let digest = world.registry.push_blob("tenant/app", b"content");
    world.registry.corrupt_blob("tenant/app", &digest, b"evil...");
    let error = copy(&world, &to, b"content", &nobody).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("sent something else"), "{error}");
    world.registry.corrupt_blob("tenant/app", &digest, b"much more than was said");
    let error = copy(&world, &to, b"content", &nobody).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 7, .. }), "{error}");
    assert_eq!(other.blob("prod/app", &digest), None);
}

#[tokio::test]
async fn a_repository_that_only_another_may_write_refuses() {
    let world = World::new();
    world.registry.push_blob("tenant/app", b"content");
    world.registry.protect("prod/app", "other", "secret");
    let to = world.reference("prod/app");
    let error = copy(&world, &to, b"content", &Keychain::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(error.to_string().contains("prod/app"), "{error}");
}

async fn referrer(world: &World, subject: &Reference, kind: &str) -> Manifest {
    let config = registry::Blob::bytes("{}");
    world.client.push_blob(subject, &config, &Keychain::default()).await.unwrap();
    let digest = subject.digest().unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "layers": [],
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config.digest().as_str(), "size": 2},
        "subject": {"mediaType": MANIFEST, "digest": digest.as_str(), "size": 1},
        "annotations": {"made": "here"},
    });
    let bytes = manifest.to_string().into_bytes();
    let digest = Digest::of(&bytes);
    Manifest { reference: subject.at(digest.clone()), digest, media_type: MANIFEST.to_owned(), bytes }
}

async fn check_referrers(is_listed_by_registry: bool) {
    let world = World::new();
    if is_listed_by_registry {
        world.registry.list_referrers();
    }
    let nobody = Keychain::default();
    let subject = world.registry.push_manifest("app", "v1", MANIFEST, b"{}");
    let subject = world.reference("app").at(subject.parse().unwrap());
    assert_eq!(world.client.referrers(&subject, &nobody).await.unwrap(), []);
    let mut expected = Vec::new();
    for kind in ["application/x-signature", "application/x-sbom", "application/x-signature"] {
        let manifest = referrer(&world, &subject, kind).await;
        world.client.push_referrer(&subject, &manifest, &nobody).await.unwrap();
        expected.push(manifest.digest);
    }
    expected.sort_unstable();
    expected.dedup();
    let mut found: Vec<Digest> = world
        .client
        .referrers(&subject, &nobody)
        .await
        .unwrap()
        .into_iter()
        .map(|descriptor| descriptor.digest)
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected);
    let list = subject.tagged(&format!("sha256-{}", subject.digest().unwrap().hex())).unwrap();
    let list = world.client.existing_manifest(&list, &nobody).await.unwrap();
    assert_eq!(list.is_none(), is_listed_by_registry);
    if let Some(list) = list {
        assert!(matches!(list.document().unwrap(), Document::Index(listed) if listed.len() == 2));
        let list: Value = serde_json::from_slice(&list.bytes).unwrap();
        assert_eq!(list["manifests"][0]["artifactType"], "application/x-signature");
        assert_eq!(list["manifests"][0]["annotations"]["made"], "here");
    }
}

#[tokio::test]
async fn referrers_are_listed_by_the_registry_or_by_us() {
    check_referrers(true).await;
    check_referrers(false).await;
}
