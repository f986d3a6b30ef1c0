//! What somebody who may write to the registry can do to an image, its signature and its attestation.
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::material::{Attached, Image, Key, Layer, Material, SIGNATURE};

/// The image itself cannot be read.
const ACCESSIBLE: &str = "builtin.image.accessible";
const SIGNED: &str = "builtin.image.signature_check";
const ATTESTED: &str = "builtin.attestation.signature_check";

/// More than any attestation has.
const GIANT: usize = 100 * 1024 * 1024;

pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) material: Material,
    /// Code of the violation; none if nobody was harmed.
    pub(super) violated: Option<&'static str>,
}

/// All variants of an image that was built and signed; `other` is another one.
pub(super) fn all(good: &Material, other: &Material) -> anyhow::Result<Vec<Variant>> {
    let mut variants = Vec::new();
    let mut add = |name, violated, material| variants.push(Variant { name, material, violated });
    let signatures = |signatures| Material { signatures, ..good.clone() };
    let attestations = |attestations| Material { attestations, ..good.clone() };
    let one = |layer| Attached::Layers(vec![layer]);
    let (signature, attestation) = (good.signature()?, good.attestation()?);
    let stranger = Key::new()?;

    add("copied-as-it-is", None, good.clone());
    add("not-signed", Some(SIGNED), signatures(Attached::Nothing));
    add("signed-by-a-stranger", Some(SIGNED), signatures(one(stranger.signature(&signature.content)?)));
    add("signature-of-another-image", Some(SIGNED), signatures(other.signatures.clone()));
    let digest = "/critical/image/docker-manifest-digest";
    let claimed = other.signature()?.edited(digest, json!(good.image.digest()))?;
    add("signature-made-to-fit", Some(SIGNED), signatures(one(claimed)));
    let renamed = signature.edited("/critical/identity/docker-reference", json!("quay.example/other"))?;
    add("signed-payload-changed", Some(SIGNED), signatures(one(renamed)));
    let mut bare = signature.clone();
    bare.annotations.clear();
    add("payload-without-signature", Some(SIGNED), signatures(one(bare.clone())));
    bare.annotations.insert(SIGNATURE.to_owned(), "%%%".to_owned());
    add("signature-is-rubbish", Some(SIGNED), signatures(one(bare)));
    add("attestation-in-place-of-signature", Some(SIGNED), signatures(one(attestation.clone())));
    let index =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []});
    let index = Attached::Manifest("application/vnd.oci.image.index.v1+json", index);
    add("index-in-place-of-signatures", Some(SIGNED), signatures(index.clone()));

    add("not-attested", Some(ATTESTED), attestations(Attached::Nothing));
    add("index-in-place-of-attestations", Some(ATTESTED), attestations(index));
    let statement = attestation.statement()?;
    let forged = stranger.attestation(&statement)?;
    add("attested-by-a-stranger", Some(ATTESTED), attestations(one(forged.clone())));
    add("attestation-of-another-image", Some(ATTESTED), attestations(other.attestations.clone()));
    add("statement-changed", Some(ATTESTED), attestations(one(with_builder(attestation, &statement)?)));
    let emptied = attestation.edited("/signatures", json!([]))?;
    add("envelope-without-signatures", Some(ATTESTED), attestations(one(emptied)));
    let retyped = attestation.edited("/payloadType", json!("application/json"))?;
    add("payload-of-another-type", Some(ATTESTED), attestations(one(retyped)));
    let mut broken = attestation.clone();
    broken.content.truncate(broken.content.len() / 2);
    add("envelope-cut-off", Some(ATTESTED), attestations(one(broken)));
    let mut giant = attestation.clone();
    giant.content = vec![b' '; GIANT];
    add("giant-attestation", Some(ATTESTED), attestations(one(giant)));
    let Attached::Layers(mut layers) = good.attestations.clone() else { anyhow::bail!("no attestations") };
    layers.push(forged);
    add("attestation-of-a-stranger-beside-ours", None, attestations(Attached::Layers(layers)));

    let changed = good.image.with_annotation("by somebody")?;
    let resigned = Material { image: changed, ..good.clone() };
    add("image-changed-afterwards", Some(SIGNED), resigned);
    Ok(variants)
}

/// The same envelope around a statement that names another builder.
fn with_builder(attestation: &Layer, statement: &Value) -> anyhow::Result<Layer> {
    let mut statement = statement.clone();
    statement["predicate"]["builder"]["id"] = json!("https://builder.example");
    attestation.edited("/payload", json!(BASE64.encode(&serde_json::to_vec(&statement)?)))
}

/// An image that is not there, as its name.
pub(super) fn missing(image: &Image, registry: &str) -> (String, &'static str) {
    let digest = image.digest();
    let (algorithm, hex) = digest.split_once(':').unwrap_or(("sha256", &digest));
    let other: String = hex.chars().rev().collect();
    (format!("{registry}/{}@{algorithm}:{other}", image.repository), ACCESSIBLE)
}
