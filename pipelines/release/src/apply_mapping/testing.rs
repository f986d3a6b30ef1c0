//! Registries, a workspace, and the steps that work with both, for tests.

use std::path::PathBuf;

use attest::cosign::{Layer, Store};
use attest::dsse;
use attest::simple_signing::Payload;
use attest::verify::{self, Checks, Trust};
use attest::{KeySet, PrivateKey};
use clap::Parser as _;
use registry::{Attached, Digest, Keychain, Reference};
use serde_json::{Value, json};
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;

use crate::Cli;
use crate::context::Context;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) struct World {
    authority: Authority,
    /// Where tenants have their images.
    pub(crate) registry: PlayedRegistry,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("release-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).unwrap();
        for name in ["results", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let registry = PlayedRegistry::start(&authority).unwrap();
        Self { authority, registry, folder }
    }

    /// One more, which is trusted as well.
    pub(crate) fn other_registry(&self) -> PlayedRegistry {
        PlayedRegistry::start(&self.authority).unwrap()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the workspace.
    pub(crate) fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.path("work").join(name), value.to_string()).unwrap();
    }

    /// A file of the workspace.
    pub(crate) fn read(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("work").join(name)).unwrap()).unwrap()
    }

    /// A result of the task.
    pub(crate) fn result(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("results").join(name)).unwrap()
    }

    fn flags(&self, flags: &[&str]) -> Vec<String> {
        let at = |name: &str| self.path(name).display().to_string();
        let mut all: Vec<String> = vec!["release-tasks".to_owned()];
        all.push("--outbound-allow=127.0.0.1,localhost".to_owned());
        all.push(format!("--ca-bundle={}", at("ca.crt")));
        all.extend(flags.iter().map(|flag| {
            flag.replace("=@", &format!("={}/", self.folder.path().display()))
                .replace('^', self.registry.address())
        }));
        all
    }

    /// Runs a step. In its flags `=@` begins a path of this world, `^` is the registry.
    pub(crate) async fn run(&self, flags: &[&str]) -> anyhow::Result<()> {
        let cli = Cli::try_parse_from(self.flags(flags)).unwrap();
        cli.step.run(&Context::new(cli.global).unwrap()).await
    }

    /// As [`run`](Self::run), of what has to fail: why it did.
    pub(crate) async fn refused(&self, flags: &[&str]) -> String {
        format!("{:#}", self.run(flags).await.unwrap_err())
    }

    pub(crate) fn context(&self) -> Context {
        let flags = ["apply-mapping", "--workspace=@work", "--snapshot=x", "--result-mapped=@results/x"];
        Context::new(Cli::try_parse_from(self.flags(&flags)).unwrap().global).unwrap()
    }

    pub(crate) fn reference(&self, repository: &str) -> Reference {
        format!("{}/{repository}", self.registry.address()).parse().unwrap()
    }
}

/// An image of one layer in a repository, and what `config.Labels` of it says.
pub(crate) fn image(
    registry: &PlayedRegistry,
    repository: &str,
    tag: &str,
    content: &str,
    labels: &Value,
) -> String {
    let config = json!({
        "os": "linux", "architecture": content.split(' ').next(), "created": "2024-03-01T02:03:04Z", "config": {"Labels": labels},
    });
    let (config, layer) = (config.to_string(), format!("layer of {content}"));
    let blob = |content: &str| {
        let digest = registry.push_blob(repository, content.as_bytes());
        json!({"mediaType": "application/octet-stream", "digest": digest, "size": content.len()})
    };
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": blob(&config), "layers": [blob(&layer)]});
    registry.push_manifest(repository, tag, MANIFEST, manifest.to_string().as_bytes())
}

/// An index of two images.
pub(crate) fn index(registry: &PlayedRegistry, repository: &str, tag: &str) -> (String, [String; 2]) {
    let children = ["amd64", "arm64"].map(|arch| image(registry, repository, "", arch, &json!({})));
    let manifests: Vec<_> = children
        .iter()
        .zip(["amd64", "arm64"])
        .map(|(digest, arch)| {
            let size = registry.manifest(repository, digest).unwrap().len();
            json!({"mediaType": MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": arch}})
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string();
    (registry.push_manifest(repository, tag, INDEX, index.as_bytes()), children)
}

/// A manifest beside the image, with one layer, as SBOMs are attached. Its tag.
pub(crate) fn attach(
    registry: &PlayedRegistry,
    repository: &str,
    digest: &str,
    suffix: &str,
    content: &str,
) -> String {
    let tag = format!("{}.{suffix}", digest.replace(':', "-"));
    image(registry, repository, &tag, content, &json!({}));
    tag
}

/// A manifest whose subject is another one. Its digest.
pub(crate) fn refer(registry: &PlayedRegistry, repository: &str, subject: &str, kind: &str) -> String {
    let config = registry.push_blob(repository, b"{}");
    let layer = registry.push_blob(repository, kind.as_bytes());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": kind, "digest": layer, "size": kind.len()}],
        "subject": {"mediaType": MANIFEST, "digest": subject, "size": 1},
    });
    registry.push_manifest(repository, "", MANIFEST, manifest.to_string().as_bytes())
}

/// Signs and attests an image where it is, as the platform does after a build.
pub(crate) async fn sign_and_attest(context: &Context, image: &Reference, key: &PrivateKey) {
    let (store, nobody) = (Store::new(context.registry.clone()), Keychain::default());
    let digest: &Digest = image.digest().unwrap();
    let payload = Payload::for_image(&image.name(), digest);
    let signature = key.sign(&payload).unwrap();
    let layer = Layer::signature(payload, &signature, None);
    store.append_signatures(image, None, &[layer], key.public(), &nobody).await.unwrap();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{"name": image.name(), "digest": {"sha256": digest.hex()}}], "predicate": {},
    });
    let statement = statement.to_string().into_bytes();
    let envelope = dsse::sign(key, attest::statement::PAYLOAD_TYPE, statement).await.unwrap();
    let layer = Layer::attestation(&envelope, "https://slsa.dev/provenance/v0.2", None);
    store.append_attestations(image, None, &[layer], key.public(), &nobody).await.unwrap();
}

/// Whether somebody who trusts one key finds a signature and an attestation of an image; what is wrong if not.
pub(crate) async fn verify(
    context: &Context,
    image: &Reference,
    key: &PrivateKey,
) -> Result<(usize, usize), String> {
    let trust = Trust::Keys(KeySet::from(key.public().clone()));
    let checks = Checks { log: None, now: context.clock.now() };
    let store = Store::new(context.registry.clone());
    let digest = image.digest().unwrap();
    let layers =
        async |kind| store.layers(image, kind, &Keychain::default()).await.map_err(|error| error.to_string());
    let signed = verify::image_signatures(&layers(Attached::Signature).await?, digest, &trust, &checks).await;
    let signed = signed.map_err(|error| error.to_string())?;
    let attested = verify::attestations(&layers(Attached::Attestation).await?, digest, &trust, &checks).await;
    let attested = attested.map_err(|error| error.to_string())?;
    Ok((signed.len(), attested.len()))
}
