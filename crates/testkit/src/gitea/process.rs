//! A forge of a test's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::access::Access;
use super::administrator::ensure_administrator;
use super::client::{Client, Credential};
use super::settings::Settings;
use crate::control_plane::guard::{Folder, Program};
use crate::pki::Authority;
use crate::port::free_port;
use crate::tools;

/// Much more than the second that it takes on an idle machine.
const START: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// Another program may take the port between our choosing and the forge's binding it.
const PORT_ATTEMPTS: usize = 4;
const ADMINISTRATOR: &str = "konflux-admin";
const SETTINGS: &str = "app.ini";

/// A running Gitea, on 127.0.0.1. It ends when it is dropped, or when this process does, however that happens; all
/// that it keeps goes with it.
pub struct Gitea {
    access: Access,
    _program: Program,
    _folder: Folder,
}

impl Gitea {
    /// The forge that all tests of this binary share, started by the first that asks. Each makes accounts of its own
    /// in it.
    ///
    /// # Panics
    /// When it cannot be started: no test that asks for it can do anything then.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Result<Gitea, String>> = OnceCell::const_new();
        let start = async || Self::start(&Authority::new("konflux-test-forge")?).await;
        // A failure is kept as well: the next tests need not wait for the same one.
        match SHARED.get_or_init(async || start().await.map_err(|error| format!("{error:#}"))).await {
            Ok(gitea) => gitea,
            #[expect(clippy::panic, reason = "called by tests only; spares each of them the same line")]
            Err(error) => panic!("no forge for this test: {error}"),
        }
    }

    /// Starts one at `https://localhost:<port>/`, with a certificate by `authority`, and waits until it serves.
    pub async fn start(authority: &Authority) -> anyhow::Result<Self> {
        let program = tools::gitea().context("find Gitea")?;
        let parent = std::env::temp_dir().join(format!("konflux-testkit-{}", nix::unistd::Uid::current()));
        let folder = Folder::create(&parent)?;
        let leaf = authority.server("forge", &["localhost", "127.0.0.1"])?;
        let settings = Settings {
            url: String::new(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate: folder.write("tls.crt", leaf.cert_pem)?,
            key: folder.write("tls.key", leaf.key_pem)?,
            data: folder.path().join("gitea"),
            assets: program.assets(),
            webhooks_to: "loopback".to_owned(),
            allows_root: nix::unistd::geteuid().is_root(),
            seed: random(),
        };
        for _ in 0..PORT_ATTEMPTS {
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let access = Access {
                url: format!("https://localhost:{}/", listen.port()),
                address: listen,
                certificate_authority: authority.cert_pem().to_owned(),
                administrator: ADMINISTRATOR.to_owned(),
                password: random(),
            };
            let settings = Settings { url: access.url.clone(), listen, ..settings.clone() };
            folder.write(SETTINGS, settings.render())?;
            let words = ["web".to_owned(), "--config".to_owned(), SETTINGS.to_owned()];
            let mut running = folder.start("gitea", &[program.binary.clone().into()], &words)?;
            match await_ready(&mut running, &access).await {
                Ok(()) => {
                    let command = async |arguments: &[&str]| run(&program.binary, &folder, arguments).await;
                    ensure_administrator(&access, command).await?;
                    return Ok(Self { access, _program: running, _folder: folder });
                }
                Err(_) if running.output().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        bail!(
            "{PORT_ATTEMPTS} ports in a row were free when chosen and taken when used: what else is starting here?"
        )
    }

    /// `https://localhost:<port>/`, as services are told it.
    pub fn url(&self) -> &str {
        &self.access.url
    }

    /// PEM of the authority that signed its certificate, for a service's CA bundle.
    pub fn certificate_authority(&self) -> &str {
        &self.access.certificate_authority
    }

    /// A client of the administrator. Like each client of HTTP it belongs to the runtime that it is made on.
    pub fn client(&self) -> anyhow::Result<Client> {
        Client::new(&self.access)
    }
}

async fn await_ready(program: &mut Program, access: &Access) -> anyhow::Result<()> {
    let client = Client::new(access)?.with(Credential::Nobody);
    let began = Instant::now();
    loop {
        if let Some(status) = program.ended()? {
            bail!("ended at once, {status}; {}", program.last_words());
        }
        if client.version().await.is_ok() {
            return Ok(());
        }
        if began.elapsed() > START {
            bail!("not ready after {START:?}; {}", program.last_words());
        }
        sleep(POLL).await;
    }
}

/// Runs a command of the forge's program to its end.
async fn run(binary: &std::path::Path, folder: &Folder, arguments: &[&str]) -> anyhow::Result<String> {
    let output = tokio::process::Command::new(binary)
        .args(arguments)
        .args(["--config", SETTINGS])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("run {}", binary.display()))?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}", text.trim());
    Ok(text)
}

/// A password that nobody guesses.
fn random() -> String {
    data_encoding::HEXLOWER.encode(&rand::random::<[u8; 24]>())
}
