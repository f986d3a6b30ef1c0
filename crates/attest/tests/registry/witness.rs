//! sigstore's cosign verifies what we write, and we verify what it writes, in a real registry.

use std::path::PathBuf;
use std::process::Output;

use attest::PrivateKey;
use attest::verify::Cause;
use registry::{Attached, Reference};
use testkit::docker_registry::DockerRegistry;
use tokio::process::Command;

use crate::world::{self, IMAGE, World};

const PASSWORD: &str = "a password";

/// cosign, with an image.
struct Witness {
    world: World,
    image: Reference,
    program: PathBuf,
    _registry: DockerRegistry,
}

impl Witness {
    async fn new() -> Self {
        let (world, registry) = World::real().await;
        let image = world.push_image(IMAGE, "one").await;
        Self { world, image, program: testkit::tools::cosign().unwrap(), _registry: registry }
    }

    async fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let authority = self.world.folder().join("ca.crt");
        let mut cosign = Command::new(&self.program);
        cosign.arg(command).args(arguments).current_dir(self.world.folder());
        // Nothing of whoever runs the test, and nothing of sigstore's own servers.
        cosign.env_clear().env("HOME", self.world.folder()).env("COSIGN_PASSWORD", PASSWORD);
        cosign.env("SSL_CERT_FILE", authority).kill_on_drop(true);
        cosign.output().await.unwrap()
    }

    async fn cosign(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.run(command, arguments).await;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "cosign {command}: {text}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.world.folder().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.world.folder().join(name)).unwrap()
    }

    async fn verifies(&self, key: &str) -> bool {
        self.checks("verify", &["--key", key, "--insecure-ignore-tlog"]).await
    }

    async fn verifies_attestation(&self, key: &str) -> bool {
        let arguments = ["--key", key, "--insecure-ignore-tlog", "--type", "slsaprovenance"];
        self.checks("verify-attestation", &arguments).await
    }

    async fn checks(&self, command: &str, arguments: &[&str]) -> bool {
        let image = self.image.to_string();
        let arguments: Vec<&str> = arguments.iter().copied().chain([image.as_str()]).collect();
        self.run(command, &arguments).await.status.success()
    }
}

#[tokio::test]
async fn cosign_verifies_what_we_write() {
    let witness = Witness::new().await;
    let (ours, other) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    witness.write("ours.pub", &ours.public().to_pem());
    witness.write("other.pub", &other.public().to_pem());
    assert!(!witness.verifies("ours.pub").await);

    witness.world.sign(&witness.image, &ours).await;
    assert!(witness.verifies("ours.pub").await);
    assert!(!witness.verifies("other.pub").await);

    assert!(!witness.verifies_attestation("ours.pub").await);
    witness.world.attest(&witness.image, &ours, "https://build.example/builder").await;
    witness.world.attest(&witness.image, &other, "https://build.example/builder").await;
    assert!(witness.verifies_attestation("ours.pub").await);
    assert!(witness.verifies_attestation("other.pub").await);
    witness.write("third.pub", &PrivateKey::generate().unwrap().public().to_pem());
    assert!(!witness.verifies_attestation("third.pub").await);
}

#[tokio::test]
async fn we_verify_what_cosign_writes() {
    let witness = Witness::new().await;
    witness.cosign("generate-key-pair", &[]).await;
    let key = PrivateKey::from_encrypted(&witness.read("cosign.key"), PASSWORD).unwrap();
    assert_eq!(attest::PublicKey::from_pem(&witness.read("cosign.pub")).unwrap(), *key.public());

    let (world, image) = (&witness.world, &witness.image);
    assert_eq!(world.signatures(image, key.public()).await.unwrap_err().cause(), Cause::Missing);
    assert_eq!(world.attestations(image, key.public()).await.unwrap_err().cause(), Cause::Missing);

    let at = image.to_string();
    let with_key = ["--yes", "--key", "cosign.key", "--tlog-upload=false"];
    witness.cosign("sign", &[&with_key[..], &[&at]].concat()).await;
    let predicate = world::predicate("https://build.example/builder").to_string();
    witness.write("predicate.json", &predicate);
    let predicate = ["--type", "slsaprovenance", "--predicate", "predicate.json"];
    witness.cosign("attest", &[&with_key[..], &predicate[..], &[&at]].concat()).await;

    let signatures = world.signatures(image, key.public()).await.unwrap();
    assert_eq!(signatures[0].keyid, key.public().key_id());
    let attestations = world.attestations(image, key.public()).await.unwrap();
    let statement = &attestations[0].statement;
    assert_eq!(statement["predicate"]["builder"]["id"], "https://build.example/builder");
    assert_eq!(statement["predicateType"], attest::slsa::v02::PREDICATE_TYPE);

    let other = PrivateKey::generate().unwrap();
    assert_eq!(world.signatures(image, other.public()).await.unwrap_err().cause(), Cause::Untrusted);
    assert_eq!(world.attestations(image, other.public()).await.unwrap_err().cause(), Cause::Untrusted);
}

#[tokio::test]
async fn cosign_signs_by_keys_that_we_encrypt() {
    let witness = Witness::new().await;
    let key = PrivateKey::generate().unwrap();
    witness.write("ours.key", &key.to_encrypted(PASSWORD).unwrap());
    let image = witness.image.to_string();
    witness.cosign("sign", &["--yes", "--key", "ours.key", "--tlog-upload=false", &image]).await;
    witness.world.signatures(&witness.image, key.public()).await.unwrap();
}

#[tokio::test]
async fn each_adds_to_what_the_other_wrote() {
    let witness = Witness::new().await;
    witness.cosign("generate-key-pair", &[]).await;
    let theirs = PrivateKey::from_encrypted(&witness.read("cosign.key"), PASSWORD).unwrap();
    let (first, last) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    let (world, image) = (&witness.world, &witness.image);

    world.sign(image, &first).await;
    world.attest(image, &first, "first").await;
    let at = image.to_string();
    let with_key = ["--yes", "--key", "cosign.key", "--tlog-upload=false"];
    witness.cosign("sign", &[&with_key[..], &[&at]].concat()).await;
    witness.write("predicate.json", &world::predicate("second").to_string());
    let predicate = ["--type", "slsaprovenance", "--predicate", "predicate.json"];
    witness.cosign("attest", &[&with_key[..], &predicate[..], &[&at]].concat()).await;
    world.sign(image, &last).await;
    world.attest(image, &last, "last").await;

    for key in [&first, &theirs, &last] {
        world.signatures(image, key.public()).await.unwrap();
        world.attestations(image, key.public()).await.unwrap();
        witness.write("key.pub", &key.public().to_pem());
        assert!(witness.verifies("key.pub").await);
        assert!(witness.verifies_attestation("key.pub").await);
    }
    assert_eq!(world.layers(image, Attached::Signature).await.len(), 3);
    assert_eq!(world.layers(image, Attached::Attestation).await.len(), 3);
}

#[tokio::test]
async fn copies_in_another_repository_stay_valid() {
    let witness = Witness::new().await;
    let key = PrivateKey::generate().unwrap();
    let (world, image) = (&witness.world, &witness.image);
    world.sign(image, &key).await;
    world.attest(image, &key, "builder").await;
    let copy = world.reference("elsewhere/copy:v1").to_string();
    witness.cosign("copy", &[&image.to_string(), &copy]).await;

    let copy = world.reference("elsewhere/copy").at(image.digest().unwrap().clone());
    world.signatures(&copy, key.public()).await.unwrap();
    world.attestations(&copy, key.public()).await.unwrap();
}
