//! A real database: Debian's PostgreSQL (package `postgresql`; 15 in Debian 12), as a process on 127.0.0.1.
//!
//! ```text
//! Postgres::database()   a fresh, empty database of the server that all tests of this program share
//! Postgres::start()      a server of one's own, which can be stopped, killed and started again on its data
//! ```
//! It speaks TLS with a certificate for `localhost` and `127.0.0.1`, and plain text to whoever prefers it. Its role
//! [`Postgres::user`] may everything. Nothing waits for the disk, so what is committed survives a kill of the
//! process, not of the machine.
//!
//! PostgreSQL refuses to be root: root has it run as `postgres`, else as `nobody`.

mod account;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use self::account::Account;
use crate::control_plane::guard::{Folder, Program};
use crate::control_plane::random_suffix;
use crate::pki::Authority;
use crate::port::free_port;

/// Where Debian keeps the programs of each version: `<version>/bin`.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Much more than the second that each takes on an idle machine.
const START: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);
/// Another program may take the port between our choosing and the server's binding it.
const PORT_ATTEMPTS: usize = 4;
const USER: &str = "tester";
const HOST: &str = "127.0.0.1";
/// For tests: nothing outlives the machine, many small databases, and no local socket, whose path may not be long.
const SETTINGS: [&str; 10] = [
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=64MB",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "log_min_messages=warning",
    "log_line_prefix=%m %d ",
    "ssl=on",
    "timezone=UTC",
];

/// A server, which ends when it is dropped or its owner dies, with all that it keeps.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    password: String,
    programs: PathBuf,
    account: Account,
    databases: AtomicUsize,
    authority: PathBuf,
    /// `None` while it is stopped. Dropped before the folder that it writes to.
    running: Mutex<Option<Program>>,
    folder: Folder,
}

/// An empty database, for one test. Its server must outlive it.
#[derive(Clone, Debug)]
pub struct Database {
    name: String,
    port: u16,
    password: String,
    authority: PathBuf,
}

impl Postgres {
    /// A fresh, empty database of the server that all tests of this program share, started by the first that asks.
    pub async fn database() -> anyhow::Result<Database> {
        Self::shared().await?.create_database().await
    }

    /// The server that all tests of this program share. Leave it running: others use it just now.
    pub async fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceCell<Result<Postgres, String>> = OnceCell::const_new();
        // A failure is kept as well: the next hundred tests need not wait for the same one.
        match SHARED.get_or_init(async || Self::start().await.map_err(|error| format!("{error:#}"))).await {
            Ok(server) => Ok(server),
            Err(error) => bail!("no PostgreSQL for this test: {error}"),
        }
    }

    /// Starts a server of one's own.
    pub async fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let account = Account::for_servers()?;
        let parent = std::env::temp_dir().join(format!("konflux-testkit-{}", nix::unistd::Uid::current()));
        let folder = Folder::create(&parent)?;
        account.let_through(folder.path())?;
        let authority = Authority::new("postgres-test")?;
        let leaf = authority.server("postgres", &["localhost", HOST])?;
        let trusted = folder.write("ca.crt", authority.cert_pem())?;
        let certificate = folder.write("tls.crt", leaf.cert_pem)?;
        let key = folder.write("tls.key", leaf.key_pem)?;
        let password = random_suffix() + &random_suffix();
        let secret = folder.write("password", &password)?;
        for path in [&certificate, &key, &secret] {
            account.own(path, 0o600)?;
        }
        let data = folder.path().join("data");
        std::fs::create_dir(&data).with_context(|| format!("create {}", data.display()))?;
        account.own(&data, 0o700)?;
        let initdb = account.command(&programs.join("initdb"));
        let words = [
            "--encoding=UTF8".to_owned(),
            "--locale=C.UTF-8".to_owned(),
            "--no-sync".to_owned(),
            "--auth=scram-sha-256".to_owned(),
            format!("--username={USER}"),
            format!("--pwfile={}", secret.display()),
            format!("--pgdata={}", data.display()),
        ];
        let output = Command::new(&initdb[0])
            .args(&initdb[1..])
            .args(words)
            .current_dir(&data)
            .output()
            .await
            .context("run initdb")?;
        succeed("initdb", &output)?;
        let mut server = Self {
            port: 0,
            password,
            programs,
            account,
            databases: AtomicUsize::new(0),
            authority: trusted,
            running: Mutex::new(None),
            folder,
        };
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port()?;
            match server.launch().await {
                Ok(()) => return Ok(server),
                Err(error) if format!("{error:#}").contains("Address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("{PORT_ATTEMPTS} ports in a row were free when chosen and taken when used")
    }

    /// A fresh, empty database.
    pub async fn create_database(&self) -> anyhow::Result<Database> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.run("createdb", &["--template=template0", &name]).await?;
        Ok(Database { name, ..self.maintenance() })
    }

    /// Address of the database `postgres`, which every server has.
    pub fn url(&self) -> String {
        self.maintenance().url()
    }

    pub fn host(&self) -> &'static str {
        HOST
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn user(&self) -> &'static str {
        USER
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    /// PEM file of the authority that the server's certificate is by.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Lets running statements end as cancelled, writes everything down, and ends. Nothing if it is stopped.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let Some(mut program) = self.running.lock().take() else { return Ok(()) };
        let file = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let id =
            text.lines().next().unwrap_or_default().parse().context("postmaster.pid begins with a number")?;
        // A "fast" shutdown in the words of its manual.
        kill(Pid::from_raw(id), Signal::SIGINT).context("ask PostgreSQL to end")?;
        let began = Instant::now();
        while program.ended()?.is_none() {
            ensure!(
                began.elapsed() < STOP,
                "PostgreSQL has not ended after {STOP:?}; {}",
                program.last_words()
            );
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Ends it in the middle of whatever it does, as a crash would. Nothing if it is stopped.
    pub fn kill(&self) {
        self.running.lock().take();
    }

    /// Starts it again on its data and its port. Nothing if it runs.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        if self.running.lock().is_some() {
            return Ok(());
        }
        let began = Instant::now();
        loop {
            match self.launch().await {
                Ok(()) => return Ok(()),
                // What served a connection of a killed server notices a moment later that its parent is gone.
                Err(error) if is_still_dying(&format!("{error:#}")) && began.elapsed() < START => {
                    sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a program of PostgreSQL against this server, as its user: `psql`, `pgbench`, `pg_dump`. Answers what it
    /// printed; a failure says what it complained of.
    pub async fn run(&self, program: &str, words: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.programs.join(program))
            .args(words)
            .env("PGHOST", HOST)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", USER)
            .env("PGPASSWORD", &self.password)
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("run {program}"))?;
        succeed(program, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn maintenance(&self) -> Database {
        Database {
            name: "postgres".to_owned(),
            port: self.port,
            password: self.password.clone(),
            authority: self.authority.clone(),
        }
    }

    /// Starts the process and waits until it answers.
    async fn launch(&self) -> anyhow::Result<()> {
        let folder = self.folder.path();
        let mut words = vec!["-D".to_owned(), folder.join("data").display().to_string()];
        let own = [
            format!("port={}", self.port),
            format!("ssl_cert_file={}", folder.join("tls.crt").display()),
            format!("ssl_key_file={}", folder.join("tls.key").display()),
        ];
        for setting in SETTINGS.iter().map(|setting| (*setting).to_owned()).chain(own) {
            words.extend(["-c".to_owned(), setting]);
        }
        let command: Vec<OsString> = self.account.command(&self.programs.join("postgres"));
        let mut program = self.folder.start("postgres", &command, &words)?;
        let began = Instant::now();
        loop {
            if let Some(status) = program.ended()? {
                bail!("PostgreSQL ended at once, {status}; {}", program.last_words());
            }
            if self.run("pg_isready", &["--quiet", "--timeout=1"]).await.is_ok() {
                *self.running.lock() = Some(program);
                return Ok(());
            }
            ensure!(
                began.elapsed() < START,
                "PostgreSQL is not ready after {START:?}; {}",
                program.last_words()
            );
            sleep(POLL).await;
        }
    }
}

impl Database {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn host(&self) -> &'static str {
        HOST
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn user(&self) -> &'static str {
        USER
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    /// PEM file of the authority that the server's certificate is by.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// `postgres://<user>:<password>@127.0.0.1:<port>/<name>`.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@{HOST}:{}/{}", self.password, self.port, self.name)
    }
}

/// What PostgreSQL says when the processes of an earlier start are not gone yet.
fn is_still_dying(text: &str) -> bool {
    ["pre-existing shared memory block", "another server might be running", "Address already in use"]
        .iter()
        .any(|words| text.contains(words))
        || text.contains("lock file \"postmaster.pid\" already exists")
}

fn succeed(program: &str, output: &Output) -> anyhow::Result<()> {
    ensure!(
        output.status.success(),
        "{program} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Whether this machine has what [`Postgres`] starts.
pub fn is_installed() -> bool {
    programs().is_ok()
}

/// Folder of the newest version that is installed.
fn programs() -> anyhow::Result<PathBuf> {
    let installed = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    installed
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("postgres").is_file())
        .max()
        .map(|(_, folder)| folder)
        .with_context(|| format!("no PostgreSQL in {VERSIONS}: install the Debian package postgresql"))
}
