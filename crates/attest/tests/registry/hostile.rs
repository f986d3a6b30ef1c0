//! What may stand under a tag that anyone who may push to the repository writes to.

use attest::PrivateKey;
use attest::cosign::{Appended, Error};
use registry::{Attached, Reference};
use serde_json::{Value, json};
use testkit::registry::PlayedRegistry;

use crate::world::{self, IMAGE, World};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

struct Tag {
    world: World,
    registry: PlayedRegistry,
    image: Reference,
}

impl Tag {
    async fn new() -> Self {
        let (world, registry) = World::played();
        let image = world.push_image(IMAGE, "one").await;
        Self { world, registry, image }
    }

    /// Puts a manifest where the signatures are.
    fn put(&self, media_type: &str, manifest: &str) {
        let tag = Attached::Signature.tag(self.image.digest().unwrap());
        self.registry.push_manifest(IMAGE, &tag, media_type, manifest.as_bytes());
    }

    fn put_layers(&self, layers: &[Value]) {
        let config = self.layer("{}");
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.put(MANIFEST, &manifest.to_string());
    }

    fn layer(&self, content: &str) -> Value {
        let digest = self.registry.push_blob(IMAGE, content.as_bytes());
        json!({"mediaType": SIGNATURE, "digest": digest, "size": content.len()})
    }

    async fn read(&self) -> Result<usize, Error> {
        let layers = self.world.store.layers(&self.image, Attached::Signature, &self.world.nobody).await;
        layers.map(|layers| layers.len())
    }

    async fn sign(&self, key: &PrivateKey) -> Result<Vec<Appended>, Error> {
        let layers = [world::signature(&self.image, key)];
        self.world.store.append_signatures(&self.image, None, &layers, key.public(), &self.world.nobody).await
    }
}

#[tokio::test]
async fn passes_over_layers_of_other_types() {
    let tag = Tag::new().await;
    let mut other = tag.layer("other");
    other["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip".into();
    // It is not even fetched.
    other["size"] = u64::MAX.into();
    tag.put_layers(&[other, tag.layer("one")]);
    assert_eq!(tag.read().await.unwrap(), 1);
}

#[tokio::test]
async fn reads_neither_too_many_nor_too_large_layers() {
    let tag = Tag::new().await;
    let one = tag.layer("one");
    tag.put_layers(&vec![one.clone(); 256]);
    assert_eq!(tag.read().await.unwrap(), 256);
    tag.put_layers(&vec![one.clone(); 257]);
    assert!(matches!(tag.read().await, Err(Error::TooMuch { count: 257, .. })));

    let sized = |size: u64| {
        let mut layer = one.clone();
        layer["size"] = size.into();
        layer
    };
    for sizes in [&[17 << 20][..], &[u64::MAX, u64::MAX], &[16 << 20; 5]] {
        tag.put_layers(&sizes.iter().map(|size| sized(*size)).collect::<Vec<_>>());
        assert!(matches!(tag.read().await, Err(Error::TooMuch { .. })), "{sizes:?}");
    }
    // Larger than it says.
    tag.put_layers(&[sized(2)]);
    assert!(matches!(tag.read().await, Err(Error::Registry(registry::Error::TooLarge { limit: 2, .. }))));
}

#[tokio::test]
async fn content_has_to_be_what_the_manifest_says() {
    let tag = Tag::new().await;
    let layer = tag.layer("one");
    tag.put_layers(std::slice::from_ref(&layer));
    tag.registry.corrupt_blob(IMAGE, layer["digest"].as_str().unwrap(), b"two");
    assert!(matches!(tag.read().await, Err(Error::Registry(registry::Error::Invalid { .. }))));
}

#[tokio::test]
async fn an_index_or_nonsense_is_an_error_and_is_left_as_it_is() {
    let tag = Tag::new().await;
    let key = PrivateKey::generate().unwrap();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    for (media_type, manifest) in
        [(INDEX, index.as_str()), (MANIFEST, "{}"), (MANIFEST, "nonsense"), (MANIFEST, "")]
    {
        tag.put(media_type, manifest);
        tag.read().await.unwrap_err();
        tag.sign(&key).await.unwrap_err();
        let name = Attached::Signature.tag(tag.image.digest().unwrap());
        assert_eq!(tag.registry.manifest(IMAGE, &name).unwrap(), manifest.as_bytes());
    }
}

#[tokio::test]
async fn adds_no_more_than_can_be_read_and_keeps_what_it_does_not_know() {
    let tag = Tag::new().await;
    let key = PrivateKey::generate().unwrap();
    let mut strange = tag.layer("one");
    strange["artifactType"] = "strange".into();
    let config = tag.layer("{}");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [strange],
        "annotations": {"kept": "yes"},
    });
    tag.put(MANIFEST, &manifest.to_string());
    tag.sign(&key).await.unwrap();
    let name = Attached::Signature.tag(tag.image.digest().unwrap());
    let after: Value = serde_json::from_slice(&tag.registry.manifest(IMAGE, &name).unwrap()).unwrap();
    assert_eq!((&after["annotations"], &after["layers"][0]), (&manifest["annotations"], &strange));
    assert_eq!(after["layers"].as_array().unwrap().len(), 2);

    tag.put_layers(&vec![tag.layer("one"); 256]);
    assert!(matches!(tag.sign(&key).await, Err(Error::TooMuch { count: 257, .. })));
}
