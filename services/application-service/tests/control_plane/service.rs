//! The service as it is deployed, but for the pod: its code runs here, with the rights and webhooks of its base.

use application_service::Args;
use application_service_api::{Application, Component};
use clap::Parser as _;
use fleet::Fleet;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::{Api, Client};
use prometheus::Registry;
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace, eventually};
use testkit::{Installed, Webhooks};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A tenant's namespace, and an installation of the service that works in it alone.
pub(crate) struct Service {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) tenant: Namespace<'static>,
    pub(crate) installed: Installed<'static>,
    pub(crate) registry: Registry,
    webhook_port: u16,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    ended: JoinHandle<Result<(), fleet::Error>>,
}

impl Service {
    /// Installs the service and starts it.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut service = Self::install().await?;
        service.run().await?;
        Ok(service)
    }

    /// Installs the service: its kinds, rights and webhooks. Nothing runs yet.
    pub(crate) async fn install() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        let tenant = plane.namespace("tenant").await?;
        let webhook_port = testkit::free_port()?;
        let webhooks = Webhooks { port: webhook_port, ca_pem: None, namespaces: &[&tenant] };
        let installed = plane.install("application-service", Some(webhooks)).await?;
        Ok(Self { plane, tenant, installed, registry: Registry::new(), webhook_port, running: None })
    }

    /// Starts the service, and waits until it acts and its webhook is called.
    pub(crate) async fn run(&mut self) -> anyhow::Result<()> {
        let args = Args::try_parse_from([
            "application-service",
            "--metrics-addr=127.0.0.1:0",
            "--health-addr=127.0.0.1:0",
            &format!("--webhook-addr=127.0.0.1:{}", self.webhook_port),
            "--webhook-names=127.0.0.1",
            &format!("--webhook-configuration={}", self.installed.name_of("application-service")),
            &format!("--watch-namespaces={}", self.tenant),
            &format!("--namespace={}", self.installed.namespace()),
            "--identity=test",
        ])?;
        self.registry = Registry::new();
        let client = fleet::client::build(self.installed.config().await?, &self.registry)?;
        let stop = CancellationToken::new();
        let fleet = Fleet::new(
            "application-service",
            args.fleet.clone(),
            client,
            self.registry.clone(),
            stop.clone(),
        )?;
        let ended = tokio::spawn(application_service::run(args, fleet));
        self.running = Some(Running { stop, ended });
        self.await_webhook().await
    }

    /// Stops the service gracefully.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(Running { stop, ended }) = self.running.take() {
            stop.cancel();
            ended.await??;
        }
        Ok(())
    }

    /// Fails unless the API server has the webhooks of the base to call, which lets pass what they do not answer soon, and
    /// nobody serves them.
    pub(crate) async fn only_its_webhooks_are_left(&self) -> anyhow::Result<()> {
        let configurations = Api::<ValidatingWebhookConfiguration>::all(self.admin());
        let configuration = configurations.get(&self.installed.name_of("application-service")).await?;
        let webhooks = configuration.webhooks.unwrap_or_default();
        anyhow::ensure!(!webhooks.is_empty(), "there is nothing to call");
        for webhook in webhooks {
            anyhow::ensure!(webhook.failure_policy.as_deref() == Some("Ignore"), "{} blocks", webhook.name);
            anyhow::ensure!(
                webhook.timeout_seconds.is_some_and(|seconds| seconds <= 5),
                "{} is slow",
                webhook.name
            );
        }
        let served = tokio::net::TcpStream::connect(("127.0.0.1", self.webhook_port)).await;
        anyhow::ensure!(served.is_err(), "somebody listens on port {}", self.webhook_port);
        Ok(())
    }

    /// The API server learns of a webhook and its authority a moment after they are written.
    async fn await_webhook(&self) -> anyhow::Result<()> {
        let components = self.components();
        eventually(testkit::DEADLINE, "the webhook to refuse a cycle", async || {
            let mut probe = git_component("probe", "none");
            // The CRD refuses this one already; through another name only the webhook can.
            probe.spec.build_nudges_ref = vec!["probe-2".into()];
            let mut back = git_component("probe-2", "none");
            back.spec.build_nudges_ref = vec!["probe".into()];
            create_if_absent(&components, &probe).await?;
            match components
                .create(&kube::api::PostParams { dry_run: true, ..Default::default() }, &back)
                .await
            {
                Ok(_) => anyhow::bail!("the cycle was accepted"),
                Err(error) if error.to_string().contains("cycle detected") => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        components.delete("probe", &Default::default()).await?;
        Ok(())
    }

    pub(crate) fn admin(&self) -> Client {
        self.plane.admin()
    }

    pub(crate) fn applications(&self) -> Api<Application> {
        Api::namespaced(self.admin(), &self.tenant)
    }

    pub(crate) fn components(&self) -> Api<Component> {
        Api::namespaced(self.admin(), &self.tenant)
    }

    /// The value of a counter without labels.
    pub(crate) fn counter(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |family| family.get_metric()[0].get_counter().get_value())
    }
}

pub(crate) async fn create_if_absent(api: &Api<Component>, component: &Component) -> anyhow::Result<()> {
    match api.create(&Default::default(), component).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn application(name: &str, spec: &Value) -> Application {
    object("Application", name, spec)
}

pub(crate) fn component(name: &str, spec: &Value) -> Component {
    object("Component", name, spec)
}

/// A Component that is built from Git.
pub(crate) fn git_component(name: &str, application: &str) -> Component {
    let url = format!("https://git.example/acme/{name}");
    component(
        name,
        &json!({"componentName": name, "application": application, "source": {"git": {"url": url}}}),
    )
}

fn object<K: serde::de::DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> K {
    let object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).expect("test objects have the type that they are made for")
}

/// The YAML in an object's `status.devfile`, parsed.
pub(crate) fn devfile(text: Option<&String>) -> Value {
    text.map(|text| serde_saphyr::from_str(text).expect("devfiles are YAML")).unwrap_or_default()
}
