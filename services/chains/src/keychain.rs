//! The registry logins of the account that a run ran as (specification, section 4.9).
//!
//! Accounts and Secrets of tenants are asked for by name and kept for a minute, so that the runs of a namespace share what was
//! read. A failure to store anything has them read anew: the Secret may have been linked, or its token replaced, a moment ago.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client};
use parking_lot::Mutex;
use registry::Keychain;
use std::collections::HashMap;

use crate::run::Identity;

/// How long what was read is used.
const FRESH: Duration = Duration::from_mins(1);
/// Accounts that are remembered.
const REMEMBERED: usize = 1024;
/// Secrets that an account may have us read. More are passed over.
const MOST_SECRETS: usize = 64;

/// Why the logins of an account are not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeychainError {
    #[error("read ServiceAccount {name}")]
    Account { name: String, source: kube::Error },
    #[error("read Secret {name}")]
    Secret { name: String, source: kube::Error },
}

struct Kept {
    keychain: Arc<Keychain>,
    since: Instant,
}

/// Reads and remembers logins.
pub(crate) struct Keychains {
    client: Client,
    kept: Mutex<HashMap<Identity, Kept>>,
}

impl Keychains {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, kept: Mutex::default() }
    }

    /// The logins of an account. One that does not exist has none: what it pushes to may be open to all.
    pub(crate) async fn get(&self, identity: &Identity) -> Result<Arc<Keychain>, KeychainError> {
        if let Some(kept) = self.kept.lock().get(identity).filter(|kept| kept.since.elapsed() < FRESH) {
            return Ok(Arc::clone(&kept.keychain));
        }
        let keychain = Arc::new(self.read(identity).await?);
        let mut all = self.kept.lock();
        if all.len() >= REMEMBERED {
            all.retain(|_, kept| kept.since.elapsed() < FRESH);
        }
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(identity.clone(), Kept { keychain: Arc::clone(&keychain), since: Instant::now() });
        Ok(keychain)
    }

    /// Has them read anew the next time.
    pub(crate) fn forget(&self, identity: &Identity) {
        self.kept.lock().remove(identity);
    }

    async fn read(&self, identity: &Identity) -> Result<Keychain, KeychainError> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &identity.namespace);
        let account = accounts.get_opt(&identity.account).await;
        let account = account
            .map_err(|source| KeychainError::Account { name: identity.account.clone(), source })?
            .unwrap_or_default();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &identity.namespace);
        let mut keychain = Keychain::default();
        for name in names(identity, account).into_iter().take(MOST_SECRETS) {
            match secrets.get_opt(&name).await {
                Ok(Some(secret)) => add(&mut keychain, identity, &name, &secret),
                Ok(None) => {
                    tracing::debug!(
                        namespace = identity.namespace,
                        secret = name,
                        "A Secret that is linked does not exist"
                    );
                }
                Err(source) => return Err(KeychainError::Secret { name, source }),
            }
        }
        Ok(keychain)
    }
}

/// The Secrets that may have logins, each once: of the pod template, then those for pulling, then the mountable ones.
fn names(identity: &Identity, account: ServiceAccount) -> Vec<String> {
    let pull = account.image_pull_secrets.into_iter().flatten().map(|secret| secret.name);
    let mountable = account.secrets.into_iter().flatten().filter_map(|secret| secret.name);
    let mut names: Vec<String> = Vec::new();
    for name in identity.pull_secrets.iter().cloned().chain(pull).chain(mountable) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Adds the logins of a Secret, if it is one that has any.
fn add(keychain: &mut Keychain, identity: &Identity, name: &str, secret: &Secret) {
    let data =
        |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map_or(&[][..], |value| &value.0);
    let added = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => keychain.add_docker_config_json(data(".dockerconfigjson")),
        Some("kubernetes.io/dockercfg") => keychain.add_docker_cfg(data(".dockercfg")),
        _ => return,
    };
    if let Err(error) = added {
        tracing::info!(namespace = identity.namespace, secret = name, %error, "A Secret with logins cannot be used");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity() -> Identity {
        let pull_secrets = vec!["of-template".to_owned(), String::new()];
        Identity { namespace: "n".to_owned(), account: "a".to_owned(), pull_secrets }
    }

    #[test]
    fn all_secrets_of_the_account_are_looked_at_once() {
        let account = serde_json::from_value(json!({
            "secrets": [{"name": "push"}, {"name": "pull"}, {}],
            "imagePullSecrets": [{"name": "pull"}],
        }))
        .unwrap();
        assert_eq!(names(&identity(), account), ["of-template", "pull", "push"]);
    }

    #[test]
    fn only_secrets_of_registries_have_logins() {
        let logins = |type_: &str, key: &str, content: &str| {
            let mut keychain = Keychain::default();
            let data = json!({key: k8s_openapi::ByteString(content.as_bytes().to_vec())});
            let secret = serde_json::from_value(json!({"type": type_, "data": data})).unwrap();
            add(&mut keychain, &identity(), "s", &secret);
            keychain.logins(&"quay.io/a".parse().unwrap()).count()
        };
        let login = r#"{"quay.io": {"username": "u", "password": "p"}}"#;
        let config = format!(r#"{{"auths": {login}}}"#);
        assert_eq!(logins("kubernetes.io/dockerconfigjson", ".dockerconfigjson", &config), 1);
        assert_eq!(logins("kubernetes.io/dockercfg", ".dockercfg", login), 1);
        assert_eq!(logins("Opaque", ".dockerconfigjson", &config), 0);
        assert_eq!(logins("kubernetes.io/dockerconfigjson", ".dockerconfigjson", "{"), 0);
        assert_eq!(logins("kubernetes.io/dockerconfigjson", "other", &config), 0);
    }
}
