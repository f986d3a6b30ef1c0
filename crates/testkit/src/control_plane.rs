//! A real Kubernetes API for tests: etcd and kube-apiserver, on demand with controllers, on loopback.
//!
//! ```text
//! ControlPlane::shared() ── one per test binary; ::start() ── one of your own
//!   ├─ admin()                        may everything
//!   ├─ namespace("prefix")            a fresh one for each test
//!   ├─ client_as(namespace, account)  a `ServiceAccount` with a real token: RBAC decides what it may
//!   ├─ install("service")             CRDs, account, rules and webhooks of a service, as it is deployed
//!   ├─ apply_yaml(…), apply_path(…)
//!   └─ ledger()                       who asked the API for what
//! ```
//! A control plane belongs to no async runtime and can be used from many. Clients do belong to the runtime that
//! they were made on: make one per test.

pub(crate) mod guard;
mod identity;
mod launch;
mod namespace;
pub(crate) mod programs;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use self::guard::{Folder, Program};
pub use self::identity::user_name;
pub use self::namespace::Namespace;
pub(crate) use self::namespace::{is_random_suffix, random_suffix};
use self::programs::Programs;
use crate::ledger::Ledger;
use crate::pki::Authority;

/// How a control plane is started. The default suits nearly every test.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Start the controllers too, see [`ControlPlane::controllers`].
    pub controllers: bool,
    /// Where the run's folder is made. Default: `konflux-testkit-<user id>` in the folder for temporary files.
    pub folder: Option<PathBuf>,
}

/// An API server to test against.
#[derive(Debug)]
pub struct ControlPlane {
    config: Config,
    kubeconfig: PathBuf,
    /// Absent when attached to a server that keeps none where we can read it.
    audit_log: Option<PathBuf>,
    /// Absent when somebody else started the server.
    local: Option<Local>,
    /// Whether other tests use it, too, so that what is there once only has to suit all of them.
    pub(crate) is_shared: bool,
}

/// What we started. Fields are dropped in this order: the folder goes last.
#[derive(Debug)]
struct Local {
    programs: Programs,
    controllers: OnceCell<()>,
    running: Mutex<Vec<Program>>,
    authority: Hidden<Authority>,
    folder: Folder,
}

/// Keeps a key out of debug output.
struct Hidden<T>(T);

impl<T> std::fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl ControlPlane {
    /// The control plane that all tests of this binary share, started by the first that asks.
    ///
    /// `$KONFLUX_TEST_KUBECONFIG` names a running one to use instead; see [`Self::attach`].
    ///
    /// # Panics
    /// When it cannot be started: with no API server, no test that asks for one can do anything.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Result<ControlPlane, String>> = OnceCell::const_new();
        let start = async || {
            let plane = match std::env::var_os("KONFLUX_TEST_KUBECONFIG") {
                Some(kubeconfig) => Self::attach(Path::new(&kubeconfig)).await?,
                None => Self::start(Options::default()).await?,
            };
            anyhow::Ok(Self { is_shared: true, ..plane })
        };
        // A failure is kept as well: the next hundred tests need not wait for the same one.
        match SHARED.get_or_init(async || start().await.map_err(|error| format!("{error:#}"))).await {
            Ok(plane) => plane,
            #[expect(clippy::panic, reason = "called by tests only; spares each of them the same line")]
            Err(error) => panic!("no control plane for this test: {error}"),
        }
    }

    /// Starts a control plane of one's own. It ends when it is dropped, or when this process does, however that
    /// happens; its folder goes with it.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let programs = Programs::locate().context("find etcd and kube-apiserver")?;
        let parent = options.folder.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("konflux-testkit-{}", nix::unistd::Uid::current()))
        });
        let folder = Folder::create(&parent)?;
        launch::check_length(folder.path())?;
        let authority = Authority::new("konflux-test")?;
        let etcd = launch::etcd(&programs, &folder).await.context("start etcd")?;
        let api_server =
            launch::api_server(&programs, &folder, &authority).await.context("start kube-apiserver")?;

        let kubeconfig = folder.path().join(launch::KUBECONFIG);
        let plane = Self {
            config: read_config(&kubeconfig).await?,
            kubeconfig,
            audit_log: Some(folder.path().join(launch::AUDIT_LOG)),
            local: Some(Local {
                programs,
                controllers: OnceCell::new(),
                // The API server goes before its storage, or it would fill its log with complaints.
                running: Mutex::new(vec![api_server, etcd]),
                authority: Hidden(authority),
                folder,
            }),
            is_shared: false,
        };
        if options.controllers {
            plane.controllers().await?;
        }
        Ok(plane)
    }

    /// Uses a running API server, as the administrator whose kubeconfig this is.
    ///
    /// There is a [ledger](Self::ledger) where the server writes its audit log to `audit.log` beside that file, as
    /// those started here do; so one control plane can serve several test binaries.
    pub async fn attach(kubeconfig: &Path) -> anyhow::Result<Self> {
        let config = read_config(kubeconfig).await?;
        let version = Client::try_from(config.clone())?.apiserver_version().await;
        version.with_context(|| format!("reach {} of {}", config.cluster_url, kubeconfig.display()))?;
        let audit_log = kubeconfig.with_file_name(launch::AUDIT_LOG);
        Ok(Self {
            config,
            kubeconfig: kubeconfig.to_owned(),
            audit_log: audit_log.is_file().then_some(audit_log),
            local: None,
            is_shared: false,
        })
    }

    /// Starts, once, the controllers that collect garbage, empty deleted namespaces, and make the account `default`
    /// in every namespace. No others: no Deployment makes a pod here.
    ///
    /// The garbage collector learns of new kinds every 30 s, but of those that exist when it starts, at once: apply
    /// CRDs first. An attached control plane is taken to have them.
    pub async fn controllers(&self) -> anyhow::Result<()> {
        let Some(local) = &self.local else { return Ok(()) };
        let start = async || {
            let url = self.config.cluster_url.to_string();
            let program = launch::controllers(&local.programs, &local.folder, &local.authority.0, &url)
                .context("start kube-controller-manager")?;
            let mut running = local.running.lock();
            running.insert(0, program);
            anyhow::Ok(())
        };
        local.controllers.get_or_try_init(start).await.copied()
    }

    fn has_controllers(&self) -> bool {
        self.local.as_ref().is_none_or(|local| local.controllers.initialized())
    }

    /// A client that may do everything, for the current runtime.
    pub fn admin(&self) -> Client {
        Client::try_from(self.config.clone()).expect("a client was made of this configuration before")
    }

    /// The administrator's configuration, for programs that make their own client.
    pub fn admin_config(&self) -> Config {
        self.config.clone()
    }

    /// The administrator's kubeconfig, for programs of their own.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Who asked the API for what.
    pub fn ledger(&self) -> anyhow::Result<Ledger> {
        match &self.audit_log {
            Some(log) => Ok(Ledger::new(log.clone(), self.config.clone())),
            None => bail!(
                "{} has no audit.log beside it: start its API server with --audit-log-path there, \
                 or unset KONFLUX_TEST_KUBECONFIG",
                self.kubeconfig.display()
            ),
        }
    }
}

/// A client's configuration from the current context of a kubeconfig.
async fn read_config(path: &Path) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(path).with_context(|| format!("read {}", path.display()))?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("use {}", path.display()))
}
