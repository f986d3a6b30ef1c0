//! What is measured: `results-api` as a process, over a PostgreSQL and an API server with the objects of its base.
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use testkit::{
    ControlPlane, Installed, Namespace, eventually, free_port,
    pki::Authority,
    postgres::{Database, Postgres},
};
use tokio::process::{Child, Command};

use super::client::Client;
use crate::bench::{
    account,
    process::{status_of, time_of},
};

pub(super) const API: &str = "results-api";
pub(super) const WATCHER: &str = "results-watcher";
const ACCOUNT: &str = "tekton-results-api";
pub(super) const WATCHER_ACCOUNT: &str = "tekton-results-watcher";
/// Who calls: with the role of the base for those who read and write, in the namespace of the runs.
const CALLER: &str = "archivist";
const ROLE: &str = "tekton-results-readwrite";
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) struct Setup<'a> {
    pub(super) plane: &'a ControlPlane,
    pub(super) installed: Installed<'a>,
    /// Whose runs the archive has.
    pub(super) tenant: Namespace<'a>,
    pub(super) database: Database,
    pub(super) token: String,
    /// Authority of the API's certificate, in a file.
    pub(super) authority: PathBuf,
    pub(super) folder: TempDir,
    binary: PathBuf,
    /// Dropped after what is in it.
    pub(super) postgres: Postgres,
}

/// How calls of the API go over the line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    /// As it is deployed.
    Tls,
}

impl<'a> Setup<'a> {
    pub(super) async fn install(plane: &'a ControlPlane, binary: &Path) -> anyhow::Result<Self> {
        let postgres = Postgres::start().await?;
        let database = postgres.create_database().await?;
        plane.install_kinds("pipelines-engine").await?;
        let installed = plane.install("results", None).await?;
        let tenant = plane.namespace("tenant").await?;
        let token = plane.token_of(&tenant, CALLER, &[]).await?;
        let binding = format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{ name: {CALLER} }}\n\
             roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {} }}\n\
             subjects: [{{ kind: ServiceAccount, name: {CALLER}, namespace: {tenant} }}]\n",
            installed.name_of(ROLE)
        );
        tenant.apply_yaml(&binding).await?;
        let folder = tempfile::tempdir().context("create a folder for the service")?;
        let (authority, tls) = (folder.path().join("ca.crt"), folder.path().join("tls"));
        let signed_by = Authority::new("everything in this benchmark")?;
        let leaf = signed_by.server(API, &["localhost", "127.0.0.1"])?;
        fs::write(&authority, signed_by.cert_pem())?;
        fs::create_dir(&tls)?;
        fs::write(tls.join("tls.crt"), leaf.cert_pem)?;
        fs::write(tls.join("tls.key"), leaf.key_pem)?;
        fs::create_dir(folder.path().join("logs"))?;
        let kubeconfig = folder.path().join("kubeconfig");
        account::write_kubeconfig(plane, installed.namespace(), ACCOUNT, &kubeconfig).await?;
        Ok(Self {
            plane,
            installed,
            tenant,
            database,
            token,
            authority,
            folder,
            binary: binary.to_owned(),
            postgres,
        })
    }

    /// Starts the API with the settings that it has by itself, and waits until it is ready.
    pub(super) async fn start(&self, transport: Transport) -> anyhow::Result<Api> {
        let folder = self.folder.path();
        let (port, health) = (free_port()?, free_port()?);
        let tls = folder.join(if transport == Transport::Tls { "tls" } else { "no-certificate" });
        let log = folder.join("api.log");
        let database = &self.database;
        let child = Command::new(&self.binary)
            .arg(format!("--db-host={}", database.host()))
            .arg(format!("--db-port={}", database.port()))
            .arg(format!("--db-name={}", database.name()))
            .arg(format!("--db-user={}", database.user()))
            .arg(format!("--db-sslrootcert={}", database.authority().display()))
            .arg(format!("--server-port={port}"))
            .arg(format!("--prometheus-port={}", free_port()?))
            .arg(format!("--health-addr=127.0.0.1:{health}"))
            .arg(format!("--kubeconfig={}", folder.join("kubeconfig").display()))
            .arg(format!("--tls-path={}", tls.display()))
            .arg("--logs-api=true")
            .arg(format!("--logs-path={}", folder.join("logs").display()))
            // Nothing of this shell may configure it.
            .env_clear()
            .env("DB_PASSWORD", database.password())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).context("the API has a process id")?;
        let mut api = Api { child, pid, address: (Ipv4Addr::LOCALHOST, port).into() };
        let ready = format!("http://127.0.0.1:{health}/readyz");
        let began = Instant::now();
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            if let Some(status) = api.child.try_wait()? {
                anyhow::bail!("the API ended ({status}):\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            anyhow::ensure!(began.elapsed() < PATIENCE, "the API is not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(api)
    }

    /// A caller of the API, whose rights are known by now.
    pub(super) fn client(&self, api: &Api) -> anyhow::Result<Client> {
        Client::new(api.address, &self.token)
    }

    /// Makes a Result, as soon as the API server knows the caller's role and the API has forgotten that it did not.
    pub(super) async fn create_result(&self, api: &Api, name: &str) -> anyhow::Result<()> {
        eventually(PATIENCE, "the caller's role", async || {
            self.client(api)?.create_result(&self.tenant, name).await
        })
        .await
    }

    /// The API, as the API server knows it.
    pub(super) fn user(&self) -> String {
        self.installed.user_as(ACCOUNT)
    }
}

/// A running `results-api`, seen from outside.
pub(super) struct Api {
    child: Child,
    pid: i32,
    pub(super) address: SocketAddr,
}

impl Api {
    /// Resident memory now, in bytes.
    pub(super) fn memory(&self) -> anyhow::Result<u64> {
        status_of(self.pid, "VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    pub(super) fn peak_memory(&self) -> anyhow::Result<u64> {
        status_of(self.pid, "VmHWM:")
    }

    /// Pages of its file that are in memory, in bytes.
    pub(super) fn file_memory(&self) -> anyhow::Result<u64> {
        status_of(self.pid, "RssFile:")
    }

    pub(super) fn processor_time(&self) -> anyhow::Result<Duration> {
        time_of(self.pid)
    }

    /// Stops it as a pod is stopped.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM).context("stop the API")?;
        tokio::time::timeout(PATIENCE, self.child.wait()).await.context("the API does not stop")??;
        Ok(())
    }
}
