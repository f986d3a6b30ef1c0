//! A registry and a web server for tests, and subcommands run against them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::Value;
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::{Cli, Command};

pub(crate) struct World {
    pub(crate) registry: PlayedRegistry,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("toolbox-test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.cert_pem()).unwrap();
        std::fs::create_dir(folder.path().join("results")).unwrap();
        Self { registry: PlayedRegistry::start(&authority).unwrap(), folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders that it is in.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn image(&self, rest: &str) -> String {
        format!("{}/{rest}", self.registry.address())
    }

    /// Runs a subcommand. In its flags `@` begins a path of this world, `^` an image of its registry.
    pub(crate) async fn run(&self, flags: &[&str]) -> anyhow::Result<()> {
        let folder = format!("{}/", self.folder.path().display());
        let registry = format!("{}/", self.registry.address());
        let allow = "--outbound-allow=127.0.0.1,http://127.0.0.1".to_owned();
        let mut all =
            vec!["toolbox".to_owned(), allow, format!("--ca-bundle={}", self.path("ca.crt").display())];
        all.extend(
            flags.iter().map(|flag| flag.replace("=@", &format!("={folder}")).replace('^', &registry)),
        );
        let all = all.into_iter().map(|flag| match flag.strip_prefix('@') {
            Some(path) => format!("{folder}{path}"),
            None => flag,
        });
        let cli = Cli::try_parse_from(all).unwrap();
        let Command::Step(step) = cli.command else { unreachable!("no test enters a sandbox") };
        step.run(&Context::new(cli.global).unwrap()).await
    }

    /// What a subcommand is given.
    pub(crate) fn context(&self) -> Context {
        let allow = "--outbound-allow=127.0.0.1";
        let bundle = format!("--ca-bundle={}", self.path("ca.crt").display());
        let flags = ["toolbox", allow, &bundle, "sast-unicode-check", "--source=x", "--result-test-output=x"];
        Context::new(Cli::try_parse_from(flags).unwrap().global).unwrap()
    }

    /// As [`run`](Self::run), of what has to fail: why it did.
    pub(crate) async fn refused(&self, flags: &[&str]) -> String {
        format!("{:#}", self.run(flags).await.unwrap_err())
    }

    pub(crate) fn result(&self, name: &str) -> String {
        read(&self.path("results").join(name))
    }

    pub(crate) fn output(&self) -> Value {
        serde_json::from_str(&self.result("TEST_OUTPUT")).unwrap()
    }

    pub(crate) fn manifest(&self, repository: &str, name: &str) -> Value {
        let manifest =
            self.registry.manifest(repository, name).unwrap_or_else(|| panic!("no {repository} {name}"));
        serde_json::from_slice(&manifest).unwrap()
    }

    pub(crate) fn blob(&self, repository: &str, digest: &Value) -> Vec<u8> {
        self.registry.blob(repository, digest.as_str().unwrap()).unwrap()
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Serves files by plain HTTP until it is dropped.
pub(crate) struct Web {
    pub(crate) origin: String,
    serving: JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Web {
    /// `{origin}` in a file becomes the server's own address.
    pub(crate) async fn start(files: &[(&str, &[u8])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let fill = |content: &[u8]| match std::str::from_utf8(content) {
            Ok(text) => text.replace("{origin}", &origin).into_bytes(),
            Err(_) => content.to_vec(),
        };
        let files: HashMap<String, Vec<u8>> =
            files.iter().map(|(path, content)| ((*path).to_owned(), fill(content))).collect();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = match files.get(&path) {
                    Some(content) => ("200 OK", content.as_slice()),
                    None => ("404 Not Found", &b"none"[..]),
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).await;
                let _ = stream.write_all(body).await;
            }
        });
        Self { origin, serving }
    }
}
