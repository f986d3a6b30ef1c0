//! The logins for registries that a pod would have.

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client};
use registry::Keychain;

/// Logins of the Secrets `names`, then of the pull secrets of `account`. What does not exist, or is of another type, is
/// passed over as the kubelet does.
pub async fn keychain(
    client: &Client,
    namespace: &str,
    account: Option<&str>,
    names: &[String],
) -> Result<Keychain, kube::Error> {
    let mut names = names.to_vec();
    if let Some(account) = account {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let account = accounts.get_opt(account).await?;
        let of_account = account.and_then(|account| account.image_pull_secrets).unwrap_or_default();
        for secret in of_account {
            if !names.contains(&secret.name) {
                names.push(secret.name);
            }
        }
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let mut keychain = Keychain::default();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if let Some(secret) = secrets.get_opt(name).await? {
            add(&mut keychain, namespace, name, &secret);
        } else {
            tracing::info!(namespace, secret = name, "A pull secret does not exist");
        }
    }
    Ok(keychain)
}

/// Adds the logins of a Secret, if it has any.
fn add(keychain: &mut Keychain, namespace: &str, name: &str, secret: &Secret) {
    let data =
        |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|value| value.0.as_slice());
    let added = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => {
            keychain.add_docker_config_json(data(".dockerconfigjson").unwrap_or_default())
        }
        Some("kubernetes.io/dockercfg") => keychain.add_docker_cfg(data(".dockercfg").unwrap_or_default()),
        _ => return,
    };
    if let Err(error) = added {
        tracing::info!(namespace, secret = name, error = %error, "A pull secret cannot be used");
    }
}
