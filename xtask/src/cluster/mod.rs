//! The dev cluster: a real single-node Kubernetes made of child processes, or somebody else's that is only used.
//!
//! ```text
//! up ──▶ packages, programs ──▶ host: control groups, link ──▶ unshare ─▶ node-init ─▶ supervise ─▶ the parts
//! down ─▶ processes, control groups, link: ended and removed, whoever left them
//! ```
//! `docs/explanation/dev-cluster.md` tells it in words.
use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, bail};
use testkit::{gitea::Access, pki::Leaf};

pub mod init;
pub mod lifecycle;
pub mod programs;
pub mod smoke;
pub mod supervisor;

mod cgroups;
mod child;
mod components;
mod config;
mod credentials;
mod forge;
mod host;
mod image;
mod images;
mod layout;
mod manifests;
mod network;
pub mod packages;
mod processes;
mod provisioner;
mod report;
mod settings;

pub use credentials::{unguessable, write_secret};
#[cfg(test)]
pub use forge::WEBHOOK_URL as FORGE_WEBHOOK_URL;
pub use host::{down, up};
pub use report::{Report, State};
pub use settings::{Embedded, External, IMAGES_NAME, REGISTRY_NAME, RESULTS_PORT, Settings, Subnet, Wishes};

use layout::Layout;

/// How long a cluster that is not ours may take to answer.
const EXTERNAL_PATIENCE: Duration = Duration::from_secs(20);

// Which cluster a command is about. Without a doc comment, which clap would show as description of commands
// that have none.
#[derive(Clone, Debug, clap::Args)]
pub struct Choice {
    /// Name of the cluster: lower case letters, digits and '-'.
    #[arg(long, default_value = "dev")]
    pub name: String,

    /// Folder for everything that the cluster keeps. Default: `clusters/<name>` below the cache folder
    /// (`$KONFLUX_CACHE`, else `~/.cache/konflux-rs`).
    #[arg(long, value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,
}

impl Choice {
    /// The cluster of this name in its usual folder.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), state_dir: None }
    }

    fn layout(&self) -> anyhow::Result<Layout> {
        let folder = match &self.state_dir {
            Some(folder) => std::path::absolute(folder)?,
            None => crate::paths::cluster_state(&self.name)?,
        };
        // Links resolved, so that processes are found again whatever the folder is called.
        Ok(Layout::new(folder.canonicalize().unwrap_or(folder)))
    }

    /// The cluster as its name and folder alone describe it.
    fn derive(&self) -> anyhow::Result<Embedded> {
        Embedded::derive(&self.name, self.layout()?.root(), self.state_dir.is_none())
    }
}

/// A cluster that was brought up before: how to use it.
#[derive(Clone, Debug)]
pub struct Cluster {
    settings: Settings,
    layout: Layout,
}

/// The platform registry of the embedded cluster.
#[derive(Clone, Debug)]
pub struct Registry {
    /// What images are called by, as in `registry.dev.konflux.test/konflux/x`. Read there without a password.
    pub name: &'static str,
    /// What `name` resolves to. The host has no resolver for it; the certificate names the address too.
    pub address: Ipv4Addr,
    /// Port of `address` where the same images are pushed.
    pub push_port: u16,
    pub push_user: &'static str,
    pub push_password: String,
    /// PEM of the authority that signed its certificate.
    pub ca_pem: String,
}

impl Registry {
    /// Host and port to push to, by address.
    pub fn push_host(&self) -> String {
        format!("{}:{}", self.address, self.push_port)
    }
}

impl Cluster {
    /// The cluster that was chosen, if `up` made or recorded it before.
    pub fn load(choice: &Choice) -> anyhow::Result<Self> {
        let layout = choice.layout()?;
        let Some(settings) = Settings::read(&layout)? else {
            bail!("there is no cluster {:?} yet: run `cargo xtask up{}`", choice.name, choice.flags());
        };
        Ok(Self { settings, layout })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A kubeconfig with every right.
    pub fn kubeconfig(&self) -> PathBuf {
        match &self.settings {
            Settings::Embedded(_) => self.layout.admin_kubeconfig(),
            Settings::External(external) => external.kubeconfig.clone(),
        }
    }

    /// Makes a kubeconfig of a user without any right but those that roles give them.
    pub fn kubeconfig_of(&self, user: &str) -> anyhow::Result<PathBuf> {
        match &self.settings {
            Settings::Embedded(embedded) => credentials::issue_user(&self.layout, embedded, user),
            Settings::External(external) => bail!(
                "the cluster of {} is not ours: who runs it gives {user:?} access",
                external.kubeconfig.display()
            ),
        }
    }

    /// An administrator's client.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        client(&self.kubeconfig()).await
    }

    /// kubectl of the cluster's own version, for its administrator.
    pub fn kubectl(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(testkit::tools::kube_binary()?);
        command.arg("kubectl").arg("--kubeconfig").arg(self.kubeconfig());
        Ok(command)
    }

    /// The platform registry; an external cluster has none of ours.
    pub fn registry(&self) -> anyhow::Result<Option<Registry>> {
        let Settings::Embedded(cluster) = &self.settings else { return Ok(None) };
        Ok(Some(Registry {
            name: REGISTRY_NAME,
            address: cluster.registry(),
            push_port: settings::REGISTRY_PUSH_PORT,
            push_user: credentials::PUSH_USER,
            push_password: read(&self.layout.pki("registry-password"))?,
            ca_pem: self.ca_pem()?,
        }))
    }

    /// How its administrator reaches the forge; nothing if the cluster has none of ours.
    pub fn forge_access(&self) -> anyhow::Result<Option<Access>> {
        match &self.settings {
            Settings::Embedded(cluster) if cluster.forge => {
                Access::read(&self.layout.forge_access()).map(Some)
            }
            Settings::Embedded(_) | Settings::External(_) => Ok(None),
        }
    }

    /// File that says how the tenants' registry is reached from this machine.
    pub fn images_access_file(&self) -> PathBuf {
        self.layout.images_access()
    }

    /// File that says how the platform registry is reached from this machine by who may push.
    pub fn registry_access_file(&self) -> PathBuf {
        self.layout.registry_access()
    }

    /// Certificate and key (PEM) that tokens for the tenants' registry are signed with, of a cluster that is ours.
    pub fn registry_token_key(&self) -> anyhow::Result<Option<Leaf>> {
        match &self.settings {
            Settings::Embedded(_) => {
                let file = |kind: &str| read(&self.layout.pki(&format!("{}.{kind}", images::TOKEN_KEY)));
                Ok(Some(Leaf { cert_pem: file("crt")?, key_pem: file("key")? }))
            }
            Settings::External(_) => Ok(None),
        }
    }

    /// Where [`Self::forge_access`] lies.
    pub fn forge_access_file(&self) -> PathBuf {
        self.layout.forge_access()
    }

    /// Key of the signatures of the forge's events, of a cluster that has a forge of ours.
    pub fn forge_webhook_secret(&self) -> anyhow::Result<Option<String>> {
        match &self.settings {
            Settings::Embedded(cluster) if cluster.forge => {
                read(&self.layout.pki("forge-webhook-secret")).map(Some)
            }
            Settings::Embedded(_) | Settings::External(_) => Ok(None),
        }
    }

    /// File with the password, or with a token, of somebody at the forge.
    pub fn forge_login(&self, what: &str) -> PathBuf {
        self.layout.data("users").join(format!("{what}.forge"))
    }

    /// A certificate of a server in the cluster by the cluster's authority, if that is ours.
    pub fn issue_server(&self, names: &[&str]) -> anyhow::Result<Option<Leaf>> {
        match &self.settings {
            Settings::Embedded(cluster) => credentials::issue_server(&self.layout, cluster, names).map(Some),
            Settings::External(_) => Ok(None),
        }
    }

    /// PEM of the authority of an embedded cluster, which signs for its API server, registries and forge.
    pub fn ca_pem(&self) -> anyhow::Result<String> {
        read(&self.layout.pki("ca.crt"))
    }

    /// The API server's audit log: who did what, one JSON event a line. Only of an embedded cluster.
    pub fn audit_log(&self) -> PathBuf {
        self.layout.log("audit")
    }

    /// Folder of the parts' logs.
    pub fn logs(&self) -> PathBuf {
        self.layout.data("logs")
    }

    /// What the supervisor says of the parts; nothing if none runs.
    pub fn report(&self) -> Option<Report> {
        let runs = processes::Processes::find(self.layout.root()).is_complete();
        runs.then(|| Report::read(&self.layout)).flatten()
    }

    /// Number of the process that runs an embedded cluster; nothing if it is down.
    pub fn supervisor(&self) -> Option<i32> {
        processes::Processes::find(self.layout.root()).supervisor.first().copied()
    }

    /// Wraps [`Self::kubectl`] for people.
    pub fn kubectl_wrapper(&self) -> PathBuf {
        self.layout.kubectl()
    }
}

impl Choice {
    /// The flags that lead here again, with a blank before each.
    pub fn flags(&self) -> String {
        let mut flags = String::new();
        if self.name != "dev" {
            flags = format!(" --name {}", self.name);
        }
        if let Some(folder) = &self.state_dir {
            flags = format!("{flags} --state-dir {}", folder.display());
        }
        flags
    }
}

/// The image that every node of ours has before there is a registry: `tools/pod`, its program at `/pod`.
pub fn node_image() -> anyhow::Result<String> {
    image::reference(&programs::Programs::locate()?.pod)
}

/// Makes later commands use a cluster that is not ours, if it answers. Returns its version.
pub async fn use_external(choice: &Choice, external: External) -> anyhow::Result<String> {
    let layout = choice.layout()?;
    if matches!(Settings::read(&layout), Ok(Some(Settings::Embedded(_)))) {
        bail!(
            "{:?} is an embedded cluster: give the other one a name by --name, or run `cargo xtask down --purge{}`",
            choice.name,
            choice.flags()
        );
    }
    let client = client(&external.kubeconfig).await?;
    let version = tokio::time::timeout(EXTERNAL_PATIENCE, client.apiserver_version())
        .await
        .with_context(|| format!("no answer within {} s", EXTERNAL_PATIENCE.as_secs()))
        .and_then(|answer| Ok(answer?))
        .with_context(|| {
            let path = external.kubeconfig.display();
            format!("the cluster of {path} does not answer: is it running, and reachable from here?")
        })?;
    fs::create_dir_all(layout.root()).with_context(|| format!("make {}", layout.root().display()))?;
    Settings::External(external).write(&layout)?;
    Ok(version.git_version)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}; `cargo xtask up` makes it", path.display()))
}

async fn client(kubeconfig: &Path) -> anyhow::Result<kube::Client> {
    let failed = || format!("use kubeconfig {}", kubeconfig.display());
    let file = kube::config::Kubeconfig::read_from(kubeconfig).with_context(failed)?;
    let config = kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
        .await
        .with_context(failed)?;
    kube::Client::try_from(config).with_context(failed)
}

/// A client that trusts the cluster's authority and nobody else.
fn http_client(layout: &Layout) -> anyhow::Result<reqwest::Client> {
    let authority = reqwest::Certificate::from_pem(read(&layout.pki("ca.crt"))?.as_bytes())?;
    reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().context("make an HTTP client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_lead_to_the_same_cluster() {
        assert_eq!(Choice::named("dev").flags(), "");
        let choice = Choice { name: "e2e".into(), state_dir: Some("/x".into()) };
        assert_eq!(choice.flags(), " --name e2e --state-dir /x");
    }

    #[test]
    fn a_cluster_that_was_never_up_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let choice = Choice { name: "e2e".into(), state_dir: Some(folder.path().join("none")) };
        let error = Cluster::load(&choice).unwrap_err().to_string();
        assert!(error.contains("cargo xtask up --name e2e --state-dir"), "{error}");
    }
}
