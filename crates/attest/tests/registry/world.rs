//! A registry with an image, and what signs and verifies it.

use std::path::Path;

use attest::cosign::{Appended, Layer, Store};
use attest::simple_signing::Payload;
use attest::statement::{self, Statement, Subject};
use attest::verify::{self, Checks, Refused, Trust, VerifiedAttestation, VerifiedSignature};
use attest::{KeySet, PrivateKey, PublicKey, dsse, slsa};
use fleet::outbound::{self, Options};
use http::Method;
use prometheus::Registry;
use registry::{Attached, Client, Digest, Keychain, Reference};
use serde_json::json;
use testkit::docker_registry::DockerRegistry;
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;

/// What is in the registry: no image in truth, which nobody here looks at.
pub(crate) const IMAGE: &str = "org/app";

pub(crate) struct World {
    address: String,
    outbound: outbound::Client,
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) nobody: Keychain,
    folder: tempfile::TempDir,
}

impl World {
    /// Of a registry in memory.
    pub(crate) fn played() -> (Self, PlayedRegistry) {
        let authority = Authority::new("attest-test").unwrap();
        let registry = PlayedRegistry::start(&authority).unwrap();
        (Self::at(registry.address(), &authority), registry)
    }

    /// Of Debian's.
    pub(crate) async fn real() -> (Self, DockerRegistry) {
        let authority = Authority::new("attest-test").unwrap();
        let registry = DockerRegistry::start_open(&authority).await.unwrap();
        (Self::at(registry.address(), &authority), registry)
    }

    fn at(address: &str, authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.crt");
        std::fs::write(&bundle, authority.cert_pem()).unwrap();
        let host = address.split(':').next().unwrap();
        let options = Options { allow: host.parse().unwrap(), ca_bundle: Some(bundle), ..Options::default() };
        let clock = fleet::Clock::system();
        let outbound = outbound::Client::new("test", options, clock, &Registry::new()).unwrap();
        let client = Client::new(outbound.clone());
        Self {
            address: address.to_owned(),
            outbound,
            store: Store::new(client.clone()),
            client,
            nobody: Keychain::default(),
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }

    /// Pushes an image whose configuration holds `content`, so that it is one of its own.
    pub(crate) async fn push_image(&self, repository: &str, content: &str) -> Reference {
        let to = self.reference(&format!("{repository}:v1"));
        let config = json!({
            "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
            "config": {"Labels": {"content": content}},
        });
        let config = registry::Blob::bytes(config.to_string());
        self.client.push_blob(&to, &config, &self.nobody).await.unwrap();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type, "layers": [],
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config.digest().as_str(), "size": config.size(),
            },
        });
        let digest =
            self.client.push_manifest(&to, media_type, manifest.to_string(), &self.nobody).await.unwrap();
        to.at(digest)
    }

    /// As a registry does that tidies up.
    pub(crate) async fn delete_blob(&self, repository: &Reference, digest: &Digest) {
        let url = format!("https://{}/v2/{}/blobs/{digest}", self.address, repository.repository());
        let request = outbound::Request::new(Method::DELETE, url.parse().unwrap());
        self.outbound.fetch(request).await.unwrap().success().unwrap();
    }

    pub(crate) async fn sign(&self, image: &Reference, key: &PrivateKey) -> Appended {
        let layer = signature(image, key);
        let appended = self.store.append_signatures(image, None, &[layer], key.public(), &self.nobody).await;
        appended.unwrap()[0]
    }

    pub(crate) async fn attest(&self, image: &Reference, key: &PrivateKey, builder: &str) -> Appended {
        let layer = attestation(image, key, builder).await;
        let appended =
            self.store.append_attestations(image, None, &[layer], key.public(), &self.nobody).await;
        appended.unwrap()[0]
    }

    pub(crate) async fn layers(&self, image: &Reference, kind: Attached) -> Vec<Layer> {
        self.store.layers(image, kind, &self.nobody).await.unwrap()
    }

    pub(crate) async fn signatures(
        &self,
        image: &Reference,
        key: &PublicKey,
    ) -> Result<Vec<VerifiedSignature>, Refused> {
        let layers = self.layers(image, Attached::Signature).await;
        verify::image_signatures(&layers, image.digest().unwrap(), &trust(key), &checks()).await
    }

    pub(crate) async fn attestations(
        &self,
        image: &Reference,
        key: &PublicKey,
    ) -> Result<Vec<VerifiedAttestation>, Refused> {
        let layers = self.layers(image, Attached::Attestation).await;
        verify::attestations(&layers, image.digest().unwrap(), &trust(key), &checks()).await
    }
}

pub(crate) fn trust(key: &PublicKey) -> Trust {
    Trust::Keys(KeySet::from(key.clone()))
}

pub(crate) fn checks() -> Checks<'static> {
    Checks { log: None, now: fleet::Clock::system().now() }
}

pub(crate) fn signature(image: &Reference, key: &PrivateKey) -> Layer {
    let payload = Payload::for_image(&image.name(), image.digest().unwrap());
    let signature = key.sign(&payload).unwrap();
    Layer::signature(payload, &signature, None)
}

pub(crate) async fn attestation(image: &Reference, key: &PrivateKey, builder: &str) -> Layer {
    let statement = serde_json::to_vec(&provenance(image, builder)).unwrap();
    let envelope = dsse::sign(key, statement::PAYLOAD_TYPE, statement).await.unwrap();
    Layer::attestation(&envelope, slsa::v02::PREDICATE_TYPE, None)
}

pub(crate) fn provenance(image: &Reference, builder: &str) -> Statement {
    Statement {
        statement_type: statement::V0_1.to_owned(),
        predicate_type: slsa::v02::PREDICATE_TYPE.to_owned(),
        subject: vec![subject(image.name(), image.digest().unwrap())],
        predicate: predicate(builder),
    }
}

pub(crate) fn predicate(builder: &str) -> serde_json::Value {
    let predicate = slsa::v02::Provenance {
        builder: slsa::v02::Builder { id: builder.to_owned() },
        build_type: "https://build.example/type".to_owned(),
        invocation: slsa::v02::Invocation::default(),
        build_config: None,
        metadata: slsa::v02::Metadata {
            build_started_on: Some("2026-01-02T03:04:05Z".parse().unwrap()),
            build_finished_on: Some("2026-01-02T03:09:05Z".parse().unwrap()),
            ..slsa::v02::Metadata::default()
        },
        materials: Vec::new(),
    };
    serde_json::to_value(predicate).unwrap()
}

pub(crate) fn subject(name: String, digest: &Digest) -> Subject {
    Subject { name, digest: [("sha256".to_owned(), digest.hex().to_owned())].into() }
}
