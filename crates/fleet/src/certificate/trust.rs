//! Tells the API server whom to trust: `caBundle` of the objects that point it at a webhook.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// An object whose `caBundle` is kept right. One that does not exist is left alone until it does.
#[derive(Clone, Debug, PartialEq, Eq, strum::Display)]
pub enum CaTarget {
    /// Name of a `ValidatingWebhookConfiguration`.
    #[strum(to_string = "ValidatingWebhookConfiguration {0}")]
    ValidatingWebhooks(String),
    /// Name of a `MutatingWebhookConfiguration`.
    #[strum(to_string = "MutatingWebhookConfiguration {0}")]
    MutatingWebhooks(String),
    /// Name of a `CustomResourceDefinition` whose versions a webhook converts.
    #[strum(to_string = "CustomResourceDefinition {0}")]
    Conversion(String),
}

/// Whose `caBundle` this is about. Entries that point at another Service are not ours to change, those with a URL are.
#[derive(Clone, Copy)]
pub(super) struct Server<'a> {
    pub(super) namespace: &'a str,
    pub(super) service: &'a str,
}

/// Fields that our patches own, for `kubectl apply --server-side` of the rest not to take them away.
const MANAGER: &str = "fleet-certificate";

impl CaTarget {
    /// Writes `ca_pem` where another value stands. True if something had to be written.
    pub(super) async fn inject(
        &self,
        client: &Client,
        server: Server<'_>,
        ca_pem: &str,
    ) -> Result<bool, Error> {
        let ca = ByteString(ca_pem.as_bytes().to_vec());
        match self {
            Self::ValidatingWebhooks(name) => {
                let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
                let Some(found) = api.get_opt(name).await? else { return Ok(false) };
                let webhooks = found.webhooks.iter().flatten();
                let stale = stale(server, &ca, webhooks.map(|w| (w.name.as_str(), &w.client_config)));
                patch_entries(&api, name, &stale, &ca).await
            }
            Self::MutatingWebhooks(name) => {
                let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
                let Some(found) = api.get_opt(name).await? else { return Ok(false) };
                let webhooks = found.webhooks.iter().flatten();
                let stale = stale(server, &ca, webhooks.map(|w| (w.name.as_str(), &w.client_config)));
                patch_entries(&api, name, &stale, &ca).await
            }
            Self::Conversion(name) => {
                let api: Api<CustomResourceDefinition> = Api::all(client.clone());
                let Some(found) = api.get_opt(name).await? else { return Ok(false) };
                let config =
                    found.spec.conversion.and_then(|c| c.webhook).and_then(|webhook| webhook.client_config);
                let Some(config) = config else { return Ok(false) };
                let ours = config.service.is_none_or(|s| server.is(&s.namespace, &s.name));
                if !ours || config.ca_bundle.as_ref() == Some(&ca) {
                    return Ok(false);
                }
                let patch = json!({ "spec": { "conversion": { "webhook": { "clientConfig": { "caBundle": ca } } } } });
                api.patch(name, &params(), &Patch::Merge(patch)).await?;
                Ok(true)
            }
        }
    }
}

impl Server<'_> {
    fn is(&self, namespace: &str, service: &str) -> bool {
        self.namespace == namespace && self.service == service
    }
}

/// Names of those webhooks whose `caBundle` is ours and not `ca`.
fn stale<'a>(
    server: Server<'_>,
    ca: &ByteString,
    webhooks: impl Iterator<Item = (&'a str, &'a WebhookClientConfig)>,
) -> Vec<&'a str> {
    webhooks
        .filter(|(_, config)| config.service.as_ref().is_none_or(|s| server.is(&s.namespace, &s.name)))
        .filter(|(_, config)| config.ca_bundle.as_ref() != Some(ca))
        .map(|(name, _)| name)
        .collect()
}

/// A strategic patch: entries are found by their names, so that an entry added or moved meanwhile does no harm.
async fn patch_entries<K>(api: &Api<K>, name: &str, entries: &[&str], ca: &ByteString) -> Result<bool, Error>
where
    K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    if entries.is_empty() {
        return Ok(false);
    }
    let webhooks: Vec<_> =
        entries.iter().map(|entry| json!({ "name": entry, "clientConfig": { "caBundle": ca } })).collect();
    api.patch(name, &params(), &Patch::Strategic(json!({ "webhooks": webhooks }))).await?;
    Ok(true)
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::admissionregistration::v1::ServiceReference;

    use super::*;

    fn entry(service: Option<(&str, &str)>, ca: Option<&str>) -> WebhookClientConfig {
        WebhookClientConfig {
            ca_bundle: ca.map(|ca| ByteString(ca.as_bytes().to_vec())),
            service: service.map(|(namespace, name)| ServiceReference {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                ..ServiceReference::default()
            }),
            url: None,
        }
    }

    #[test]
    fn finds_what_is_ours_and_differs() {
        let entries = [
            ("right", entry(Some(("konflux", "shop")), Some("new"))),
            ("dropped", entry(Some(("konflux", "shop")), None)),
            ("old", entry(Some(("konflux", "shop")), Some("old"))),
            ("by-url", entry(None, None)),
            ("another-service", entry(Some(("konflux", "bank")), None)),
            ("another-namespace", entry(Some(("default", "shop")), None)),
        ];
        let server = Server { namespace: "konflux", service: "shop" };
        let entries = entries.iter().map(|(name, config)| (*name, config));
        assert_eq!(stale(server, &ByteString(b"new".to_vec()), entries), ["dropped", "old", "by-url"]);
    }

    #[test]
    fn shows_kind_and_name() {
        assert_eq!(
            CaTarget::Conversion("things.example.com".to_owned()).to_string(),
            "CustomResourceDefinition things.example.com"
        );
    }
}
