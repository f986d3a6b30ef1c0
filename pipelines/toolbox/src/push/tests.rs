use flate2::read::GzDecoder;
use registry::Digest;
use std::io::Read as _;

use clap::Parser as _;

use super::*;
use crate::testing::World;

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Writes a layout of these layers, as buildah does.
fn layout(world: &World, layers: &[&[u8]], annotations: &Value) {
    let contents: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    layout_of(world, layers, &contents, annotations);
}

fn layout_of(world: &World, layers: &[&[u8]], contents: &[String], annotations: &Value) {
    let blob = |content: &[u8]| {
        let digest = Digest::of(content);
        world.write(&format!("layout/blobs/sha256/{}", digest.hex()), content);
        json!({"digest": digest.as_str(), "size": content.len(), "mediaType": "x"})
    };
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {"Labels": {"vcs-ref": "abc"}},
        "rootfs": {"type": "layers", "diff_ids": contents}, "history": [{"created_by": "buildah"}],
    });
    let manifest = json!({
        "schemaVersion": 2, "config": blob(config.to_string().as_bytes()), "annotations": annotations,
        "layers": layers.iter().map(|layer| blob(layer)).collect::<Vec<_>>(),
    });
    let index = json!({"schemaVersion": 2, "manifests": [blob(manifest.to_string().as_bytes())]});
    world.write("layout/index.json", index.to_string());
}

const FLAGS: [&str; 5] = [
    "push",
    "--layout=@layout",
    "--result-image-url=@results/IMAGE_URL",
    "--result-image-digest=@results/IMAGE_DIGEST",
    "--result-image-ref=@results/IMAGE_REF",
];

async fn push(world: &World, further: &[&str]) -> anyhow::Result<()> {
    let mut flags = FLAGS.to_vec();
    flags.push("--image=^org/app:v1");
    flags.extend(further);
    world.run(&flags).await
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    content
}

#[tokio::test]
async fn an_image_goes_compressed_and_with_its_sbom_in_it() {
    let world = World::new();
    let layer = tar(&[("app", "program")]);
    layout(&world, &[&layer], &json!({}));
    world.write("sbom.json", "{}");
    let added = ["--add=@sbom.json=/opt/sbom.json", "--add=@missing.json=/opt/missing.json"];
    push(&world, &added).await.unwrap();

    let digest = world.result("IMAGE_DIGEST");
    assert_eq!(world.result("IMAGE_URL"), world.image("org/app:v1"));
    assert_eq!(world.result("IMAGE_REF"), world.image(&format!("org/app@{digest}")));
    let manifest = world.manifest("org/app", "v1");
    assert_eq!(manifest, world.manifest("org/app", &digest));
    let layers = manifest["layers"].as_array().unwrap();
    let contents: Vec<_> =
        layers.iter().map(|layer| unpacked(&world.blob("org/app", &layer["digest"]))).collect();
    assert_eq!(contents[0], layer);
    let config: Value =
        serde_json::from_slice(&world.blob("org/app", &manifest["config"]["digest"])).unwrap();
    let expected: Vec<_> = contents.iter().map(|content| json!(Digest::of(content).as_str())).collect();
    assert_eq!(config["rootfs"]["diff_ids"], json!(expected));
    assert_eq!((config["history"].as_array().unwrap().len(), layers.len()), (2, 2));
    assert_eq!(config["config"]["Labels"]["vcs-ref"], "abc");
    let mut archive = tar::Archive::new(&contents[1][..]);
    let names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, [Path::new("opt/sbom.json")]);
}

#[tokio::test]
async fn what_is_compressed_is_not_compressed_again() {
    let world = World::new();
    let content = tar(&[("app", "program")]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &content).unwrap();
    let packed = encoder.finish().unwrap();
    layout_of(&world, &[&packed], &[Digest::of(&content).to_string()], &json!({}));
    push(&world, &[]).await.unwrap();
    let layer = &world.manifest("org/app", "v1")["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    assert_eq!(world.blob("org/app", &layer["digest"]), packed);
}

#[tokio::test]
async fn layers_of_the_base_image_stay_as_its_registry_has_them() {
    let world = World::new();
    let (base, own) = (tar(&[("base", "1")]), tar(&[("own", "2")]));
    // Not as we would compress it.
    let packed = b"as packed by somebody else";
    let blob = world.registry.push_blob("base", packed);
    let config = json!({"rootfs": {"diff_ids": [Digest::of(&base).as_str()]}}).to_string();
    let config = world.registry.push_blob("base", config.as_bytes());
    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let manifest = json!({
        "config": {"digest": config}, "layers": [{"digest": blob, "size": packed.len(), "mediaType": docker}],
    });
    let digest = world.registry.push_manifest("base", "1", MANIFEST, manifest.to_string().as_bytes());
    let annotations = json!({
        "org.opencontainers.image.base.name": world.image("base:1"), "org.opencontainers.image.base.digest": digest,
    });
    layout(&world, &[&base, &own], &annotations);
    push(&world, &[]).await.unwrap();
    let pushed = world.manifest("org/app", "v1");
    let expected = json!({
        "digest": blob, "size": packed.len(), "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
    });
    assert_eq!(pushed["layers"][0], expected);
    assert_eq!(world.blob("org/app", &pushed["layers"][0]["digest"]), packed);
    assert_eq!(unpacked(&world.blob("org/app", &pushed["layers"][1]["digest"])), own);
    assert_eq!(pushed["annotations"], annotations);

    // Another layer than the base image has at that place is the image's own.
    layout(&world, &[&own, &base], &annotations);
    push(&world, &[]).await.unwrap();
    let pushed = world.manifest("org/app", "v1");
    assert_eq!(unpacked(&world.blob("org/app", &pushed["layers"][0]["digest"])), own);

    // A base image that is gone costs time and nothing else.
    let mut annotations = annotations;
    annotations["org.opencontainers.image.base.digest"] = Digest::of(b"gone").as_str().into();
    layout(&world, &[&base, &own], &annotations);
    push(&world, &[]).await.unwrap();
}

#[tokio::test]
async fn what_will_not_pass_by_itself_is_not_tried_again() {
    let world = World::new();
    layout(&world, &[], &json!({}));
    world.registry.protect("org/app", "robot", "secret");
    let error = format!("{:#}", push(&world, &[]).await.unwrap_err());
    assert!(error.contains("does not let us write it without a login"), "{error}");
    let error = format!("{:#}", push(&world, &["--tls-verify=false"]).await.unwrap_err());
    assert!(error.contains("trusted-ca"), "{error}");
    for bad in ["--add=x", "--add=x=relative", "--add=x=/a/../b"] {
        assert!(
            crate::Cli::try_parse_from(["toolbox", "push", bad]).unwrap_err().to_string().contains("--add")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again() {
    let count = std::cell::Cell::new(0);
    let attempt = async || {
        count.set(count.get() + 1);
        if count.get() < 3 { Err(away().into()) } else { Ok(count.get()) }
    };
    let began = tokio::time::Instant::now();
    assert_eq!(tried(5, PAUSE, attempt).await.unwrap(), 3);
    assert_eq!(began.elapsed(), 2 * PAUSE);
    count.set(-10);
    assert!(tried(5, PAUSE, attempt).await.is_err());
    assert_eq!(count.get(), -5);
}

/// What a registry that is away is told by.
fn away() -> registry::Error {
    let target = "GET registry.test/v2/".to_owned();
    registry::Error::Unreachable {
        what: "app".to_owned(),
        source: fleet::outbound::Error::Connect { target, reason: "refused".to_owned() },
    }
}
