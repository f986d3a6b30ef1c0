//! The key that a policy names.

use attest::KeySet;
use enterprise_contract_api::names::{KEY_IN_CLUSTER, PUBLIC_KEY_KEY};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

/// What a key in PEM begins with.
const PEM: &str = "-----BEGIN";
/// Key of a Secret with several public keys, each for a time.
const KEY_SET_KEY: &str = "keys.json";

pub(super) fn is_in_cluster(key: &str) -> bool {
    key.starts_with(KEY_IN_CLUSTER)
}

/// Whether a key can be used; the error is for people, and does not show it. A path, or the URI of a key management service, is
/// left to `ec`: it may mean something there that it does not mean here.
pub(super) async fn check(key: &str, client: &Client) -> Result<(), String> {
    let key = key.trim();
    if let Some(name) = key.strip_prefix(KEY_IN_CLUSTER) {
        let text = read(name, client).await?;
        return KeySet::parse(&text).map(drop).map_err(|error| format!("{key}: {error}"));
    }
    if key.starts_with(PEM) {
        return KeySet::parse(key).map(drop).map_err(|error| error.to_string());
    }
    Ok(())
}

async fn read(name: &str, client: &Client) -> Result<String, String> {
    let whole = format!("{KEY_IN_CLUSTER}{name}");
    let (namespace, name) = name
        .split_once('/')
        .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| format!("{whole:?} is not {KEY_IN_CLUSTER}<namespace>/<secret>"))?;
    let found = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await;
    let secret = found.map_err(|error| match &error {
        kube::Error::Api(status) if status.is_forbidden() => format!(
            "Secret {namespace}/{name} may not be read by this controller: call it public-key, or grant `get` on it \
             to ServiceAccount enterprise-contract"
        ),
        _ => format!("Secret {namespace}/{name} cannot be read: {error}"),
    })?;
    let secret = secret.ok_or_else(|| format!("there is no Secret {name} in namespace {namespace}"))?;
    let mut data = secret.data.unwrap_or_default();
    let value = [KEY_SET_KEY, PUBLIC_KEY_KEY].into_iter().find_map(|key| data.remove(key));
    let value = value.ok_or_else(|| format!("Secret {namespace}/{name} has no key {PUBLIC_KEY_KEY}"))?;
    String::from_utf8(value.0).map_err(|_| format!("Secret {namespace}/{name}: {PUBLIC_KEY_KEY} is no text"))
}
