//! A registry with images, whose signatures and attestations are put there piece by piece, as anybody could who may push.

use std::path::PathBuf;
use std::sync::Arc;

use attest::{PrivateKey, dsse, simple_signing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use enterprise_contract::judge::{Environment, Error, Request, validate_images};
use enterprise_contract::policy::{Cluster, Expected, Sigstore};
use enterprise_contract::report::{ComponentReport, Finding, Report};
use enterprise_contract::snapshot::Asked;
use enterprise_contract::sources::{Local, Sources};
use fleet::Clock;
use fleet::outbound::{self, Options};
use registry::{Digest, Keychain, Reference};
use serde_json::{Value, json};
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(crate) const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
pub(crate) const STATEMENT: &str = "application/vnd.in-toto+json";
const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// A rule that every image meets.
pub(crate) const ALLOW: &str = r#"
package policy.release.allow
import rego.v1

# METADATA
# title: Allowed
# description: Nothing is refused.
# custom:
#   short_name: all
deny contains {"msg": "never", "code": "allow.all"} if {
	not input.image.ref
}
"#;

pub(crate) struct World {
    pub(crate) registry: PlayedRegistry,
    pub(crate) key: PrivateKey,
    folder: tempfile::TempDir,
    bundle: PathBuf,
}

/// A layer that is attached to an image.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(crate) media_type: &'static str,
    pub(crate) content: Vec<u8>,
    pub(crate) annotations: Value,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("ec-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.crt");
        std::fs::write(&bundle, authority.cert_pem()).unwrap();
        let registry = PlayedRegistry::start(&authority).unwrap();
        Self { registry, key: PrivateKey::generate().unwrap(), folder, bundle }
    }

    pub(crate) fn environment(&self) -> Environment {
        self.environment_with(Keychain::default(), "127.0.0.1")
    }

    pub(crate) fn environment_with(&self, keychain: Keychain, allow: &str) -> Environment {
        let options = Options {
            allow: allow.parse().unwrap(),
            ca_bundle: Some(self.bundle.clone()),
            calls_per_host: Some(16),
            ..Options::default()
        };
        let outbound =
            outbound::Client::new("ec", options, Clock::system(), &prometheus::Registry::new()).unwrap();
        let registry = registry::Client::new(outbound.clone());
        let keychain = Arc::new(keychain);
        let sources = Sources::new(outbound.clone(), registry.clone(), Arc::clone(&keychain), Local::Allowed);
        Environment {
            sigstore: Sigstore { outbound, tuf_root: None },
            registry,
            keychain,
            sources,
            cluster: Cluster::new(Some(self.folder.path().join("no-kubeconfig"))),
            clock: Clock::system(),
        }
    }

    /// A login for everything in the registry.
    pub(crate) fn login(&self, user: &str, password: &str) -> Keychain {
        let mut keychain = Keychain::default();
        let auths = json!({"auths": {self.registry.address(): {"username": user, "password": password}}});
        keychain.add_docker_config_json(auths.to_string().as_bytes()).unwrap();
        keychain
    }

    /// Writes files to a folder, and returns its URL.
    pub(crate) fn source(&self, name: &str, files: &[(&str, &str)]) -> String {
        let folder = self.folder.path().join(name);
        for (path, content) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        format!("file::{}", folder.display())
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// An image with this configuration and these layers, by its digest.
    pub(crate) fn image(&self, repository: &str, config: &Value, layers: &[Vec<u8>]) -> Reference {
        self.image_with(repository, config, layers, &json!({}))
    }

    pub(crate) fn image_with(
        &self,
        repository: &str,
        config: &Value,
        layers: &[Vec<u8>],
        annotations: &Value,
    ) -> Reference {
        let config = json!({"architecture": "amd64", "os": "linux", "config": config}).to_string();
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let digest = self.registry.push_blob(repository, layer);
                json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": layer.len()})
            })
            .collect();
        let digest = self.registry.push_blob(repository, config.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers, "annotations": annotations,
            "config": {"mediaType": CONFIG, "digest": digest, "size": config.len()},
        });
        let digest = self.registry.push_manifest(repository, "", MANIFEST, manifest.to_string().as_bytes());
        self.reference(repository, &digest)
    }

    pub(crate) fn reference(&self, repository: &str, digest: &str) -> Reference {
        format!("{}/{repository}@{digest}", self.registry.address()).parse().unwrap()
    }

    /// An image that is signed and attested by the world's key, with a repository of its own.
    pub(crate) fn good(&self, repository: &str) -> Reference {
        let image = self.image(repository, &json!({"Labels": {"name": repository}}), &[]);
        self.sign(&image);
        self.attest(&image, &[provenance(&image)]);
        image
    }

    pub(crate) fn sign(&self, image: &Reference) {
        self.attach(image, "sig", &[self.signature(image, digest(image))]);
    }

    pub(crate) fn attest(&self, image: &Reference, statements: &[Value]) {
        let layers: Vec<_> = statements.iter().map(|statement| self.attestation(statement)).collect();
        self.attach(image, "att", &layers);
    }

    /// A signature by the world's key, which says that it is about the image with this digest.
    pub(crate) fn signature(&self, image: &Reference, about: &Digest) -> Attached {
        signed(&self.key, simple_signing::Payload::for_image(&image.name(), about))
    }

    pub(crate) fn attestation(&self, statement: &Value) -> Attached {
        enveloped(&self.key, STATEMENT, statement.to_string().as_bytes())
    }

    /// Puts layers where signatures (`sig`) or attestations (`att`) of an image are, instead of those that are there.
    pub(crate) fn attach(&self, image: &Reference, kind: &str, layers: &[Attached]) {
        let repository = image.repository();
        let config = self.registry.push_blob(repository, b"{}");
        let layers: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let digest = self.registry.push_blob(repository, &layer.content);
                json!({
                    "mediaType": layer.media_type, "digest": digest, "size": layer.content.len(),
                    "annotations": layer.annotations,
                })
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": {"mediaType": CONFIG, "digest": config, "size": 2},
        });
        let tag = format!("sha256-{}.{kind}", digest(image).hex());
        self.registry.push_manifest(repository, &tag, MANIFEST, manifest.to_string().as_bytes());
    }

    /// Copies an image with all that is attached to another repository.
    pub(crate) fn copy(&self, image: &Reference, repository: &str) -> Reference {
        let hex = digest(image).hex();
        for name in [digest(image).to_string(), format!("sha256-{hex}.sig"), format!("sha256-{hex}.att")] {
            let Some(manifest) = self.registry.manifest(image.repository(), &name) else { continue };
            let parsed: Value = serde_json::from_slice(&manifest).unwrap();
            let layers = parsed["layers"].as_array().unwrap().iter();
            for descriptor in layers.chain([&parsed["config"]]) {
                let blob = descriptor["digest"].as_str().unwrap();
                let content = self.registry.blob(image.repository(), blob).unwrap();
                self.registry.push_blob(repository, &content);
            }
            let tag = if name.starts_with("sha256:") { "" } else { &name };
            self.registry.push_manifest(repository, tag, MANIFEST, &manifest);
        }
        self.reference(repository, digest(image).as_str())
    }

    /// What is asked for of some images and a policy, checked with the world's key.
    pub(crate) fn request(&self, images: &[&Reference], policy: &Value) -> Request {
        let components: Vec<Value> = images
            .iter()
            .enumerate()
            .map(|(number, image)| json!({"name": format!("c{number}"), "containerImage": image.to_string()}))
            .collect();
        Request {
            images: Asked { images: Some(json!({"components": components}).to_string()), ..Asked::default() },
            policy: policy.to_string(),
            signers: Expected { public_key: self.key.public().to_pem(), ..Expected::default() },
            info: true,
            keep_inputs: true,
            ..Request::default()
        }
    }

    /// A policy of one source with these rules.
    pub(crate) fn policy(&self, rules: &str) -> Value {
        let name = Digest::of(rules.as_bytes());
        json!({"sources": [{"policy": [self.source(name.hex(), &[("rules.rego", rules)])]}]})
    }

    /// The report on one image, by a rule that it meets.
    pub(crate) async fn judge(&self, image: &Reference) -> ComponentReport {
        let report = self.validate(&self.request(&[image], &self.policy(ALLOW))).await.unwrap();
        report.components.into_iter().next().unwrap()
    }

    pub(crate) async fn validate(&self, request: &Request) -> Result<Report, Error> {
        validate_images(request, &self.environment()).await
    }
}

/// A layer with a payload, and its signature as the annotation.
pub(crate) fn signed(key: &PrivateKey, payload: Vec<u8>) -> Attached {
    let signature = BASE64.encode(key.sign(&payload).unwrap());
    Attached {
        media_type: SIGNATURE,
        annotations: json!({SIGNATURE_ANNOTATION: signature}),
        content: payload,
    }
}

/// A layer with an envelope.
pub(crate) fn enveloped(key: &PrivateKey, payload_type: &str, payload: &[u8]) -> Attached {
    let signature = key.sign(&dsse::pae(payload_type, payload)).unwrap();
    envelope(payload_type, payload, &signature)
}

pub(crate) fn envelope(payload_type: &str, payload: &[u8], signature: &[u8]) -> Attached {
    let envelope = json!({
        "payloadType": payload_type, "payload": BASE64.encode(payload),
        "signatures": [{"keyid": "", "sig": BASE64.encode(signature)}],
    });
    let annotations = json!({SIGNATURE_ANNOTATION: "", "predicateType": "https://slsa.dev/provenance/v0.2"});
    Attached { media_type: ENVELOPE, annotations, content: envelope.to_string().into_bytes() }
}

pub(crate) fn digest(image: &Reference) -> &Digest {
    image.digest().unwrap()
}

/// A statement that an image was built by a PipelineRun.
pub(crate) fn provenance(image: &Reference) -> Value {
    provenance_at(image, "2024-03-01T12:00:00Z")
}

/// The same, at some time.
pub(crate) fn provenance_at(image: &Reference, finished: &str) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{"name": image.name(), "digest": {"sha256": digest(image).hex()}}],
        "predicate": {
            "builder": {"id": "https://tekton.dev/chains/v2"},
            "buildType": "tekton.dev/v1beta1/PipelineRun",
            "metadata": {"buildStartedOn": "2024-03-01T11:50:00Z", "buildFinishedOn": finished},
        },
    })
}

pub(crate) fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code().unwrap_or("")).collect()
}
