//! Logins for registries: those of the account that the builds of a Component work with.

use std::collections::BTreeMap;

use build_service_api::labels::INTERNAL;
use build_service_api::names::{COMPONENT_SERVICE_ACCOUNT_PREFIX, SERVICE_ACCOUNT};
use fleet::{ObjectKey, Secret as Hidden};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

const DOCKER_TYPE: &str = "kubernetes.io/dockerconfigjson";
const DOCKER_KEY: &str = ".dockerconfigjson";

/// Secrets of an account that are looked at.
const MOST: usize = 50;

/// The logins of a Component's builds in one file, or `None` if there are none. What the platform made is for pushing, and is
/// not handed on.
pub(super) async fn logins(
    client: &Client,
    component: &ObjectKey,
) -> Result<Option<Hidden<String>>, Failure> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &component.namespace);
    let own = format!("{COMPONENT_SERVICE_ACCOUNT_PREFIX}{}", component.name);
    let mut account = None;
    for name in [own.as_str(), SERVICE_ACCOUNT] {
        let found = accounts.get_opt(name).await;
        account = found.map_err(|error| Failure::of_api(&format!("ServiceAccount {name}"), &error))?;
        if account.is_some() {
            break;
        }
    }
    let Some(account) = account else { return Ok(None) };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &component.namespace);
    let mut files = Vec::new();
    for name in names(&account) {
        let found = secrets.get_opt(&name).await;
        let found = found.map_err(|error| Failure::of_api(&format!("Secret {name}"), &error))?;
        files.extend(found.as_ref().and_then(file).map(<[u8]>::to_vec).map(Hidden::new));
    }
    Ok(merged(files.iter().map(|file| file.expose().as_slice())).map(Hidden::new))
}

/// The Secrets of an account, each once.
fn names(account: &ServiceAccount) -> Vec<String> {
    let pull = account.image_pull_secrets.iter().flatten().map(|reference| reference.name.clone());
    let mounted = account.secrets.iter().flatten().filter_map(|reference| reference.name.clone());
    let mut names: Vec<String> = mounted.chain(pull).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(MOST);
    names
}

fn file(secret: &Secret) -> Option<&[u8]> {
    let is_for_us =
        secret.type_.as_deref() == Some(DOCKER_TYPE) && INTERNAL.of(&secret.metadata.labels) != Some("true");
    let data = secret.data.as_ref().filter(|_| is_for_us)?;
    Some(&data.get(DOCKER_KEY)?.0)
}

/// All logins in one file; of several for the same place the first. What is no such file is left out.
fn merged<'a>(files: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut auths: BTreeMap<String, Value> = BTreeMap::new();
    for file in files {
        let Ok(Value::Object(mut file)) = serde_json::from_slice::<Value>(file) else { continue };
        let Some(Value::Object(found)) = file.remove("auths") else { continue };
        for (place, login) in found {
            auths.entry(place).or_insert(login);
        }
    }
    let auths: Map<String, Value> = auths.into_iter().collect();
    (!auths.is_empty()).then(|| json!({ "auths": auths }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(type_: &str, internal: bool) -> Secret {
        let label = if internal { json!({"appstudio.redhat.com/internal": "true"}) } else { json!({}) };
        serde_json::from_value(json!({
            "metadata": {"name": "s", "labels": label},
            "type": type_,
            "data": {".dockerconfigjson": "e30="},
        }))
        .unwrap()
    }

    #[test]
    fn only_logins_of_users() {
        assert_eq!(file(&secret(DOCKER_TYPE, false)), Some(b"{}".as_slice()));
        assert_eq!(file(&secret(DOCKER_TYPE, true)), None);
        assert_eq!(file(&secret("Opaque", false)), None);
    }

    #[test]
    fn the_first_login_for_a_place_counts() {
        let files: [&[u8]; 4] = [
            br#"{"auths": {"a": {"auth": "1"}}}"#,
            b"[",
            br#"{"auths": 7}"#,
            br#"{"auths": {"a": {"auth": "2"}, "b": {}}}"#,
        ];
        let merged: Value = serde_json::from_str(&merged(files.into_iter()).unwrap()).unwrap();
        assert_eq!(merged, json!({"auths": {"a": {"auth": "1"}, "b": {}}}));
        assert_eq!(super::merged(std::iter::empty()), None);
    }

    #[test]
    fn secrets_are_looked_at_once() {
        let account: ServiceAccount = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "secrets": [{"name": "x"}, {"name": "y"}],
            "imagePullSecrets": [{"name": "x"}],
        }))
        .unwrap();
        assert_eq!(names(&account), ["x", "y"]);
    }
}
