//! What is never killed, and what the victims are started with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt as _};
use parking_lot::Mutex;
use pipelines_engine_api::{PipelineRun, TaskRun};
use results_api::client::{Settings, Token, Transport};
use serde_json::{Value, json};
use testkit::pki::Authority;
use testkit::postgres::{Database, Postgres};
use testkit::{ControlPlane, Installed, Namespace, free_port};

use super::process::Process;
use crate::kubelet::PlayedNode;
use crate::service::ACCOUNT;

const API_ACCOUNT: &str = "tekton-results-api";

/// Runs with this label are deleted when they are stored.
pub(super) const PRUNED: (&str, &str) = ("drill", "pruned");

/// To the fraction of a second, which the kit's clock leaves out.
pub(super) fn now() -> Timestamp {
    SystemTime::now().try_into().unwrap_or(Timestamp::MAX)
}

pub(super) struct World {
    plane: &'static ControlPlane,
    pub(super) tenant: Namespace<'static>,
    installed: Installed<'static>,
    pub(super) node: PlayedNode,
    pub(super) postgres: Postgres,
    database: Database,
    /// Certificates, tokens, kubeconfigs, what the victims print, and the volume of the logs.
    folder: tempfile::TempDir,
    port: u16,
    /// By the uid of a run, when it was deleted at the latest.
    pub(super) deletions: Arc<Mutex<BTreeMap<String, Timestamp>>>,
}

impl World {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        plane.install_kinds("pipelines-engine").await?;
        let tenant = plane.namespace("drill").await?;
        let installed = plane.install("results", None).await?;
        let node = PlayedNode::start(plane.admin(), &tenant).await?;
        let postgres = Postgres::start().await?;
        let database = postgres.create_database().await?;
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let world = Self {
            plane,
            tenant,
            installed,
            node,
            postgres,
            database,
            folder,
            port,
            deletions: Arc::default(),
        };
        world.note_deletions::<PipelineRun>();
        world.note_deletions::<TaskRun>();
        std::fs::create_dir(world.logs())?;
        let authority = Authority::new("results")?;
        let leaf = authority.server("results", &["localhost"])?;
        world.write("tls.key", &leaf.key_pem)?;
        world.write("tls.crt", &leaf.cert_pem)?;
        world.write("ca.crt", authority.cert_pem())?;
        for account in [ACCOUNT, API_ACCOUNT] {
            let token = world.plane.token_of(world.installed.namespace(), account, &[]).await?;
            let mut config: Value = serde_json::from_slice(&std::fs::read(plane.kubeconfig())?)?;
            config["users"][0]["user"] = json!({ "token": token });
            world.write(&format!("{account}.kubeconfig"), &config.to_string())?;
            world.write(&format!("{account}.token"), &token)?;
        }
        Ok(world)
    }

    /// The API server, as it is deployed: over TLS, with the rights of its account, which asks who may.
    pub(super) fn api_server(&self) -> anyhow::Result<Process> {
        let database = &self.database;
        let flags = [
            ("db-host", database.host().to_owned()),
            ("db-port", database.port().to_string()),
            ("db-name", database.name().to_owned()),
            ("db-user", database.user().to_owned()),
            ("db-password", database.password().to_owned()),
            ("db-sslrootcert", database.authority().display().to_string()),
            ("server-port", self.port.to_string()),
            ("prometheus-port", "0".to_owned()),
            ("health-addr", "127.0.0.1:0".to_owned()),
            ("kubeconfig", self.path(&format!("{API_ACCOUNT}.kubeconfig"))),
            ("tls-path", self.folder.path().display().to_string()),
            ("logs-api", "true".to_owned()),
            ("logs-path", self.logs().display().to_string()),
            ("log-format", "text".to_owned()),
        ];
        let flags = flags.into_iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        // The program of another crate, made with this one: cargo tells only of a crate's own.
        let tests = std::env::current_exe()?;
        let folder = tests.parent().and_then(Path::parent).context("test programs lie in <target>/deps")?;
        Ok(Process::new("results-api", folder.join("results-api"), self.folder.path(), flags))
    }

    pub(super) fn watcher(&self) -> Process {
        let flags = vec![
            format!("--kubeconfig={}", self.path(&format!("{ACCOUNT}.kubeconfig"))),
            format!("--namespace={}", self.installed.namespace()),
            format!("--watch-namespaces={}", self.tenant),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            // A container that is started again keeps its pod's name, and with it the Lease.
            "--identity=drill".to_owned(),
            "--log-format=text".to_owned(),
            format!("--api-addr=localhost:{}", self.port),
            format!("--token-file={}", self.path(&format!("{ACCOUNT}.token"))),
            format!("--api-ca={}", self.path("ca.crt")),
            "--check-owner=false".to_owned(),
            "--completed-run-grace-period=-1s".to_owned(),
            format!("--label-selector={}={}", PRUNED.0, PRUNED.1),
        ];
        let program = PathBuf::from(env!("CARGO_BIN_EXE_results-watcher"));
        Process::new("results-watcher", program, self.folder.path(), flags)
    }

    /// A connection to the API server, as the watcher.
    pub(super) fn transport(&self) -> anyhow::Result<Transport> {
        let token = Token::File(self.path(&format!("{ACCOUNT}.token")).into());
        let (address, ca) = (format!("https://localhost:{}", self.port), Some(self.path("ca.crt").into()));
        Ok(Transport::new(Settings { address, ca, server_name: None, token })?)
    }

    /// What a statement answers, as text without borders.
    pub(super) async fn query(&self, statement: &str) -> anyhow::Result<String> {
        let url = self.database.url();
        let words =
            ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--command"];
        self.postgres.run("psql", &[&words[..], &[statement, &url]].concat()).await
    }

    /// The volume of the logs.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    /// The tenant's objects of a kind, as an administrator sees them.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.plane.admin(), &self.tenant)
    }

    /// The same with all that is in them.
    pub(super) fn whole<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.plane.admin(), &self.tenant, &ApiResource::erase::<K>(&()))
    }

    /// A finalizer keeps each run until its deletion was seen, and the last that is heard of it says when it was.
    fn note_deletions<K>(&self)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Send
            + 'static,
    {
        let deletions = Arc::clone(&self.deletions);
        let mut changes =
            watcher(self.api::<PartialObjectMeta<K>>(), watcher::Config::default()).default_backoff().boxed();
        tokio::spawn(async move {
            while let Some(change) = changes.next().await {
                let Ok(Event::Apply(run) | Event::Delete(run) | Event::InitApply(run)) = change else {
                    continue;
                };
                let Some(time) = &run.metadata.deletion_timestamp else { continue };
                // That time is in whole seconds.
                let latest = (time.0 + SignedDuration::from_secs(1)).min(now());
                deletions.lock().entry(run.uid().unwrap_or_default()).or_insert(latest);
            }
        });
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join(name), text)?)
    }
}
