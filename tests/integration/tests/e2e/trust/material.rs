//! An image with what is attached to it, taken apart so that it can be put together wrongly.
use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_lc_rs::{
    digest::{SHA256, digest as hash},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use super::platform::Platform;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
const PAYLOAD: &str = "application/vnd.in-toto+json";

pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(hash(&SHA256, content).as_ref()))
}

/// A signature or an attestation, as the registry keeps it.
#[derive(Clone)]
pub(super) struct Layer {
    pub(super) media_type: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) content: Vec<u8>,
}

impl Layer {
    /// The statement of an attestation.
    pub(super) fn statement(&self) -> anyhow::Result<Value> {
        let envelope: Value = serde_json::from_slice(&self.content)?;
        let payload =
            BASE64.decode(envelope["payload"].as_str().context("an envelope has a payload")?.as_bytes())?;
        Ok(serde_json::from_slice(&payload)?)
    }

    /// With another field of the envelope, or of the signed payload of a signature.
    pub(super) fn edited(&self, pointer: &str, value: Value) -> anyhow::Result<Self> {
        let mut content: Value = serde_json::from_slice(&self.content)?;
        *content.pointer_mut(pointer).with_context(|| format!("the content has no {pointer}"))? = value;
        Ok(Self { content: serde_json::to_vec(&content)?, ..self.clone() })
    }
}

/// What lies at a tag.
#[derive(Clone)]
pub(super) enum Attached {
    Layers(Vec<Layer>),
    /// Of this media type.
    Manifest(&'static str, Value),
    Nothing,
}

/// An image, and where its blobs are.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) manifest: Vec<u8>,
    /// Of the platform registry; has all blobs of the manifest.
    pub(super) repository: String,
}

impl Image {
    pub(crate) fn digest(&self) -> String {
        digest(&self.manifest)
    }

    fn blobs(&self) -> anyhow::Result<Vec<String>> {
        let manifest: Value = serde_json::from_slice(&self.manifest)?;
        let layers = manifest["layers"].as_array().context("an image has layers")?.iter();
        let digests = layers.chain([&manifest["config"]]).filter_map(|blob| blob["digest"].as_str());
        Ok(digests.map(str::to_owned).collect())
    }

    /// Another image, which does the same.
    pub(super) fn with_annotation(&self, value: &str) -> anyhow::Result<Self> {
        let mut manifest: Value = serde_json::from_slice(&self.manifest)?;
        manifest["annotations"] = json!({"changed": value});
        Ok(Self { manifest: serde_json::to_vec(&manifest)?, repository: self.repository.clone() })
    }
}

/// An image with its signatures and attestations.
#[derive(Clone)]
pub(super) struct Material {
    pub(super) image: Image,
    pub(super) signatures: Attached,
    pub(super) attestations: Attached,
}

impl Material {
    /// Puts all of it into a repository; the image by its digest.
    pub(super) async fn put(&self, platform: &Platform, repository: &str) -> anyhow::Result<String> {
        if repository != self.image.repository {
            for blob in self.image.blobs()? {
                platform.mount_blob(repository, &blob, &self.image.repository).await?;
            }
        }
        let digest = self.image.digest();
        platform.put_manifest(repository, &digest, MANIFEST, &self.image.manifest).await?;
        for (attached, suffix) in [(&self.signatures, "sig"), (&self.attestations, "att")] {
            let tag = format!("{}.{suffix}", digest.replace(':', "-"));
            put_attached(attached, platform, repository, &tag).await?;
        }
        Ok(format!("{}/{repository}@{digest}", platform.name))
    }

    pub(super) fn signature(&self) -> anyhow::Result<&Layer> {
        self.signatures.first().context("the image has a signature")
    }

    /// That of the PipelineRun.
    pub(super) fn attestation(&self) -> anyhow::Result<&Layer> {
        let Attached::Layers(layers) = &self.attestations else {
            anyhow::bail!("the image has attestations")
        };
        let is_of_pipeline = |layer: &&Layer| {
            layer.statement().is_ok_and(|statement| {
                statement["predicate"]["buildType"]
                    .as_str()
                    .is_some_and(|kind| kind.ends_with("/PipelineRun"))
            })
        };
        layers.iter().find(is_of_pipeline).context("the image has an attestation of a PipelineRun")
    }
}

impl Attached {
    fn first(&self) -> Option<&Layer> {
        match self {
            Self::Layers(layers) => layers.first(),
            Self::Manifest(..) | Self::Nothing => None,
        }
    }
}

async fn put_attached(
    attached: &Attached,
    platform: &Platform,
    repository: &str,
    tag: &str,
) -> anyhow::Result<()> {
    let (media_type, manifest) = match attached {
        Attached::Nothing => return Ok(()),
        Attached::Manifest(media_type, manifest) => (*media_type, manifest.clone()),
        Attached::Layers(layers) => {
            let config = b"{}";
            platform.put_blob(repository, config).await?;
            let mut described = Vec::new();
            for layer in layers {
                platform.put_blob(repository, &layer.content).await?;
                described.push(json!({
                    "mediaType": layer.media_type, "digest": digest(&layer.content), "size": layer.content.len(),
                    "annotations": layer.annotations,
                }));
            }
            let config = json!({
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": config.len(),
            });
            let manifest =
                json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described});
            (MANIFEST, manifest)
        }
    };
    platform.put_manifest(repository, tag, media_type, &serde_json::to_vec(&manifest)?).await
}

/// A key that is not the cluster's.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    pub(super) public: String,
}

impl Key {
    pub(super) fn new() -> anyhow::Result<Self> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let public = pair.public_key_pem();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pair.serialize_der());
        Ok(Self { pair: pair.map_err(|error| anyhow::anyhow!("{error}"))?, public })
    }

    fn sign(&self, message: &[u8]) -> anyhow::Result<String> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| anyhow::anyhow!("sign"))?;
        Ok(BASE64.encode(signature.as_ref()))
    }

    /// The signature of this payload.
    pub(super) fn signature(&self, payload: &[u8]) -> anyhow::Result<Layer> {
        Ok(Layer {
            media_type: "application/vnd.dev.cosign.simplesigning.v1+json".to_owned(),
            annotations: [(SIGNATURE.to_owned(), self.sign(payload)?)].into(),
            content: payload.to_vec(),
        })
    }

    /// An attestation of this statement.
    pub(super) fn attestation(&self, statement: &Value) -> anyhow::Result<Layer> {
        let payload = serde_json::to_vec(statement)?;
        let mut message = format!("DSSEv1 {} {PAYLOAD} {} ", PAYLOAD.len(), payload.len()).into_bytes();
        message.extend(&payload);
        let envelope = json!({
            "payloadType": PAYLOAD,
            "payload": BASE64.encode(&payload),
            "signatures": [{"keyid": "", "sig": self.sign(&message)?}],
        });
        Ok(Layer {
            media_type: ENVELOPE.to_owned(),
            annotations: [(SIGNATURE.to_owned(), String::new())].into(),
            content: serde_json::to_vec(&envelope)?,
        })
    }
}

/// The layers at a tag of a repository.
pub(super) fn layers(manifest: &Value, blobs: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<Attached> {
    let layers = manifest["layers"].as_array().context("what is attached has layers")?.iter().map(|layer| {
        let digest = layer["digest"].as_str().context("a layer has a digest")?;
        Ok(Layer {
            media_type: layer["mediaType"].as_str().unwrap_or_default().to_owned(),
            annotations: serde_json::from_value(layer["annotations"].clone()).unwrap_or_default(),
            content: blobs.get(digest).context("the layer was read")?.clone(),
        })
    });
    Ok(Attached::Layers(layers.collect::<anyhow::Result<_>>()?))
}
