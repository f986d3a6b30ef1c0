//! Layers are added to those that are there, once, whoever else writes.

use attest::cosign::{Appended, Error, Layer, Store};
use attest::{PrivateKey, dsse, slsa, statement};
use futures::future::join_all;
use registry::{Attached, Digest, Document};

use crate::world::{self, IMAGE, World};

#[tokio::test]
async fn adds_what_is_new_and_nothing_twice() {
    let (world, _registry) = World::played();
    let image = world.push_image(IMAGE, "one").await;
    let (key, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());

    assert_eq!(world.sign(&image, &key).await, Appended::Added);
    let first = world.layers(&image, Attached::Signature).await;
    // Another signature of the same: those of ECDSA are never alike.
    assert_eq!(world.sign(&image, &key).await, Appended::WasThere);
    assert_eq!(world.layers(&image, Attached::Signature).await, first);
    assert_eq!(world.sign(&image, &other).await, Appended::Added);
    assert_eq!(world.layers(&image, Attached::Signature).await.len(), 2);

    assert_eq!(world.attest(&image, &key, "one").await, Appended::Added);
    assert_eq!(world.attest(&image, &key, "one").await, Appended::WasThere);
    assert_eq!(world.attest(&image, &key, "two").await, Appended::Added);
    assert_eq!(world.attest(&image, &other, "one").await, Appended::Added);
    assert_eq!(world.attest(&image, &other, "one").await, Appended::WasThere);
    assert_eq!(world.attestations(&image, key.public()).await.unwrap().len(), 2);
    assert_eq!(world.attestations(&image, other.public()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_only_looks_like_ours_is_not_taken_for_it() {
    let (world, _registry) = World::played();
    let image = world.push_image(IMAGE, "one").await;
    let (key, thief) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());

    // By whoever may push to the repository: what we would say, with our name, but without our key.
    let forged = Layer { ..world::signature(&image, &thief) };
    world.store.append_signatures(&image, None, &[forged], thief.public(), &world.nobody).await.unwrap();
    let bytes = serde_json::to_vec(&world::provenance(&image, "one")).unwrap();
    let mut envelope = dsse::sign(&thief, statement::PAYLOAD_TYPE, bytes).await.unwrap();
    key.public().key_id().clone_into(&mut envelope.signatures[0].keyid);
    let forged = Layer::attestation(&envelope, slsa::v02::PREDICATE_TYPE, None);
    world.store.append_attestations(&image, None, &[forged], thief.public(), &world.nobody).await.unwrap();

    assert_eq!(world.sign(&image, &key).await, Appended::Added);
    assert_eq!(world.attest(&image, &key, "one").await, Appended::Added);
    world.signatures(&image, key.public()).await.unwrap();
    world.attestations(&image, key.public()).await.unwrap();
}

#[tokio::test]
async fn several_go_at_once_and_elsewhere_if_wanted() {
    let (world, registry) = World::played();
    let image = world.push_image(IMAGE, "one").await;
    let key = PrivateKey::generate().unwrap();
    let elsewhere = world.reference("signatures/of-all");
    let layers =
        [world::attestation(&image, &key, "one").await, world::attestation(&image, &key, "two").await];
    let append =
        || world.store.append_attestations(&image, Some(&elsewhere), &layers, key.public(), &world.nobody);
    assert_eq!(append().await.unwrap(), [Appended::Added, Appended::Added]);
    assert_eq!(append().await.unwrap(), [Appended::WasThere, Appended::WasThere]);

    assert_eq!(world.layers(&image, Attached::Attestation).await, []);
    let there = elsewhere.at(image.digest().unwrap().clone());
    assert_eq!(world.attestations(&there, key.public()).await.unwrap().len(), 2);
    let tag = Attached::Attestation.tag(image.digest().unwrap());
    assert!(registry.manifest(IMAGE, &tag).is_none());
}

#[tokio::test]
async fn writers_of_one_process_take_turns() {
    let (world, _registry) = World::real().await;
    let image = world.push_image(IMAGE, "one").await;
    let key = PrivateKey::generate().unwrap();
    let names: Vec<String> = (0..12).map(|number| format!("builder {number}")).collect();
    let all = join_all(names.iter().map(|name| world.attest(&image, &key, name))).await;
    assert!(all.iter().all(|one| *one == Appended::Added), "{all:?}");
    assert_eq!(world.attestations(&image, key.public()).await.unwrap().len(), names.len());
}

/// Of two processes none sees the other, only what became of the tag.
#[tokio::test]
async fn a_layer_that_another_push_took_away_is_added_again() {
    let (world, registry) = World::played();
    let image = world.push_image(IMAGE, "one").await;
    let (ours, theirs) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    // What they pushed when they had not seen ours yet.
    let tag = Attached::Attestation.tag(image.digest().unwrap());
    world.attest(&image, &theirs, "theirs").await;
    let their_manifest = registry.manifest(IMAGE, &tag).unwrap();

    registry.overwrite_once(IMAGE, &tag, their_manifest);
    assert_eq!(world.attest(&image, &ours, "ours").await, Appended::Added);
    world.attestations(&image, ours.public()).await.unwrap();
    world.attestations(&image, theirs.public()).await.unwrap();
}

#[tokio::test]
async fn asks_a_registry_five_times_for_a_layer() {
    let (world, registry) = World::played();
    let key = PrivateKey::generate().unwrap();
    let images = [world.push_image(IMAGE, "one").await, world.push_image(IMAGE, "two").await];
    world.sign(&images[0], &key).await;
    let before = registry.calls().len();
    world.sign(&images[1], &key).await;
    let calls = registry.calls().split_off(before);
    assert!(calls.len() <= 5, "{calls:#?}");
}

/// A registry takes away what nothing refers to, as what all manifests of ours share when the last of them goes.
#[tokio::test]
async fn pushes_again_what_the_registry_has_forgotten() {
    let (world, _registry) = World::real().await;
    let key = PrivateKey::generate().unwrap();
    let image = world.push_image(IMAGE, "one").await;
    world.sign(&image, &key).await;
    let tag = Attached::Signature.reference(&image, image.digest().unwrap());
    let manifest = world.client.manifest(&tag, &world.nobody).await.unwrap();
    let Document::Image(manifest) = manifest.document().unwrap() else { panic!("it is an image") };
    world.delete_blob(&image, &manifest.config.digest).await;

    let other = world.push_image(IMAGE, "two").await;
    world.sign(&other, &key).await;
    world.signatures(&other, key.public()).await.unwrap();
}

#[tokio::test]
async fn an_image_is_named_by_its_digest() {
    let (world, _registry) = World::played();
    let image = world.reference("org/app:v1");
    let error = world.store.layers(&image, Attached::Signature, &world.nobody).await.unwrap_err();
    assert!(matches!(error, Error::NotPinned { .. }), "{error}");
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_has_not_nothing() {
    let (world, registry) = World::played();
    let image = world.push_image(IMAGE, "one").await;
    drop(registry);
    let store = Store::new(world.client.clone());
    let error = store.layers(&image, Attached::Signature, &world.nobody).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let none = image.at(Digest::of(b"another"));
    assert!(store.layers(&none, Attached::Signature, &world.nobody).await.is_err());
}
