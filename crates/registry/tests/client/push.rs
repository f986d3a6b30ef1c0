//! Pushes to a registry over TLS, by the client that services use.

use crate::world::World;
use registry::{Blob, Client, Digest, Error, Keychain, Reference};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// More than is sent at once, and no multiple of it.
fn large() -> Vec<u8> {
    (0..35_000_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect()
}

async fn check_blob(content: Vec<u8>, calls: usize) {
    let world = World::new();
    let (reference, nobody) = (world.reference("org/app:v1"), Keychain::default());
    let file = world.folder().join("blob");
    std::fs::write(&file, &content).unwrap();
    let blob = Blob::file(&file).await.unwrap();
    assert_eq!((blob.digest(), blob.size()), (&Digest::of(&content), content.len() as u64));
    world.client.push_blob(&reference, &blob, &nobody).await.unwrap();
    assert_eq!(world.registry.blob("org/app", blob.digest().as_str()), Some(content));
    let uploads =
        |world: &World| world.registry.calls().iter().filter(|path| path.contains("/blobs/uploads/")).count();
    assert_eq!(uploads(&world), calls);

    world.client.push_blob(&reference, &blob, &nobody).await.unwrap();
    assert_eq!(uploads(&world), calls, "what is there is not sent again");
}

#[tokio::test]
async fn a_small_blob_goes_at_once_and_a_large_one_in_pieces() {
    check_blob(b"small".to_vec(), 2).await;
    check_blob(Vec::new(), 2).await;
    check_blob(large(), 4).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_begins_anew_but_not_for_ever() {
    let world = World::new();
    let (reference, nobody) = (world.reference("org/app:v1"), Keychain::default());
    let blob = Blob::bytes("content");
    world.registry.break_writes(2);
    world.client.push_blob(&reference, &blob, &nobody).await.unwrap();
    assert_eq!(world.registry.blob("org/app", blob.digest().as_str()), Some(b"content".to_vec()));

    let blob = Blob::bytes("other content");
    world.registry.break_writes(3);
    let error = world.client.push_blob(&reference, &blob, &nobody).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_pushed_manifest_can_be_had_by_tag_and_digest_until_it_is_deleted() {
    let world = World::new();
    let (reference, nobody) = (world.reference("org/app:v1"), Keychain::default());
    let client: &Client = &world.client;
    let digest = client.push_manifest(&reference, MANIFEST, "{}", &nobody).await.unwrap();
    let pinned = reference.at(digest.clone());
    for reference in [&reference, &pinned] {
        let manifest = client.manifest(reference, &nobody).await.unwrap();
        assert_eq!((manifest.bytes.as_slice(), manifest.media_type.as_str()), (&b"{}"[..], MANIFEST));
    }
    client.push_manifest(&pinned, MANIFEST, "{}", &nobody).await.unwrap();
    let error = client.push_manifest(&pinned, MANIFEST, "{\"a\": 1}", &nobody).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");

    let error = client.delete_manifest(&reference, &nobody).await.unwrap_err();
    assert!(error.to_string().contains("by its digest"), "{error}");
    assert!(client.delete_manifest(&pinned, &nobody).await.unwrap());
    assert!(!client.delete_manifest(&pinned, &nobody).await.unwrap());
    assert!(matches!(client.manifest(&reference, &nobody).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn lists_tags_page_by_page() {
    let world = World::new();
    let (reference, nobody) = (world.reference("org/app"), Keychain::default());
    for number in 0..1203 {
        world.registry.push_manifest("org/app", &format!("v{number:04}"), MANIFEST, b"{}");
    }
    let (mut names, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = world.client.tags(&reference, after.as_deref(), &nobody).await.unwrap();
        names.extend(page.names);
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((names.len(), pages), (1203, 3));
    assert_eq!((names[0].as_str(), names[1202].as_str()), ("v0000", "v1202"));
}

#[tokio::test]
async fn streams_a_blob_within_its_limit() {
    let world = World::new();
    let (reference, nobody) = (world.reference("org/app"), Keychain::default());
    let content = large();
    let digest: Digest = world.registry.push_blob("org/app", &content).parse().unwrap();
    let mut read = Vec::new();
    let size = world.client.blob_to(&reference, &digest, u64::MAX, &mut read, &nobody).await.unwrap();
    assert_eq!(size, content.len() as u64);
    assert!(read == content);
    let error = world.client.blob_to(&reference, &digest, 100, &mut Vec::new(), &nobody).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 100, .. }), "{error}");
    world.registry.corrupt_blob("org/app", digest.as_str(), b"another");
    let error = world.client.blob_to(&reference, &digest, 100, &mut Vec::new(), &nobody).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn who_may_only_read_is_told_so() {
    let world = World::new();
    let reference: Reference = world.reference("org/app:v1");
    world.registry.lock("org/app", "reader", "secret");
    world.registry.lock("org/app", "writer", "secret");
    world.registry.protect("org/app", "writer", "secret");
    let blob = Blob::bytes("content");
    let reader = world.keychain(&[("", "reader", "secret")]);
    // Its token to read is no token to write.
    let missing = world.client.manifest(&reference, &reader).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    let error = world.client.push_blob(&reference, &blob, &reader).await.unwrap_err();
    assert!(error.to_string().contains("does not let us write it"), "{error}");
    let both = world.keychain(&[("/org", "reader", "secret"), ("", "writer", "secret")]);
    world.client.push_blob(&reference, &blob, &both).await.unwrap();
}
