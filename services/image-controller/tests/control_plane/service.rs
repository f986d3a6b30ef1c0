//! The service as it is deployed, but for the pod: its code runs here, with the rights of its base. The registry is a fake of
//! Quay; accounts, and what owners leave behind, are Kubernetes' own controllers' business.

use std::fs;

use application_service_api::Component;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser as _;
use fleet::Fleet;
use image_controller::Args;
use image_controller_api::names::REGISTRY_TOKEN_ISSUER;
use image_controller_api::{ImageRepository, ImageRepositoryStatus};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use prometheus::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::docker_registry::{DockerRegistry, TokenAuth};
use testkit::pki::Authority;
use testkit::quay::{FakeQuay, ORGANIZATION};
use testkit::{ControlPlane, DEADLINE, Installed, Namespace, eventually, wait_for};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The account by which the service sees whether the registry works.
const HEALTH: &str = "robot_konflux_api_healthcheck";

/// A tenant's namespace, a registry, and an installation of the service that works in this namespace alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) quay: FakeQuay,
    /// Of the service that runs, or ran last.
    pub(crate) metrics: Registry,
    /// Signs what the registry serves.
    authority: Authority,
    folder: TempDir,
    flags: Vec<String>,
    /// What the service may call beside Quay.
    others: Vec<String>,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
    /// Its own, so that it can be killed with all that the service has started.
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Within another runtime, where one must not wait for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Service {
    /// Installs the service and starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with further flags.
    pub(crate) async fn start_with(flags: &[&str]) -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        service.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        service.run().await?;
        Ok(service)
    }

    /// Installs the service. Nothing runs yet.
    pub(crate) async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        plane.controllers().await?;
        plane.install_kinds("application-service").await?;
        let tenant = plane.namespace("tenant").await?;
        let installed = plane.install("image-controller", None).await?;
        let authority = Authority::new("everything in this test")?;
        let quay = FakeQuay::start(&authority)?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        configure(folder.path(), &quay)?;
        Ok(Self {
            plane,
            tenant,
            installed,
            quay,
            metrics: Registry::new(),
            authority,
            folder,
            flags: Vec::new(),
            others: Vec::new(),
            running: None,
        })
    }

    /// Installs the service for a registry that takes tokens from it, and starts it. Nobody answers at its realm.
    pub(crate) async fn start_on_distribution() -> anyhow::Result<(Self, DockerRegistry)> {
        let mut service = Self::install().await?;
        let signer = Authority::new("tokens")?;
        let realm = "https://localhost:1/token";
        let auth = TokenAuth { realm, issuer: REGISTRY_TOKEN_ISSUER, certificate: signer.cert_pem() };
        let registry = DockerRegistry::start(&service.authority, &auth).await?;
        let key = service.folder.path().join("key");
        fs::create_dir(&key)?;
        fs::write(key.join("tls.crt"), signer.cert_pem())?;
        fs::write(key.join("tls.key"), signer.key_pem())?;
        service.others.push(registry.address().to_owned());
        service.flag("--registry-backend=distribution");
        service.flag(&format!("--registry-host={}", registry.address()));
        service.flag(&format!("--registry-token-key-dir={}", key.display()));
        service.run().await?;
        Ok((service, registry))
    }

    /// Gives it a further flag when it starts.
    pub(crate) fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_owned());
    }

    /// Starts the service, also after it was stopped, and waits until it acts and the registry has answered it.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path().display();
        let mut flags = vec![
            "image-controller".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            "--health-addr=127.0.0.1:0".to_owned(),
            "--webhook-addr=127.0.0.1:0".to_owned(),
            "--identity=test".to_owned(),
            format!("--watch-namespaces={}", self.tenant),
            format!("--namespace={}", self.installed.namespace()),
            format!("--outbound-allow={},{}", self.quay.address(), self.others.join(",")),
            format!("--ca-bundle={folder}/ca.crt"),
            format!("--registry-secret-dir={folder}/registry"),
        ];
        flags.extend(self.flags.iter().cloned());
        // Other tests of the same control plane have the kind.
        if !self.flags.iter().any(|flag| flag.starts_with("--credentials-mode")) {
            flags.push("--credentials-mode=secret".to_owned());
        }
        let args = Args::try_parse_from(flags)?;
        self.metrics = Registry::new();
        let (registry, config, stop) =
            (self.metrics.clone(), self.installed.config().await?, CancellationToken::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let ended = runtime.spawn({
            let stop = stop.clone();
            async move {
                let client = fleet::client::build(config, &registry)?;
                let fleet = Fleet::new("image-controller", args.fleet.clone(), client, registry, stop)?;
                image_controller::run(args, fleet).await
            }
        });
        self.running = Some(Running { stop, ended, runtime: Some(runtime) });
        eventually(DEADLINE, "the registry to be asked", async || {
            if let Some(mut running) = self.running.take_if(|running| running.ended.is_finished()) {
                (&mut running.ended).await??;
                anyhow::bail!("the service has ended");
            }
            anyhow::ensure!(self.gauge("redhat_appstudio_imagecontroller_global_quay_app_available") > 0.0);
            Ok(())
        })
        .await
    }

    /// Takes the registry's account away from the service.
    pub(crate) fn misconfigure(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.folder.path().join("registry/quaytoken"))?)
    }

    /// Gives it back.
    pub(crate) fn configure(&self) -> anyhow::Result<()> {
        configure(self.folder.path(), &self.quay)
    }

    /// Stops the service gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut running) = self.running.take() {
            running.stop.cancel();
            (&mut running.ended).await??;
        }
        Ok(())
    }

    /// Ends the service in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    pub(crate) fn gauge(&self, name: &str) -> f64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(f64::NAN, |family| family.get_metric()[0].get_gauge().get_value())
    }

    pub(crate) fn admin(&self) -> Client {
        self.plane.admin()
    }

    /// The tenant's objects of a kind, as an administrator sees them.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.admin(), &self.tenant)
    }

    pub(crate) async fn create(&self, object: &ImageRepository) -> anyhow::Result<ImageRepository> {
        Ok(self.api().create(&PostParams::default(), object).await?)
    }

    /// Merges `body` into an `ImageRepository`.
    pub(crate) async fn patch(&self, name: &str, body: &Value) -> anyhow::Result<ImageRepository> {
        Ok(self.api().patch(name, &PatchParams::default(), &Patch::Merge(body)).await?)
    }

    /// Makes a Component, as its service leaves it.
    pub(crate) async fn component(&self, name: &str, annotations: &Value) -> anyhow::Result<Component> {
        let components = self.api::<Component>();
        components.create(&PostParams::default(), &component(name, annotations)?).await?;
        let status = json!({"status": {"devfile": "schemaVersion: 2.2.0"}});
        Ok(components.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?)
    }

    /// Waits until an `ImageRepository` is as it should be.
    pub(crate) async fn until(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(&ImageRepository) -> bool,
    ) -> anyhow::Result<ImageRepository> {
        wait_for(&self.api(), name, what, DEADLINE, is_so).await
    }

    /// Waits until it is ready, and nothing is to be said.
    pub(crate) async fn ready(&self, name: &str) -> anyhow::Result<ImageRepository> {
        self.until(name, "ready", |object| {
            state(object) == Some(ImageRepositoryStatus::READY) && message(object).is_empty()
        })
        .await
    }

    /// `localhost:<port>/konflux/<namespace>/<path>`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{ORGANIZATION}/{}/{path}", self.quay.address(), &*self.tenant)
    }

    /// `<namespace>/<path>`.
    pub(crate) fn repository(&self, path: &str) -> String {
        format!("{}/{path}", &*self.tenant)
    }

    /// The accounts at the registry, but for the one that shows whether it works.
    pub(crate) fn robots(&self) -> Vec<String> {
        self.quay.edit(|model| model.robots.keys().filter(|name| *name != HEALTH).cloned().collect())
    }

    /// Short name and token of the login that a Secret has for a URL.
    pub(crate) async fn login(&self, secret: &str, url: &str) -> anyhow::Result<(String, String)> {
        let secret = self.api::<Secret>().get(secret).await?;
        login(&secret, url)
    }

    /// Whether the Secret logs in as this account with the token that it has now.
    pub(crate) async fn logs_in(&self, secret: &str, url: &str, robot: &str) -> anyhow::Result<()> {
        let (name, token) = self.login(secret, url).await?;
        anyhow::ensure!(name == robot, "{secret} is for {name}, not {robot}");
        let valid = self.quay.edit(|model| model.robots.get(robot).map(|robot| robot.token.clone()));
        anyhow::ensure!(valid == Some(token), "the token in {secret} is not valid");
        Ok(())
    }

    /// Names in `secrets` and `imagePullSecrets` of an account.
    pub(crate) async fn links(&self, account: &str) -> anyhow::Result<(Vec<String>, Vec<String>)> {
        let account = self.api::<ServiceAccount>().get(account).await?;
        let secrets = account.secrets.into_iter().flatten().filter_map(|secret| secret.name).collect();
        let pull = account.image_pull_secrets.into_iter().flatten().map(|secret| secret.name).collect();
        Ok((secrets, pull))
    }

    /// Waits until an account lists exactly these.
    pub(crate) async fn linked(&self, account: &str, secrets: &[&str], pull: &[&str]) -> anyhow::Result<()> {
        eventually(DEADLINE, &format!("the links of {account}"), async || {
            let (mut has, mut pulls) = self.links(account).await?;
            has.sort();
            pulls.sort();
            anyhow::ensure!(has == secrets && pulls == pull, "{has:?} and {pulls:?}");
            Ok(())
        })
        .await
    }

    /// Waits until it is another second than that of a timestamp.
    pub(crate) async fn clock_has_moved(&self, from: &str) -> anyhow::Result<()> {
        let from: jiff::Timestamp = from.parse()?;
        let clock = fleet::Clock::system();
        eventually(DEADLINE, "the next second", async || {
            anyhow::ensure!(clock.now() > from);
            Ok(())
        })
        .await
    }

    /// Waits for an Event with this reason about the object of this name.
    pub(crate) async fn told(&self, name: &str, reason: &str) -> anyhow::Result<String> {
        eventually(DEADLINE, reason, async || {
            let events = self.api::<Event>().list(&ListParams::default()).await?.items;
            let about = |event: &&Event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some(name)
            };
            let found = events.iter().find(about).and_then(|event| event.note.clone());
            found.ok_or_else(|| anyhow::anyhow!("there is none among {} events", events.len()))
        })
        .await
    }
}

/// Defines `RemoteSecret` as its service does, but for the schema.
pub(crate) async fn define_remote_secrets(plane: &ControlPlane) -> anyhow::Result<()> {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "remotesecrets.appstudio.redhat.com"},
        "spec": {
            "group": "appstudio.redhat.com",
            "scope": "Namespaced",
            "names": {"kind": "RemoteSecret", "plural": "remotesecrets", "singular": "remotesecret"},
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": any},
            }],
        },
    });
    plane.apply_yaml(&definition.to_string()).await?;
    Ok(())
}

/// The files of the mounted Secret.
pub(crate) fn configure(folder: &std::path::Path, quay: &FakeQuay) -> anyhow::Result<()> {
    let files = folder.join("registry");
    fs::create_dir_all(&files)?;
    fs::write(files.join("quaytoken"), format!("{}\n", quay.token()))?;
    fs::write(files.join("organization"), format!("{ORGANIZATION}\n"))?;
    fs::write(files.join("quayapiurl"), format!("{}\n", quay.api_url()))?;
    Ok(())
}

pub(crate) fn image_repository(name: &str, spec: &Value) -> ImageRepository {
    object(&json!({"metadata": {"name": name}, "spec": spec}))
}

/// One that is labelled with the Component `web` of the Application `shop`.
pub(crate) fn of_component(name: &str, annotations: &Value) -> ImageRepository {
    let labels = json!({"appstudio.redhat.com/application": "shop", "appstudio.redhat.com/component": "web"});
    object(&json!({"metadata": {"name": name, "labels": labels, "annotations": annotations}, "spec": {}}))
}

fn object(json: &Value) -> ImageRepository {
    serde_json::from_value(json.clone()).expect("test objects have the type that they are made for")
}

/// A Component of the Application `shop`.
pub(crate) fn component(name: &str, annotations: &Value) -> anyhow::Result<Component> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "componentName": name,
            "application": "shop",
            "source": {"git": {"url": "https://git.example/acme/web"}},
        },
    }))?)
}

pub(crate) fn state(object: &ImageRepository) -> Option<&str> {
    object.status.as_ref()?.state.as_deref()
}

pub(crate) fn message(object: &ImageRepository) -> &str {
    object.status.as_ref().and_then(|status| status.message.as_deref()).unwrap_or_default()
}

/// `status` as JSON.
pub(crate) fn status(object: &ImageRepository) -> Value {
    json!(object.status)
}

pub(crate) fn login(secret: &Secret, url: &str) -> anyhow::Result<(String, String)> {
    let data = secret.data.as_ref().and_then(|data| data.get(".dockerconfigjson"));
    let config: Value = serde_json::from_slice(&data.map(|data| data.0.clone()).unwrap_or_default())?;
    let auth = config["auths"][url]["auth"].as_str().unwrap_or_default();
    let text = String::from_utf8(STANDARD.decode(auth)?)?;
    let (name, token) =
        text.split_once(':').ok_or_else(|| anyhow::anyhow!("no login for {url} in {config}"))?;
    let short = name.split_once('+').map_or(name, |(_, short)| short);
    Ok((short.to_owned(), token.to_owned()))
}
