//! A real object store: Versity's S3 gateway, of which `tools/s3` is built, as a process on 127.0.0.1, over TLS.
//!
//! It checks every signature, makes objects of parts only when told to, and keeps the parts of uploads that nobody ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};

use crate::control_plane::guard::{Folder, Program};
use crate::pki::Authority;
use crate::port::free_port;
use crate::tools;

/// Much more than the tenth of a second that it takes on an idle machine.
const START: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// Another program may take the port between our choosing and the server's binding it.
const PORT_ATTEMPTS: usize = 4;
const ACCESS_KEY: &str = "tester";
/// Where the gateway collects parts, in a bucket.
const PARTS: &str = ".sgwtmp/multipart";

/// A running server. It ends when it is dropped, with all that it keeps.
pub struct S3 {
    port: u16,
    secret: String,
    authority: PathBuf,
    program: Option<Program>,
    folder: Folder,
}

impl S3 {
    /// The region that signatures have to name.
    pub const REGION: &str = "us-east-1";

    /// Starts one without buckets, with a certificate by an authority of its own, and waits until it serves.
    pub async fn start() -> anyhow::Result<Self> {
        let parent = std::env::temp_dir().join(format!("konflux-testkit-{}", nix::unistd::Uid::current()));
        let folder = Folder::create(&parent)?;
        let authority = Authority::new("s3")?;
        let leaf = authority.server("s3", &["localhost", "127.0.0.1"])?;
        folder.write("tls.crt", leaf.cert_pem)?;
        folder.write("tls.key", leaf.key_pem)?;
        let authority = folder.write("ca.crt", authority.cert_pem())?;
        let secret = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 20]>());
        let mut server = Self { port: 0, secret, authority, program: None, folder };
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port()?;
            if server.run().await? {
                return Ok(server);
            }
        }
        bail!("{PORT_ATTEMPTS} ports in a row were free when chosen and taken when used")
    }

    /// Kills it, in the middle of whatever it does. Everything stored stays.
    pub fn stop(&mut self) {
        drop(self.program.take());
    }

    /// Has a stopped one serve again what it kept, at the same address.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        if self.run().await? { Ok(()) } else { bail!("another program took port {}", self.port) }
    }

    /// Makes an empty bucket.
    pub fn make_bucket(&self, name: &str) -> anyhow::Result<()> {
        fs::create_dir(self.bucket(name)).with_context(|| format!("make bucket {name}"))
    }

    /// `https://localhost:<port>`; buckets are the first part of the path.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    pub fn secret_key(&self) -> &str {
        &self.secret
    }

    /// A PEM file of the authority that signed its certificate.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Keys of all objects of a bucket, sorted, read without asking the server.
    pub fn keys(&self, bucket: &str) -> anyhow::Result<Vec<String>> {
        let root = self.bucket(bucket);
        let mut keys: Vec<String> = files(&root)?
            .iter()
            .filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_string_lossy().into_owned()))
            .filter(|key| !key.starts_with(".sgwtmp/"))
            .collect();
        keys.sort();
        Ok(keys)
    }

    /// Puts an object into a bucket without asking the server, as something else than our code may have.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.bucket(bucket).join(key);
        fs::create_dir_all(path.parent().context("a key has a bucket")?)?;
        fs::write(path, bytes).with_context(|| format!("put {key}"))
    }

    /// How many parts lie in a bucket that were neither made an object nor given up.
    pub fn parts_left(&self, bucket: &str) -> anyhow::Result<usize> {
        Ok(files(&self.bucket(bucket).join(PARTS))?.len())
    }

    fn bucket(&self, name: &str) -> PathBuf {
        self.folder.path().join("data").join(name)
    }

    /// Whether it serves now; if not, somebody else has its port.
    async fn run(&mut self) -> anyhow::Result<bool> {
        let binary = tools::s3().context("find the S3 server")?;
        let words = [
            "-listen",
            &format!("127.0.0.1:{}", self.port),
            "-folder",
            &self.folder.path().display().to_string(),
            "-certificate",
            "tls.crt",
            "-key",
            "tls.key",
            "-access-key",
            ACCESS_KEY,
            "-secret-key",
            &self.secret,
            "-region",
            Self::REGION,
        ]
        .map(str::to_owned);
        let mut program = self.folder.start("s3", &[binary.into()], &words)?;
        match self.await_ready(&mut program).await {
            Ok(()) => {
                self.program = Some(program);
                Ok(true)
            }
            Err(_) if program.output().contains("address already in use") => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn await_ready(&self, program: &mut Program) -> anyhow::Result<()> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&fs::read(&self.authority)?)?])
            .build()?;
        let began = Instant::now();
        loop {
            if let Some(status) = program.ended()? {
                bail!("the S3 server ended at once, {status}; {}", program.last_words());
            }
            // Without a signature it refuses, which is an answer.
            if client.get(self.url()).send().await.is_ok() {
                return Ok(());
            }
            if began.elapsed() > START {
                bail!("the S3 server is not ready after {START:?}; {}", program.last_words());
            }
            sleep(POLL).await;
        }
    }
}

/// All files below a folder, none if it is not there.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    Ok(found)
}
