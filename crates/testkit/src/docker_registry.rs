//! A real registry, which asks for tokens or lets everybody in: Debian's `docker-registry` (package of that name, 2.8), as a process on 127.0.0.1.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use testkit::docker_registry::{DockerRegistry, TokenAuth};
//! use testkit::pki::Authority;
//!
//! let (authority, signer) = (Authority::new("ca")?, Authority::new("tokens")?);
//! let auth = TokenAuth { realm: "https://localhost:8443/token", issuer: "us", certificate: signer.cert_pem() };
//! let registry = DockerRegistry::start(&authority, &auth).await?;
//! // Tokens for service `registry.address()`, signed by `signer.key_pem()`, are let in.
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::control_plane::guard::{Folder, Program};
use crate::pki::Authority;
use crate::port::free_port;

/// Much more than the tenth of a second that it takes on an idle machine.
const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// Another program may take the port between our choosing and the registry's binding it.
const PORT_ATTEMPTS: usize = 4;

/// Whom the registry lets in. Its own name for itself, the audience of tokens, is its address.
#[derive(Clone, Copy, Debug)]
pub struct TokenAuth<'a> {
    /// Where tokens are given.
    pub realm: &'a str,
    pub issuer: &'a str,
    /// PEM: tokens are signed by its key.
    pub certificate: &'a str,
}

/// A running registry, which deletes what it is told to. It ends when it is dropped, with all that it keeps.
pub struct DockerRegistry {
    address: String,
    _program: Program,
    _folder: Folder,
}

impl DockerRegistry {
    /// With a certificate by `authority`.
    pub async fn start(authority: &Authority, auth: &TokenAuth<'_>) -> anyhow::Result<Self> {
        Self::start_with(authority, Some(auth)).await
    }

    /// With a certificate by `authority`, for everybody to read and write.
    pub async fn start_open(authority: &Authority) -> anyhow::Result<Self> {
        Self::start_with(authority, None).await
    }

    async fn start_with(authority: &Authority, auth: Option<&TokenAuth<'_>>) -> anyhow::Result<Self> {
        let parent = std::env::temp_dir().join(format!("konflux-testkit-{}", nix::unistd::Uid::current()));
        let folder = Folder::create(&parent)?;
        let leaf = authority.server("registry", &["localhost", "127.0.0.1"])?;
        let certificate = folder.write("tls.crt", leaf.cert_pem)?;
        let key = folder.write("tls.key", leaf.key_pem)?;
        let trusted = auth.map(|auth| folder.write("tokens.crt", auth.certificate)).transpose()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.cert_pem().as_bytes())?])
            .build()?;
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            let address = format!("localhost:{port}");
            let mut config = json!({
                "version": "0.1",
                "log": { "level": "warn", "accesslog": { "disabled": true } },
                "storage": {
                    "filesystem": { "rootdirectory": folder.path().join("registry") },
                    "delete": { "enabled": true },
                },
                "http": {
                    "addr": format!("127.0.0.1:{port}"),
                    "relativeurls": true,
                    "tls": { "certificate": certificate, "key": key },
                },
            });
            if let Some(auth) = auth {
                config["auth"] = json!({ "token": {
                    "realm": auth.realm,
                    "service": address,
                    "issuer": auth.issuer,
                    "rootcertbundle": trusted,
                } });
            }
            // JSON is YAML.
            let file = folder.write("config.json", config.to_string())?;
            let words = ["serve".to_owned(), file.display().to_string()];
            let mut program = folder
                .start("docker-registry", &["docker-registry".into()], &words)
                .context("start docker-registry: is the Debian package installed?")?;
            match await_ready(&mut program, &client, &address).await {
                Ok(()) => return Ok(Self { address, _program: program, _folder: folder }),
                Err(_) if program.output().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("{PORT_ATTEMPTS} ports in a row were free when chosen and taken when used")
    }

    /// Host and port: what names of images begin with.
    pub fn address(&self) -> &str {
        &self.address
    }
}

async fn await_ready(program: &mut Program, client: &reqwest::Client, address: &str) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        if let Some(status) = program.ended()? {
            bail!("docker-registry ended at once, {status}; {}", program.last_words());
        }
        if client.get(format!("https://{address}/v2/")).send().await.is_ok() {
            return Ok(());
        }
        if began.elapsed() > START {
            bail!("docker-registry is not ready after {START:?}; {}", program.last_words());
        }
        sleep(POLL).await;
    }
}
