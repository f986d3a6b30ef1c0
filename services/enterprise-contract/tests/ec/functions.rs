//! What rules ask of registries and signatures.

use std::time::{Duration, Instant};

use registry::{Digest, Reference};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{World, digest};

/// What a function of rules gives for some arguments; `None` is undefined.
async fn call(world: &World, function: &str, arguments: &[Value]) -> Option<Value> {
    let image = world.good("asking");
    let arguments: Vec<String> = arguments.iter().map(Value::to_string).collect();
    let rules = format!(
        r#"
package policy.release.ask
import rego.v1

answer := {function}({})

warn contains json.marshal(answer)

warn contains "undefined" if not answer
"#,
        arguments.join(", ")
    );
    let report = world.validate(&world.request(&[&image], &world.policy(&rules))).await.unwrap();
    let warnings = &report.components[0].warnings;
    assert!(!warnings.is_empty(), "{report:#?}");
    // A registry that does not answer is said besides.
    let answer = warnings.iter().find(|warning| !warning.msg.starts_with("Rules asked")).unwrap();
    serde_json::from_str(&answer.msg).ok()
}

/// A layer with these files.
pub(crate) fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn opts(world: &World) -> Value {
    json!({
        "certificate_identity": "", "certificate_identity_regexp": "", "certificate_oidc_issuer": "",
        "certificate_oidc_issuer_regexp": "", "ignore_rekor": true, "public_key": world.key.public().to_pem(), "rekor_url": "",
    })
}

#[tokio::test]
async fn blobs_are_texts() {
    let world = World::new();
    let text = world.registry.push_blob("data", b"{\"a\": 1}");
    let reference = world.reference("data", &text).to_string();
    assert_eq!(call(&world, "ec.oci.blob", &[json!(reference)]).await, Some(json!("{\"a\": 1}")));
    let compressed = world.registry.push_blob("data", &gzip(b"compressed"));
    let reference = world.reference("data", &compressed).to_string();
    assert_eq!(call(&world, "ec.oci.blob", &[json!(reference)]).await, Some(json!("compressed")));
}

#[rstest]
#[case::too_large(vec![b'x'; 10 * 1024 * 1024 + 1], None)]
#[case::no_text(vec![0xff, 0xfe], None)]
#[case::other_content(b"one".to_vec(), Some(&b"two"[..]))]
#[tokio::test]
async fn blobs_that_are_not_as_they_should_be_are_undefined(
    #[case] content: Vec<u8>,
    #[case] instead: Option<&[u8]>,
) {
    let world = World::new();
    let digest = world.registry.push_blob("data", &content);
    if let Some(instead) = instead {
        world.registry.corrupt_blob("data", &digest, instead);
    }
    let reference = world.reference("data", &digest).to_string();
    assert_eq!(call(&world, "ec.oci.blob", &[json!(reference)]).await, None);
}

#[tokio::test]
async fn a_bomb_is_undefined() {
    let world = World::new();
    let digest = world.registry.push_blob("data", &gzip(&vec![b'x'; 20 * 1024 * 1024]));
    let reference = world.reference("data", &digest).to_string();
    assert_eq!(call(&world, "ec.oci.blob", &[json!(reference)]).await, None);
}

#[rstest]
#[case::tag(json!("127.0.0.1:1/data:latest"))]
#[case::no_reference(json!("://"))]
#[case::no_text(json!(5))]
#[case::list(json!([]))]
#[tokio::test]
async fn what_is_no_pinned_reference_is_undefined(#[case] reference: Value) {
    let world = World::new();
    for function in ["ec.oci.blob", "ec.oci.image_manifest", "ec.oci.image_index"] {
        assert_eq!(call(&world, function, std::slice::from_ref(&reference)).await, None, "{function}");
    }
    assert_eq!(call(&world, "ec.sigstore.verify_image", &[reference, opts(&world)]).await, None);
}

#[tokio::test]
async fn manifests_and_indexes_have_all_fields() {
    let world = World::new();
    let image = world.image("app", &json!({}), &[b"layer".to_vec()]);
    let reference = json!(image.to_string());
    let manifest = call(&world, "ec.oci.image_manifest", std::slice::from_ref(&reference)).await.unwrap();
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(manifest["layers"][0]["digest"], Digest::of(b"layer").as_str());
    assert_eq!(manifest["layers"][0]["urls"], json!([]));
    assert_eq!(call(&world, "ec.oci.image_index", std::slice::from_ref(&reference)).await, None);
    let descriptor = call(&world, "ec.oci.descriptor", &[reference]).await.unwrap();
    assert_eq!(descriptor["digest"], digest(&image).as_str());
    assert_eq!(descriptor["mediaType"], crate::world::MANIFEST);

    let platforms: [(&str, &[&str], &[&str]); 2] =
        [("linux/amd64", &["a"], &[]), ("linux/arm64", &["b"], &[])];
    let index = world.registry.push_image("index", "v1", &platforms);
    let reference = json!(world.reference("index", &index).to_string());
    let shown = call(&world, "ec.oci.image_index", std::slice::from_ref(&reference)).await.unwrap();
    assert_eq!(shown["manifests"][1]["platform"]["architecture"], "arm64");
    assert_eq!(call(&world, "ec.oci.image_manifest", &[reference]).await, None);
    // What is not pinned may be something else for the next rule.
    let by_tag = json!(format!("{}/index:v1", world.registry.address()));
    assert_eq!(call(&world, "ec.oci.image_index", std::slice::from_ref(&by_tag)).await, None);
    assert_eq!(call(&world, "ec.oci.descriptor", &[by_tag]).await.unwrap()["digest"], index);
}

#[tokio::test]
async fn files_of_images_are_read_from_their_layers() {
    let world = World::new();
    let lower = tar(&[("etc/a.yaml", "a: 1"), ("etc/deep/b.json", "[2]"), ("etc/c.txt", "c")]);
    let upper = tar(&[("etc/a.yaml", "a: 3")]);
    let image = world.image("app", &json!({}), &[lower, gzip(&upper)]);
    let files = call(&world, "ec.oci.image_files", &[json!(image.to_string()), json!(["/etc", "usr"])]).await;
    assert_eq!(files, Some(json!({"etc/a.yaml": {"a": 3}, "etc/deep/b.json": [2]})));
}

#[tokio::test]
async fn signatures_of_other_images_are_verified() {
    let world = World::new();
    let image = world.good("source");
    let unsigned = world.image("unsigned", &json!({}), &[]);
    let ask = async |function: &str, image: &Reference, opts: Value| {
        call(&world, function, &[json!(image.to_string()), opts]).await
    };
    let good = ask("ec.sigstore.verify_image", &image, opts(&world)).await.unwrap();
    assert_eq!((&good["success"], &good["errors"]), (&json!(true), &json!([])));
    assert_eq!(good["signatures"][0]["keyid"], world.key.public().key_id());
    let good = ask("ec.sigstore.verify_attestation", &image, opts(&world)).await.unwrap();
    assert_eq!(good["attestations"][0]["statement"], crate::world::provenance(&image));
    let bad = ask("ec.sigstore.verify_image", &unsigned, opts(&world)).await.unwrap();
    assert_eq!((&bad["success"], bad["errors"].as_array().unwrap().len()), (&json!(false), 1));

    let mut other = opts(&world);
    other["public_key"] = json!(World::new().key.public().to_pem());
    assert_eq!(ask("ec.sigstore.verify_image", &image, other).await.unwrap()["success"], false);
    // A rule may not name files, and has to name all options.
    let mut file = opts(&world);
    file["public_key"] = json!(world.write("cosign.pub", &world.key.public().to_pem()));
    assert_eq!(ask("ec.sigstore.verify_image", &image, file).await.unwrap()["success"], false);
    assert_eq!(
        ask("ec.sigstore.verify_image", &image, json!({"public_key": world.key.public().to_pem()})).await,
        None
    );
}

/// The default options are those of the policy.
#[tokio::test]
async fn rules_find_the_policys_own_signers() {
    let world = World::new();
    let image = world.good("app");
    let rules = r#"
package policy.release.ask
import rego.v1
warn contains "good" if ec.sigstore.verify_image(input.image.ref, data.config.default_sigstore_opts).success
"#;
    let report = world.validate(&world.request(&[&image], &world.policy(rules))).await.unwrap();
    assert_eq!(report.components[0].warnings[0].msg, "good");
}

/// It takes connections, and says nothing.
#[tokio::test]
async fn a_dead_host_is_given_up_soon_and_said() {
    let world = World::new();
    let image = world.good("app");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let dead = |name: &str| format!("{host}/{name}@{}", Digest::of(name.as_bytes()));
    let rules = format!(
        r#"
package policy.release.ask
import rego.v1
warn contains "undefined" if {{
	not ec.oci.blob("{}")
	not ec.oci.image_manifest("{}")
	not ec.sigstore.verify_image("{}", data.config.default_sigstore_opts)
}}
"#,
        dead("one"),
        dead("two"),
        dead("three")
    );
    let begin = Instant::now();
    let request = world.request(&[&image], &world.policy(&rules));
    let report = world.validate(&request).await.unwrap();
    let warnings: Vec<_> = report.components[0].warnings.iter().map(|finding| finding.msg.as_str()).collect();
    assert!(warnings.contains(&"undefined"), "{warnings:?}");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("cannot be reached") && warning.contains(host.as_str())),
        "{warnings:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
