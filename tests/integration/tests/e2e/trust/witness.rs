//! sigstore's cosign, as somebody runs it who does not take our word.
use std::{fs, path::PathBuf};

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::platform::Platform;

const PASSWORD: &str = "only-for-this-test-1";

pub(crate) struct Cosign {
    program: PathBuf,
    /// Its home: keys, logins, the authority that it trusts.
    folder: TempDir,
    /// How the platform registry is called by who cannot look up its name, to read and to push.
    hosts: [String; 2],
}

impl Cosign {
    pub(crate) fn new(platform: &Platform) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), &platform.authority)?;
        let hosts = [platform.address.to_string(), format!("{}:{}", platform.address, platform.push_port)];
        let login = BASE64.encode(format!("{}:{}", platform.username, platform.password).as_bytes());
        fs::create_dir(folder.path().join(".docker"))?;
        let logins = json!({"auths": {&hosts[1]: {"auth": login}}});
        fs::write(folder.path().join(".docker/config.json"), logins.to_string())?;
        Ok(Self { program: testkit::tools::cosign()?, folder, hosts })
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.folder.path().join(name), content)?)
    }

    pub(crate) fn read(&self, name: &str) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.path().join(name))?)
    }

    /// Runs a command on an image of the registry, which is named by its path and digest.
    async fn run(&self, host: &str, arguments: &[&str], image: &str) -> anyhow::Result<()> {
        let mut cosign = Command::new(&self.program);
        cosign.args(arguments).current_dir(self.folder.path()).kill_on_drop(true);
        if !image.is_empty() {
            cosign.arg(format!("{host}/{image}"));
        }
        // Nothing of whoever runs the test, and nothing of sigstore's own servers.
        cosign.env_clear().env("HOME", self.folder.path()).env("COSIGN_PASSWORD", PASSWORD);
        cosign.env("SSL_CERT_FILE", self.folder.path().join("ca.crt"));
        let output = cosign.output().await.context("run cosign")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cosign {}: {said}", arguments.join(" "));
        Ok(())
    }

    /// Whether signature and SLSA provenance of an image are by this key.
    pub(crate) async fn verify(&self, key: &str, image: &str) -> anyhow::Result<()> {
        let with_key = ["--key", key, "--insecure-ignore-tlog"];
        self.run(&self.hosts[0], &[&["verify"], &with_key[..]].concat(), image).await?;
        let attestation = ["verify-attestation", "--type", "slsaprovenance"];
        self.run(&self.hosts[0], &[&attestation[..], &with_key[..]].concat(), image).await
    }

    /// Makes a key, signs an image with it and attests it; the public key.
    pub(crate) async fn sign(&self, image: &str, predicate: &str) -> anyhow::Result<String> {
        self.run("", &["generate-key-pair"], "").await?;
        self.write("predicate.json", predicate)?;
        let with_key = ["--yes", "--key", "cosign.key", "--tlog-upload=false"];
        self.run(&self.hosts[1], &[&["sign"], &with_key[..]].concat(), image).await?;
        let attest = ["attest", "--type", "slsaprovenance", "--predicate", "predicate.json"];
        self.run(&self.hosts[1], &[&attest[..], &with_key[..]].concat(), image).await?;
        self.read("cosign.pub")
    }
}
