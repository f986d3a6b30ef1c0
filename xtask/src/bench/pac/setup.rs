//! The service that is measured: its manifests on an API server, a GitHub with its App, its program as a process.
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use pipelines_as_code_api::names;
use tempfile::TempDir;
use testkit::{
    ControlPlane, Installed, Webhooks, builders,
    forge::{Access, App, AppKey, GitHub},
    pki::Authority,
};

use crate::{
    bench::{account, process::Service},
    ui,
};

pub(super) const SERVICE: &str = "pipelines-as-code";
/// What GitHub signs its events with.
pub(super) const WEBHOOK_SECRET: &str = "bench";
/// Whose the repositories are, and who pushes.
pub(super) const OWNER: &str = "acme";
pub(super) const PUSHER: &str = "jane";

const APP: u64 = 4711;
/// More than is asked for here: GitHub's own limits are those of an hour.
const REQUESTS: u64 = 1_000_000;
/// Quiet for this long is idle.
const CALM: Duration = Duration::from_secs(3);

/// An API server with the service's objects, and a forge.
pub(super) struct Setup<'a> {
    pub(super) plane: &'a ControlPlane,
    pub(super) github: GitHub,
    pub(super) http: reqwest::Client,
    pub(super) binary: PathBuf,
    installed: Installed<'a>,
    arguments: Vec<String>,
    port: u16,
    folder: TempDir,
}

impl<'a> Setup<'a> {
    pub(super) async fn install(plane: &'a ControlPlane, binary: &Path) -> anyhow::Result<Self> {
        plane.install_kinds("pipelines-engine").await?;
        // The webhook is served and never asked: its answers are not what is measured.
        let webhooks = Webhooks { port: 1, ca_pem: None, namespaces: &["none"] };
        let installed = plane.install(SERVICE, Some(webhooks)).await?;
        let authority = Authority::new("everything in this benchmark")?;
        let folder = tempfile::tempdir().context("create a folder for the service")?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let kubeconfig = folder.path().join("kubeconfig");
        account::write_kubeconfig(plane, installed.namespace(), SERVICE, &kubeconfig).await?;

        let github = forge(plane, installed.namespace(), &authority).await?;
        let port = testkit::free_port()?;
        let host = github.url().trim_start_matches("https://");
        let (path, webhook) = (folder.path().display(), installed.name_of(names::WEBHOOK));
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={}", installed.namespace()),
            format!("--webhook-configuration={webhook}"),
            "--webhook-addr=127.0.0.1:0".to_owned(),
            format!("--port={port}"),
            format!("--spool-dir={path}/spool"),
            format!("--github-app-server={}", github.url()),
            format!("--outbound-allow={host}"),
            format!("--ca-bundle={path}/ca.crt"),
            "--identity=bench".to_owned(),
            "--log-filter=warn".to_owned(),
        ];
        let (http, binary) = (reqwest::Client::new(), binary.to_owned());
        Ok(Self { plane, github, http, binary, installed, arguments, port, folder })
    }

    /// Starts the service, and waits until its caches are filled.
    pub(super) async fn start(&self) -> anyhow::Result<Service> {
        Service::start(&self.binary, &self.arguments, &self.folder.path().join("log")).await
    }

    /// Where webhooks go.
    pub(super) fn listener(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The service, as the API server knows it.
    pub(super) fn user(&self) -> anyhow::Result<String> {
        self.installed.user()
    }
}

/// A GitHub with the App, and the App's credentials in the service's namespace.
async fn forge(plane: &ControlPlane, namespace: &str, authority: &Authority) -> anyhow::Result<GitHub> {
    let (github, key) = (GitHub::start(authority)?, AppKey::generate()?);
    github.limit_requests(REQUESTS, StatusCode::FORBIDDEN);
    github.edit(|model| -> anyhow::Result<()> {
        model.organization(OWNER);
        model.member(OWNER, PUSHER, Access::Write)?;
        model.add_app(App {
            id: APP,
            slug: "konflux".to_owned(),
            name: "Konflux".to_owned(),
            owner: OWNER.to_owned(),
            public_key: key.public_der(),
        });
        let permissions = ["checks", "contents", "issues", "pull_requests", "statuses", "members"];
        model.install(APP, OWNER, &permissions.map(|permission| (permission, "write")));
        Ok(())
    })?;
    let data = [
        ("github-application-id", APP.to_string()),
        ("github-private-key", key.private_pem().to_owned()),
        ("webhook.secret", WEBHOOK_SECRET.to_owned()),
    ];
    let data = data.iter().map(|(key, value)| (*key, value.as_str()));
    let secret = builders::secret(namespace, names::SECRET, data);
    let secrets: Api<Secret> = Api::namespaced(plane.admin(), namespace);
    secrets.create(&PostParams::default(), &secret).await?;
    Ok(github)
}

/// Waits until all that was delivered is worked on, and nothing more happens.
pub(super) async fn settle(service: &Service, step: &ui::Step) -> anyhow::Result<()> {
    loop {
        let waiting = service.metric("pipelines_as_code_spool_deliveries").await?;
        if waiting < 1.0 {
            break;
        }
        step.waiting(&format!("{waiting} deliveries"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    service.settle(CALM, |at| step.waiting(at)).await
}
