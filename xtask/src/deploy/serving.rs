//! Certificates of servers that others than the API server call, by the dev cluster's authority. On other clusters whoever
//! runs them brings these Secrets.
use anyhow::Context as _;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use testkit::pki::Leaf;

use super::apply::FIELD_MANAGER;
use crate::cluster::{Cluster, IMAGES_NAME};

/// A Secret from which pods take their certificate, and the Services that lead to them.
struct Server {
    namespace: &'static str,
    services: &'static [&'static str],
    /// By which it is called beside those.
    names: &'static [&'static str],
    secret: &'static str,
}

/// Every server that needs one. A service that comes later adds a row.
const SERVERS: [Server; 5] = [
    Server {
        namespace: "image-controller",
        services: &["image-registry-tokens"],
        // The realm that the tenants' registry names.
        names: &[IMAGES_NAME],
        secret: "image-registry-tokens-tls",
    },
    Server {
        namespace: "pipelines-as-code",
        // Replicas ask each other by their own names.
        services: &["pipelines-as-code-controller", "*.pipelines-as-code-replicas"],
        names: &[],
        secret: "pipelines-as-code-tls-secret",
    },
    Server {
        namespace: "sprayproxy",
        services: &["sprayproxy", "metrics"],
        names: &[],
        secret: "sprayproxy-tls",
    },
    Server {
        namespace: "tekton-results",
        services: &["tekton-results-api-service"],
        // Who comes by `kubectl port-forward`.
        names: &["localhost"],
        secret: "tekton-results-tls",
    },
    Server {
        namespace: "tekton-results",
        services: &["tekton-results-postgres-service"],
        names: &[],
        secret: "tekton-results-postgres-tls",
    },
];

/// Makes the Secrets that are absent in these namespaces, and returns which.
pub async fn issue(client: &Client, namespaces: &[&str], cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let mut made = Vec::new();
    for server in SERVERS.iter().filter(|server| namespaces.contains(&server.namespace)) {
        let what = format!("{}/{}", server.namespace, server.secret);
        let api: Api<Secret> = Api::namespaced(client.clone(), server.namespace);
        if api.get_opt(server.secret).await.with_context(|| format!("read Secret {what}"))?.is_some() {
            continue;
        }
        let names = server.names();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let Some(leaf) = cluster.issue_server(&names)? else { continue };
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let created = api.create(&parameters, &server.secret(&leaf)).await;
        created.with_context(|| format!("create Secret {what}"))?;
        made.push(what);
    }
    Ok(made)
}

impl Server {
    /// By which it is called in the cluster.
    fn names(&self) -> Vec<String> {
        let names = self.services.iter().flat_map(|service| {
            let short = format!("{service}.{}", self.namespace);
            [format!("{short}.svc.cluster.local"), format!("{short}.svc"), short]
        });
        names.chain(self.names.iter().map(|name| (*name).to_owned())).collect()
    }

    fn secret(&self, leaf: &Leaf) -> Secret {
        let data = [("tls.crt", &leaf.cert_pem), ("tls.key", &leaf.key_pem)];
        Secret {
            metadata: ObjectMeta {
                name: Some(self.secret.to_owned()),
                namespace: Some(self.namespace.to_owned()),
                labels: Some([("app.kubernetes.io/part-of".to_owned(), "konflux-rs".to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data.map(|(key, pem)| (key.to_owned(), ByteString(pem.clone().into_bytes()))).into()),
            ..Secret::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::FORGE_WEBHOOK_URL;

    #[test]
    fn certificate_names_the_host_that_the_forge_calls() {
        let host = FORGE_WEBHOOK_URL.split('/').nth(2).unwrap().split(':').next().unwrap();
        let names = SERVERS.iter().flat_map(Server::names).collect::<Vec<_>>();
        assert!(names.iter().any(|name| name == host), "{host} is none of {names:?}");
    }
}
