//! The service that is measured: its manifests on an API server, two forges, its program as a process.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use http::StatusCode;
use tempfile::TempDir;
use testkit::{
    ControlPlane, Installed, Webhooks,
    forge::{Access, GitHub},
    pki::Authority,
};

use crate::bench::{account, process::Service};

pub(super) const SERVICE: &str = "integration-service";
/// Whose the repositories are, and whose token reports.
pub(super) const OWNER: &str = "acme";
pub(super) const PUSHER: &str = "jane";

/// Kinds of neighbours that do not run.
const NEIGHBOURS: [&str; 5] =
    ["application-service", "gitops-service", "pipelines-as-code", "pipelines-engine", "release-service"];
/// More than is asked for here: GitHub's own limits are those of an hour.
const REQUESTS: u64 = 1_000_000;

/// An API server with the service's objects, and forges.
pub(super) struct Setup<'a> {
    pub(super) plane: &'a ControlPlane,
    /// Answers at once.
    pub(super) quick: GitHub,
    /// Is there to be made to hang.
    pub(super) hanging: GitHub,
    pub(super) binary: PathBuf,
    installed: Installed<'a>,
    arguments: Vec<String>,
    folder: TempDir,
}

impl<'a> Setup<'a> {
    pub(super) async fn install(plane: &'a ControlPlane, binary: &Path) -> anyhow::Result<Self> {
        for neighbour in NEIGHBOURS {
            plane.install_kinds(neighbour).await?;
        }
        let port = testkit::free_port()?;
        let installed =
            plane.install(SERVICE, Some(Webhooks { port, ca_pem: None, namespaces: &[] })).await?;
        let authority = Authority::new("everything in this benchmark")?;
        let (quick, hanging) = (forge(&authority)?, forge(&authority)?);
        let folder = tempfile::tempdir().context("create a folder for the service")?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let kubeconfig = folder.path().join("kubeconfig");
        account::write_kubeconfig(plane, installed.namespace(), SERVICE, &kubeconfig).await?;
        let hosts = [&quick, &hanging].map(|forge| forge.url().trim_start_matches("https://").to_owned());
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={}", installed.namespace()),
            format!("--webhook-configuration={}", installed.name_of(SERVICE)),
            format!("--webhook-addr=127.0.0.1:{port}"),
            "--webhook-names=127.0.0.1".to_owned(),
            format!("--outbound-allow={}", hosts.join(",")),
            format!("--ca-bundle={}/ca.crt", folder.path().display()),
            // As in the base.
            "--outbound-calls-per-host=32".to_owned(),
            "--identity=bench".to_owned(),
            "--log-filter=warn".to_owned(),
        ];
        Ok(Self { plane, quick, hanging, binary: binary.to_owned(), installed, arguments, folder })
    }

    /// Starts the service, and waits until its caches are filled.
    pub(super) async fn start(&self) -> anyhow::Result<Service> {
        Service::start(&self.binary, &self.arguments, &self.folder.path().join("log")).await
    }

    /// The service, as the API server knows it.
    pub(super) fn user(&self) -> anyhow::Result<String> {
        self.installed.user()
    }
}

fn forge(authority: &Authority) -> anyhow::Result<GitHub> {
    let github = GitHub::start(authority)?;
    github.limit_requests(REQUESTS, StatusCode::FORBIDDEN);
    github.edit(|model| -> anyhow::Result<()> {
        model.organization(OWNER);
        model.member(OWNER, PUSHER, Access::Write)?;
        Ok(())
    })?;
    Ok(github)
}
