//! Everything that can be put beside an image instead of what belongs there. None of it passes.

use attest::{PrivateKey, dsse, simple_signing};
use registry::{Digest, Reference};
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::{Attached, STATEMENT, World, codes, digest, envelope, enveloped, provenance, signed};

const ACCESSIBLE: &str = "builtin.image.accessible";
const SIGNATURE: &str = "builtin.image.signature_check";
const ATTESTATION: &str = "builtin.attestation.signature_check";

/// Does something to an image that is signed and attested as it should be.
type Tamper = fn(&World, &Reference);

fn other_key() -> PrivateKey {
    PrivateKey::generate().unwrap()
}

fn other(world: &World) -> Reference {
    world.image("app", &json!({"Labels": {"other": "image"}}), &[])
}

fn signature(world: &World, image: &Reference) -> Attached {
    world.signature(image, digest(image))
}

fn replace(world: &World, image: &Reference, kind: &str, change: impl FnOnce(&mut Attached)) {
    let mut layer =
        if kind == "sig" { signature(world, image) } else { world.attestation(&provenance(image)) };
    change(&mut layer);
    world.attach(image, kind, &[layer]);
}

fn delete(world: &World, image: &Reference, kind: &str) {
    world.attach(image, kind, &[]);
}

fn sig_missing(world: &World, image: &Reference) {
    delete(world, image, "sig");
}

fn sig_by_other_key(world: &World, image: &Reference) {
    let payload = simple_signing::Payload::for_image(&image.name(), digest(image));
    world.attach(image, "sig", &[signed(&other_key(), payload)]);
}

fn sig_of_other_image(world: &World, image: &Reference) {
    world.attach(image, "sig", &[world.signature(image, digest(&other(world)))]);
}

fn sig_payload_changed(world: &World, image: &Reference) {
    let other = other(world);
    replace(world, image, "sig", |layer| {
        let text = String::from_utf8(world.signature(image, digest(&other)).content).unwrap();
        let signed = signature(world, &other);
        layer.annotations = signed.annotations;
        layer.content = text.replace(digest(&other).as_str(), digest(image).as_str()).into_bytes();
    });
}

fn sig_without_signature(world: &World, image: &Reference) {
    replace(world, image, "sig", |layer| layer.annotations = json!({}));
}

fn sig_no_base64(world: &World, image: &Reference) {
    replace(world, image, "sig", |layer| {
        layer.annotations = json!({"dev.cosignproject.cosign/signature": "!"});
    });
}

fn sig_empty(world: &World, image: &Reference) {
    replace(world, image, "sig", |layer| {
        layer.annotations = json!({"dev.cosignproject.cosign/signature": ""});
    });
}

fn sig_of_no_payload(world: &World, image: &Reference) {
    world.attach(image, "sig", &[signed(&world.key, b"{}".to_vec())]);
}

fn sig_of_other_type(world: &World, image: &Reference) {
    let payload = json!({"critical": {
        "identity": {"docker-reference": image.name()}, "image": {"docker-manifest-digest": digest(image).as_str()},
        "type": "something else",
    }});
    world.attach(image, "sig", &[signed(&world.key, payload.to_string().into_bytes())]);
}

fn sig_under_attestation_type(world: &World, image: &Reference) {
    replace(world, image, "sig", |layer| layer.media_type = crate::world::ENVELOPE);
}

fn sig_manifest_malformed(world: &World, image: &Reference) {
    let tag = format!("sha256-{}.sig", digest(image).hex());
    world.registry.push_manifest("app", &tag, crate::world::MANIFEST, b"{");
}

fn sig_blob_corrupt(world: &World, image: &Reference) {
    let blob = Digest::of(&signature(world, image).content);
    world.registry.corrupt_blob("app", blob.as_str(), b"something else");
}

fn att_missing(world: &World, image: &Reference) {
    delete(world, image, "att");
}

fn att_by_other_key(world: &World, image: &Reference) {
    let layer = enveloped(&other_key(), STATEMENT, provenance(image).to_string().as_bytes());
    world.attach(image, "att", &[layer]);
}

fn att_of_other_image(world: &World, image: &Reference) {
    world.attest(image, &[provenance(&other(world))]);
}

fn att_without_subject(world: &World, image: &Reference) {
    let mut statement = provenance(image);
    statement["subject"] = json!([]);
    world.attest(image, &[statement]);
}

fn att_subject_by_name_only(world: &World, image: &Reference) {
    let mut statement = provenance(image);
    statement["subject"] = json!([{"name": image.to_string(), "digest": {"sha1": digest(image).hex()}}]);
    world.attest(image, &[statement]);
}

fn att_payload_changed(world: &World, image: &Reference) {
    let signed = provenance(image).to_string();
    let signature = world.key.sign(&dsse::pae(STATEMENT, signed.as_bytes())).unwrap();
    let changed = signed.replace("tekton.dev/chains/v2", "tekton.dev/chains/v3");
    world.attach(image, "att", &[envelope(STATEMENT, changed.as_bytes(), &signature)]);
}

fn att_type_changed(world: &World, image: &Reference) {
    let statement = provenance(image).to_string();
    let signature = world.key.sign(&dsse::pae("application/json", statement.as_bytes())).unwrap();
    world.attach(image, "att", &[envelope(STATEMENT, statement.as_bytes(), &signature)]);
}

fn att_signed_without_encoding(world: &World, image: &Reference) {
    let statement = provenance(image).to_string();
    let signature = world.key.sign(statement.as_bytes()).unwrap();
    world.attach(image, "att", &[envelope(STATEMENT, statement.as_bytes(), &signature)]);
}

fn att_of_other_payload_type(world: &World, image: &Reference) {
    let statement = provenance(image).to_string();
    world.attach(image, "att", &[enveloped(&world.key, "application/json", statement.as_bytes())]);
}

fn att_without_signatures(world: &World, image: &Reference) {
    replace(world, image, "att", |layer| {
        let mut envelope: Value = serde_json::from_slice(&layer.content).unwrap();
        envelope["signatures"] = json!([]);
        layer.content = envelope.to_string().into_bytes();
    });
}

fn att_no_envelope(world: &World, image: &Reference) {
    replace(world, image, "att", |layer| layer.content = b"[1, 2".to_vec());
}

fn att_no_statement(world: &World, image: &Reference) {
    world.attach(image, "att", &[enveloped(&world.key, STATEMENT, b"\"text\"")]);
}

fn att_of_unknown_statement(world: &World, image: &Reference) {
    let mut statement = provenance(image);
    statement["_type"] = json!("https://in-toto.io/Statement/v7");
    world.attest(image, &[statement]);
}

fn att_blob_corrupt(world: &World, image: &Reference) {
    let manifest = world.registry.manifest("app", &format!("sha256-{}.att", digest(image).hex())).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let blob = manifest["layers"][0]["digest"].as_str().unwrap();
    world.registry.corrupt_blob("app", blob, b"something else");
}

fn config_corrupt(world: &World, image: &Reference) {
    let manifest: Value =
        serde_json::from_slice(&world.registry.manifest("app", digest(image).as_str()).unwrap()).unwrap();
    world.registry.corrupt_blob("app", manifest["config"]["digest"].as_str().unwrap(), b"{}");
}

#[rstest]
#[case::sig_missing(sig_missing, SIGNATURE, "has no signatures")]
#[case::sig_by_other_key(sig_by_other_key, SIGNATURE, "did not make the signature")]
#[case::sig_of_other_image(sig_of_other_image, SIGNATURE, "the signature is for")]
#[case::sig_payload_changed(sig_payload_changed, SIGNATURE, "did not make the signature")]
#[case::sig_without_signature(sig_without_signature, SIGNATURE, "missing or no base64")]
#[case::sig_no_base64(sig_no_base64, SIGNATURE, "missing or no base64")]
#[case::sig_empty(sig_empty, SIGNATURE, "")]
#[case::sig_of_no_payload(sig_of_no_payload, SIGNATURE, "")]
#[case::sig_of_other_type(sig_of_other_type, SIGNATURE, "")]
#[case::sig_under_attestation_type(sig_under_attestation_type, SIGNATURE, "has no signatures")]
#[case::sig_manifest_malformed(sig_manifest_malformed, SIGNATURE, "")]
#[case::sig_blob_corrupt(sig_blob_corrupt, SIGNATURE, "something else for blob")]
#[case::att_missing(att_missing, ATTESTATION, "has no attestations")]
#[case::att_by_other_key(att_by_other_key, ATTESTATION, "did not make the signature")]
#[case::att_of_other_image(att_of_other_image, ATTESTATION, "subjects is")]
#[case::att_without_subject(att_without_subject, ATTESTATION, "subjects is")]
#[case::att_subject_by_name_only(att_subject_by_name_only, ATTESTATION, "subjects is")]
#[case::att_payload_changed(att_payload_changed, ATTESTATION, "did not make the signature")]
#[case::att_type_changed(att_type_changed, ATTESTATION, "did not make the signature")]
#[case::att_signed_without_encoding(att_signed_without_encoding, ATTESTATION, "did not make the signature")]
#[case::att_of_other_payload_type(att_of_other_payload_type, ATTESTATION, "not an in-toto statement")]
#[case::att_without_signatures(att_without_signatures, ATTESTATION, "no signature")]
#[case::att_no_envelope(att_no_envelope, ATTESTATION, "envelope")]
#[case::att_no_statement(att_no_statement, ATTESTATION, "")]
#[case::att_of_unknown_statement(att_of_unknown_statement, ATTESTATION, "v7")]
#[case::att_blob_corrupt(att_blob_corrupt, ATTESTATION, "something else for blob")]
#[case::config_corrupt(config_corrupt, ACCESSIBLE, "something else for blob")]
#[tokio::test]
async fn is_found(#[case] tamper: Tamper, #[case] code: &str, #[case] reason: &str) {
    let world = World::new();
    let image = world.good("app");
    tamper(&world, &image);
    let report = world.judge(&image).await;
    assert!(!report.success);
    assert_eq!(codes(&report.violations), [code], "{report:#?}");
    assert!(report.violations[0].msg.contains(reason), "{}", report.violations[0].msg);
    // Of an image without a good attestation no rule is asked.
    assert_eq!(codes(&report.successes).contains(&"allow.all"), code != ATTESTATION);
}

/// Good layers among bad ones are enough: anybody who may push could else break an image.
#[tokio::test]
async fn bad_layers_beside_good_ones_are_dropped() {
    let world = World::new();
    let image = world.good("app");
    let bad = enveloped(&other_key(), STATEMENT, provenance(&image).to_string().as_bytes());
    world.attach(&image, "att", &[bad.clone(), world.attestation(&provenance(&image)), bad]);
    world.attach(&image, "sig", &[signed(&other_key(), b"{}".to_vec()), signature(&world, &image)]);
    let report = world.judge(&image).await;
    assert!(report.success, "{report:#?}");
    assert_eq!(report.policy_input["attestations"].as_array().unwrap().len(), 1);
}
