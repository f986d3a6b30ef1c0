//! cosign verifies what we sign without a key, and we verify what it signs so, with the same sigstore.

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use attest::certificate::Identity;
use attest::cosign::{Layer, Store};
use attest::fulcio::{self, Keyless};
use attest::transparency::LogPolicy;
use attest::verify::{self, Checks, Content, Logged, Refused, Trust, VerifiedSignature};
use attest::{Signer as _, dsse, rekor, simple_signing, statement};
use fleet::Secret;
use registry::{Attached, Blob, Client, Keychain, Reference};
use serde_json::json;
use testkit::docker_registry::DockerRegistry;
use testkit::pki::Authority;
use tokio::process::Command;

use crate::service::{Service, token};
use crate::sigstore::{ISSUER, SUBJECT, moment};

struct Witness {
    service: Service,
    client: Client,
    image: Reference,
    program: PathBuf,
    _registry: DockerRegistry,
}

impl Witness {
    async fn new() -> Self {
        let authority = Authority::new("keyless-test").unwrap();
        let service = Service::with(&authority).await;
        let registry = DockerRegistry::start_open(&authority).await.unwrap();
        let client = Client::new(service.outbound.clone());
        let to: Reference = format!("{}/org/app:v1", registry.address()).parse().unwrap();
        let image = push_image(&client, &to).await;
        let witness =
            Self { service, client, image, program: testkit::tools::cosign().unwrap(), _registry: registry };
        let sigstore = &witness.service.sigstore;
        witness.write("roots.pem", &sigstore.authorities());
        witness.write("ctfe.pub", &sigstore.certificate_log().to_pem());
        witness.write("rekor.pub", &sigstore.signature_log().to_pem());
        witness
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.service.folder().join(name), content).unwrap();
    }

    async fn cosign(&self, command: &str, arguments: &[&str]) -> Output {
        let folder = self.service.folder();
        let mut cosign = Command::new(&self.program);
        cosign.arg(command).args(arguments).arg(self.image.to_string()).current_dir(folder).env_clear();
        cosign.env("HOME", folder).env("SSL_CERT_FILE", folder.join("ca.crt"));
        cosign.env("SIGSTORE_ROOT_FILE", "roots.pem").env("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "ctfe.pub");
        cosign.env("SIGSTORE_REKOR_PUBLIC_KEY", "rekor.pub").kill_on_drop(true);
        cosign.output().await.unwrap()
    }

    async fn verifies(&self, command: &str, subject: &str) -> Result<(), String> {
        let identity = ["--certificate-identity", subject, "--certificate-oidc-issuer", ISSUER];
        let kind: &[&str] = if command == "verify" { &[] } else { &["--type", "slsaprovenance"] };
        let output = self.cosign(command, &[&identity[..], kind].concat()).await;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    async fn ours(&self, subject: &str) -> Result<Vec<VerifiedSignature>, Refused> {
        let roots = Arc::new(self.service.sigstore.roots());
        let log = LogPolicy::new(&roots, None);
        let trust = Trust::Identity { identity: Identity::new(subject, "", ISSUER, "").unwrap(), roots };
        let store = Store::new(self.client.clone());
        let layers = store.layers(&self.image, Attached::Signature, &Keychain::default()).await.unwrap();
        let checks = Checks { log: Some(&log), now: moment() };
        verify::image_signatures(&layers, self.image.digest().unwrap(), &trust, &checks).await
    }
}

async fn push_image(client: &Client, to: &Reference) -> Reference {
    let nobody = Keychain::default();
    let config = Blob::bytes(
        json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
            .to_string(),
    );
    client.push_blob(to, &config, &nobody).await.unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest().as_str(), "size": config.size()},
    });
    to.at(client.push_manifest(to, media_type, manifest.to_string(), &nobody).await.unwrap())
}

fn logged<'a>(signer: &'a Keyless, bytes: &'a [u8], content: Content, signature: &'a [u8]) -> Logged<'a> {
    let certificate = signer.certificate().map(|certificate| certificate.leaf.as_str());
    Logged { bytes, content, signature, key: signer.public_key(), certificate, bundle: None }
}

#[tokio::test]
async fn cosign_verifies_what_we_sign_without_a_key() {
    let witness = Witness::new().await;
    let service = &witness.service;
    let fulcio = fulcio::Client::new(service.outbound.clone(), service.url.clone());
    let signer = fulcio.signer(&Secret::new(token(&json!({"sub": "build"})))).await.unwrap();
    let log = rekor::Client::new(service.outbound.clone(), service.url.clone());
    let (store, nobody) = (Store::new(witness.client.clone()), Keychain::default());
    let certificate = signer.certificate().unwrap();
    let digest = witness.image.digest().unwrap();
    let payload = simple_signing::Payload::for_image(&witness.image.name(), digest);
    let signature = signer.sign(&payload).await.unwrap();
    let uploaded = log.upload(&logged(&signer, &payload, Content::Payload, &signature)).await.unwrap();
    let layer = Layer::signature(payload, &signature, Some(certificate)).with_bundle(uploaded.bundle);
    store.append_signatures(&witness.image, None, &[layer], signer.public_key(), &nobody).await.unwrap();

    let statement = json!({
        "_type": statement::V0_1, "predicateType": attest::slsa::v02::PREDICATE_TYPE,
        "subject": [{"name": witness.image.name(), "digest": {"sha256": digest.hex()}}],
        "predicate": {"builder": {"id": "https://build.example"}, "buildType": "test"},
    });
    let statement = statement.to_string().into_bytes();
    let envelope = dsse::sign(&signer, statement::PAYLOAD_TYPE, statement).await.unwrap();
    let uploaded = log
        .upload(&logged(&signer, &envelope.to_bytes(), Content::Envelope, &envelope.signatures[0].sig))
        .await
        .unwrap();
    let layer = Layer::attestation(&envelope, attest::slsa::v02::PREDICATE_TYPE, Some(certificate))
        .with_bundle(uploaded.bundle);
    store.append_attestations(&witness.image, None, &[layer], signer.public_key(), &nobody).await.unwrap();

    for command in ["verify", "verify-attestation"] {
        assert_eq!(witness.verifies(command, SUBJECT).await, Ok(()));
        let refused = witness.verifies(command, "https://git.example/other").await.unwrap_err();
        assert!(
            refused.contains("https://git.example/other")
                || refused.contains("none of the expected identities"),
            "{refused}"
        );
    }
    let signatures = witness.ours(SUBJECT).await.unwrap();
    assert_eq!(signatures[0].metadata["Fulcio Issuer"], ISSUER);
    assert!(witness.ours("https://git.example/other").await.is_err());
}

#[tokio::test]
async fn we_verify_what_cosign_signs_without_a_key() {
    let witness = Witness::new().await;
    let url = witness.service.url.as_str().trim_end_matches('/');
    let token = token(&json!({
        "sub": "build", "iss": ISSUER, "aud": "sigstore", "iat": 1, "exp": 4_000_000_000_u64,
    }));
    let arguments = ["--yes", "--fulcio-url", url, "--rekor-url", url, "--identity-token", &token];
    let output = witness.cosign("sign", &arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let signatures = witness.ours(SUBJECT).await.unwrap();
    assert_eq!(signatures[0].metadata["Subject Alternative Name"], SUBJECT);
    assert!(witness.ours("https://git.example/other").await.is_err());
}
