//! The service that is measured: its manifests on an API server, a registry, its program as a process.
use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use attest::PrivateKey;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tempfile::TempDir;
use testkit::{ControlPlane, Installed, Webhooks, pki::Authority, registry::PlayedRegistry};

use crate::bench::{account, process::Service};

pub(super) const SERVICE: &str = "chains";
const PASSWORD: &str = "bench";

/// An API server with the service's objects, and a registry.
pub(super) struct Setup<'a> {
    pub(super) plane: &'a ControlPlane,
    pub(super) registry: PlayedRegistry,
    binary: PathBuf,
    installed: Installed<'a>,
    arguments: Vec<String>,
    folder: TempDir,
}

impl<'a> Setup<'a> {
    pub(super) async fn install(plane: &'a ControlPlane, binary: &Path) -> anyhow::Result<Self> {
        plane.install_kinds("pipelines-engine").await?;
        let port = testkit::free_port()?;
        let installed =
            plane.install(SERVICE, Some(Webhooks { port, ca_pem: None, namespaces: &[] })).await?;
        let authority = Authority::new("everything in this benchmark")?;
        let registry = PlayedRegistry::start(&authority)?;
        let folder = tempfile::tempdir().context("create a folder for the service")?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        fs::write(folder.path().join("cosign.key"), PrivateKey::generate()?.to_encrypted(PASSWORD)?)?;
        fs::write(folder.path().join("cosign.password"), PASSWORD)?;
        let kubeconfig = folder.path().join("kubeconfig");
        account::write_kubeconfig(plane, installed.namespace(), SERVICE, &kubeconfig).await?;
        let path = folder.path().display();
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={}", installed.namespace()),
            format!("--webhook-configuration={}", installed.name_of(SERVICE)),
            format!("--webhook-addr=127.0.0.1:{port}"),
            "--webhook-names=127.0.0.1".to_owned(),
            format!("--signing-secrets={path}"),
            format!("--outbound-allow={}", registry.address()),
            format!("--ca-bundle={path}/ca.crt"),
            "--identity=bench".to_owned(),
            "--log-filter=warn".to_owned(),
        ];
        Ok(Self { plane, registry, binary: binary.to_owned(), installed, arguments, folder })
    }

    /// Whether statements about TaskRuns are stored beside those about PipelineRuns.
    pub(super) async fn store_task_runs(&self, is_stored: bool) -> anyhow::Result<()> {
        let settings: Api<ConfigMap> = Api::namespaced(self.plane.admin(), self.installed.namespace());
        let storage = if is_stored { "oci" } else { "" };
        let data = json!({"data": {"artifacts.taskrun.storage": storage}});
        settings.patch("chains-config", &PatchParams::default(), &Patch::Merge(&data)).await?;
        Ok(())
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
