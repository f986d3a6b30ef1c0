//! What `ec` reads of the cluster: one policy, one Snapshot, one key. Connected to only when something of it is named.

use std::path::PathBuf;
use std::sync::Arc;

use application_service_api::snapshot::Snapshot;
use enterprise_contract_api::EnterpriseContractPolicy;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource as _};
use serde_json::Value;
use tokio::sync::OnceCell;

/// A cluster that may never be asked. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    kubeconfig: Option<PathBuf>,
    client: OnceCell<Client>,
}

/// Why something of the cluster is not known.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("{what} is in a cluster, and there is none")]
    Connect { what: String, source: fleet::client::Error },
    #[error("{what}: it does not exist; is its namespace right?")]
    Missing { what: String },
    #[error("{what} cannot be read")]
    Get { what: String, source: kube::Error },
    #[error("{what}: {reason}")]
    Content { what: String, reason: String },
    #[error("{text:?} is no name of an object: expected is <name> or <namespace>/<name>")]
    Name { text: String },
}

impl Cluster {
    /// That of a kubeconfig, or else the one of the pod or of the user.
    pub fn new(kubeconfig: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner { kubeconfig, client: OnceCell::new() }))
    }

    /// One that is connected already.
    pub fn connected(client: Client) -> Self {
        Self(Arc::new(Inner { kubeconfig: None, client: OnceCell::new_with(Some(client)) }))
    }

    /// `spec` of a policy, as it is stored; `[namespace/]name`.
    pub(super) async fn policy(&self, name: &str) -> Result<Value, ClusterError> {
        self.spec(&ApiResource::erase::<EnterpriseContractPolicy>(&()), name).await
    }

    /// `spec` of a Snapshot, as it is stored; `[namespace/]name`.
    pub(crate) async fn snapshot(&self, name: &str) -> Result<Value, ClusterError> {
        self.spec(&ApiResource::erase::<Snapshot>(&()), name).await
    }

    async fn spec(&self, kind: &ApiResource, name: &str) -> Result<Value, ClusterError> {
        let what = format!("{} {name}", kind.kind);
        let client = self.client(&what).await?;
        let (namespace, name) = match split(name)? {
            (Some(namespace), name) => (namespace, name),
            (None, name) => (client.default_namespace(), name),
        };
        let what = format!("{} {namespace}/{name}", kind.kind);
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
        let object = get(&api, name, &what).await?;
        match object.data.get("spec") {
            Some(spec) => Ok(spec.clone()),
            None => Err(ClusterError::Content { what, reason: "it has no spec".to_owned() }),
        }
    }

    /// The first of these keys of a Secret that is there.
    pub(super) async fn secret(&self, name: &str, keys: &[&str]) -> Result<String, ClusterError> {
        let what = format!("{} {name}", Secret::kind(&()));
        let (Some(namespace), name) = split(name)? else {
            return Err(ClusterError::Name { text: name.to_owned() });
        };
        let client = self.client(&what).await?;
        let secret = get(&Api::<Secret>::namespaced(client.clone(), namespace), name, &what).await?;
        let content = |reason: String| ClusterError::Content { what: what.clone(), reason };
        let mut data = secret.data.unwrap_or_default();
        let found = keys.iter().find_map(|key| data.remove(*key));
        let found = found.ok_or_else(|| content(format!("it has no key {}", keys.join(" or "))))?;
        String::from_utf8(found.0).map_err(|_| content("its public key is no text".to_owned()))
    }

    async fn client(&self, what: &str) -> Result<&Client, ClusterError> {
        let connect = || async {
            let kubeconfig = self.0.kubeconfig.as_deref();
            fleet::client::connect("ec", kubeconfig, &prometheus::Registry::new()).await
        };
        let connected = self.0.client.get_or_try_init(connect).await;
        connected.map_err(|source| ClusterError::Connect { what: what.to_owned(), source })
    }
}

async fn get<K>(api: &Api<K>, name: &str, what: &str) -> Result<K, ClusterError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.get(name).await.map_err(|source| match &source {
        kube::Error::Api(status) if status.is_not_found() => ClusterError::Missing { what: what.to_owned() },
        _ => ClusterError::Get { what: what.to_owned(), source },
    })
}

fn split(text: &str) -> Result<(Option<&str>, &str), ClusterError> {
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
    };
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, text),
    };
    if namespace.into_iter().chain([name]).all(is_name) {
        Ok((namespace, name))
    } else {
        Err(ClusterError::Name { text: text.chars().take(128).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_before_anything_is_asked() {
        assert_eq!(split("ns/name").unwrap(), (Some("ns"), "name"));
        assert_eq!(split("name").unwrap(), (None, "name"));
        for wrong in ["", "a/b/c", "/a", "a/", "A", "../x", "a b"] {
            split(wrong).unwrap_err();
        }
    }
}
