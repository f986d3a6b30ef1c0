//! The service that is measured: its manifests on an API server, its program as a process.
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use tempfile::TempDir;
use testkit::{ControlPlane, Installed, builders};

use crate::bench::{account, process::Service};
use crate::paths;

pub(super) const SERVICE: &str = "release-service";

/// Kinds of neighbours that do not run.
const NEIGHBOURS: [&str; 4] =
    ["application-service", "enterprise-contract", "internal-services", "pipelines-engine"];
/// The role that runs are bound to.
const ROLE: &str = "deploy/kustomize/components/tenant-roles/release-pipeline.yaml";

/// An API server with the service's objects.
pub(super) struct Setup<'a> {
    pub(super) plane: &'a ControlPlane,
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
        let installed = plane.install(SERVICE, None).await?;
        let home = installed.namespace();
        let role = std::fs::read_to_string(paths::repository()?.join(ROLE))?;
        plane.namespace("roles").await?.apply_yaml(&role).await?;
        let defaults =
            builders::config_map(home, "ec-defaults", [("verify_ec_task_bundle", "images.example/ec:1")]);
        Api::<ConfigMap>::namespaced(plane.admin(), home).create(&PostParams::default(), &defaults).await?;
        let folder = tempfile::tempdir().context("create a folder for the service")?;
        let kubeconfig = folder.path().join("kubeconfig");
        account::write_kubeconfig(plane, home, SERVICE, &kubeconfig).await?;
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={home}"),
            format!("--service-namespace={home}"),
            format!("--enterprise-contract-config-map={home}/ec-defaults"),
            // What they cost is the API server's time; whose a Release is, the load says.
            "--enable-webhooks=false".to_owned(),
            "--identity=bench".to_owned(),
            "--log-filter=warn".to_owned(),
        ];
        Ok(Self { plane, binary: binary.to_owned(), installed, arguments, folder })
    }

    /// Starts the service, and waits until its caches are filled.
    pub(super) async fn start(&self) -> anyhow::Result<Service> {
        self.start_with(&[]).await
    }

    /// The same, with these further flags.
    pub(super) async fn start_with(&self, flags: &[String]) -> anyhow::Result<Service> {
        let arguments = [self.arguments.as_slice(), flags].concat();
        Service::start(&self.binary, &arguments, &self.folder.path().join("log")).await
    }

    /// The service, as the API server knows it.
    pub(super) fn user(&self) -> anyhow::Result<String> {
        self.installed.user()
    }
}
