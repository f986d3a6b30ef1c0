//! A webhook server in this process, which the API server calls for the `ConfigMap`s of one namespace.

use std::net::SocketAddr;
use std::time::Duration;

use fleet::certificate::{CaTarget, Certificates, Issuer, Timing};
use fleet::leader::Leadership;
use fleet::webhook::Webhooks;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{DEADLINE, Namespace, eventually};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The path at which each server of these tests has its webhook.
pub(crate) const PATH: &str = "/check";

/// Looks at the `caBundle` often, and gives the API server's watch time enough.
pub(crate) fn timing() -> Timing {
    Timing {
        lifetime: Duration::from_hours(1),
        check_every: Duration::from_millis(200),
        settle: Duration::from_millis(500),
    }
}

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) certificates: Certificates,
    pub(crate) registry: prometheus::Registry,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) cancel: CancellationToken,
    pub(crate) serving: JoinHandle<Result<(), fleet::webhook::Error>>,
}

impl Served {
    /// Starts server and issuer, with the webhook configuration `<namespace>` of the kind named.
    pub(crate) async fn start(
        client: &Client,
        namespace: &str,
        kind: Kind,
        webhooks: Webhooks,
        timing: Timing,
    ) -> Self {
        let registry = prometheus::Registry::new();
        let server = webhooks.bind(SocketAddr::from(([127, 0, 0, 1], 0)), &registry).unwrap();
        let (address, ready) = (server.listening(), server.ready());
        assert!(!*ready.borrow(), "no certificate yet");
        let target = kind.configure(client, namespace, address).await;

        let issuer = Issuer::new(client.clone(), namespace, "shop")
            .inject_into([target])
            .names(["127.0.0.1".to_owned()])
            .timing(timing);
        let (certificates, cancel) = (issuer.certificates(), CancellationToken::new());
        tokio::spawn(issuer.run(Leadership::always(), cancel.clone()));
        let serving = tokio::spawn(server.run(certificates.clone(), cancel.clone()));
        Self { address, certificates, registry, ready, cancel, serving }
    }

    /// The certificate that is served now.
    pub(crate) fn certificate(&self) -> std::sync::Arc<fleet::certificate::CertificateBundle> {
        self.certificates.borrow().clone().expect("a certificate was issued")
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Validating,
    Mutating,
}

impl Kind {
    /// Makes the configuration, without a `caBundle`.
    async fn configure(self, client: &Client, namespace: &str, address: SocketAddr) -> CaTarget {
        let webhooks = json!([{
            "name": "check.konflux.test",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
            // The cluster's own root certificates would come by.
            "objectSelector": { "matchLabels": { "checked": "yes" } },
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
            }],
            "clientConfig": { "url": format!("https://{address}{PATH}") },
        }]);
        let configuration = json!({ "metadata": { "name": namespace }, "webhooks": webhooks });
        match self {
            Self::Validating => {
                let configuration: ValidatingWebhookConfiguration =
                    serde_json::from_value(configuration).unwrap();
                Api::all(client.clone()).create(&PostParams::default(), &configuration).await.unwrap();
                CaTarget::ValidatingWebhooks(namespace.to_owned())
            }
            Self::Mutating => {
                let configuration: MutatingWebhookConfiguration =
                    serde_json::from_value(configuration).unwrap();
                Api::all(client.clone()).create(&PostParams::default(), &configuration).await.unwrap();
                CaTarget::MutatingWebhooks(namespace.to_owned())
            }
        }
    }
}

/// `ConfigMap`s that the webhook sees.
pub(crate) struct Checked {
    pub(crate) api: Api<ConfigMap>,
}

impl Checked {
    pub(crate) fn new(client: &Client, namespace: &Namespace<'_>) -> Self {
        Self { api: Api::namespaced(client.clone(), namespace) }
    }

    pub(crate) async fn create(&self, name: &str) -> Result<ConfigMap, kube::Error> {
        self.post(name, false).await
    }

    pub(crate) async fn dry_run(&self, name: &str) -> Result<ConfigMap, kube::Error> {
        self.post(name, true).await
    }

    async fn post(&self, name: &str, dry_run: bool) -> Result<ConfigMap, kube::Error> {
        let object = json!({ "metadata": { "name": name, "labels": { "checked": "yes" } }, "data": { "key": "value" } });
        let object = serde_json::from_value(object).unwrap();
        self.api.create(&PostParams { dry_run, ..PostParams::default() }, &object).await
    }

    pub(crate) async fn merge(&self, name: &str, patch: serde_json::Value) -> Result<ConfigMap, kube::Error> {
        self.api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// Waits until the API server knows webhook and authority: until then a call fails, or is not made.
    pub(crate) async fn are_checked(&self, registry: &prometheus::Registry) {
        eventually(DEADLINE, "the webhook to be called", async || {
            let reviewed = requests(registry, "200");
            self.dry_run("are-they-checked").await.map(drop).or_else(|error| match error {
                kube::Error::Api(status) if status.code == 403 => Ok(()),
                error => Err(error),
            })?;
            anyhow::ensure!(requests(registry, "200") > reviewed, "the API server did not ask");
            Ok(())
        })
        .await
        .unwrap();
    }
}

/// How many requests at [`PATH`] were answered with this status.
pub(crate) fn requests(registry: &prometheus::Registry, code: &str) -> u64 {
    requests_at(registry, PATH, code)
}

/// How many requests at `path` were answered with this status.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count, kept as a float")]
pub(crate) fn requests_at(registry: &prometheus::Registry, path: &str, code: &str) -> u64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == "controller_runtime_webhook_requests_total");
    let labelled = |metric: &&prometheus::proto::Metric, name: &str, value: &str| {
        metric.get_label().iter().any(|label| label.name() == name && label.value() == value)
    };
    family
        .into_iter()
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .filter(|metric| labelled(metric, "webhook", path) && labelled(metric, "code", code))
        .map(|metric| metric.get_counter().get_value() as u64)
        .sum()
}

/// The error of a request that the API server refused: status code and message.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String) {
    match result.expect_err("the API server refuses") {
        kube::Error::Api(status) => (status.code, status.message.clone()),
        error => panic!("not refused but failed: {error}"),
    }
}
