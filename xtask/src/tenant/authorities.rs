//! `trusted-ca` of a tenant. Its data has a field manager of its own: applying the component, which has none, takes
//! nothing away, and on OpenShift, where the cluster fills it, nothing is fought over.
use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::ui;

const NAME: &str = "trusted-ca";
const KEY: &str = "ca-bundle.crt";
const MANAGER: &str = "konflux-trusted-ca";
/// Namespaces of our services. Never another tenant's: whoever owns that could have themselves trusted elsewhere.
const OF_SERVICES: &str =
    "appstudio.redhat.com/namespacetype=controller,app.kubernetes.io/part-of=konflux-rs";

/// Whether the tenant has some, whoever put them there.
pub async fn are_there(client: &Client, namespace: &str) -> anyhow::Result<bool> {
    Ok(read(client, namespace).await?.is_some())
}

/// What the services were deployed with, if anything.
pub async fn of_services(client: &Client) -> anyhow::Result<Option<String>> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let found = namespaces.list(&ListParams::default().labels(OF_SERVICES)).await;
    for namespace in found.context("list the services' namespaces")? {
        if let Some(bundle) = read(client, &namespace.name_any()).await? {
            return Ok(Some(bundle));
        }
    }
    Ok(None)
}

async fn read(client: &Client, namespace: &str) -> anyhow::Result<Option<String>> {
    let map = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(NAME).await;
    let map = map.with_context(|| format!("read ConfigMap {namespace}/{NAME}"))?;
    Ok(map.and_then(|map| map.data?.remove(KEY)))
}

/// Puts the bundle (PEM) into the tenant's ConfigMap. Without `force`, one that somebody else has put there stays.
pub async fn hand_to(client: &Client, namespace: &str, bundle: &str, force: bool) -> anyhow::Result<()> {
    let step = ui::step("certificate authorities to trust");
    let content = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "namespace": namespace},
        "data": {KEY: bundle},
    });
    let parameters = PatchParams { force, ..PatchParams::apply(MANAGER) };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    match maps.patch(NAME, &parameters, &Patch::Apply(&content)).await {
        Ok(_) => step.done(),
        Err(kube::Error::Api(status)) if status.is_conflict() => {
            step.done_with("kept what somebody else has put there; --force-conflicts replaces it");
        }
        Err(error) => {
            return Err(error).with_context(|| format!("apply ConfigMap {namespace}/{NAME}"));
        }
    }
    Ok(())
}
