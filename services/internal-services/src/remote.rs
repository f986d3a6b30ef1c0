//! Which cluster the requests are of.

use fleet::{Remote, names};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _};
use tokio::sync::OnceCell;

/// There is one in every cluster, and it stays as long as the cluster.
const LASTING: &str = "kube-system";

/// Tells the remote cluster from others: two of them can have requests of the same name, and services that share a namespace here.
#[derive(Debug, Default)]
pub(crate) struct Identity(OnceCell<String>);

impl Identity {
    /// The uid of a namespace that is there for ever; where that may not be read, a hash of the server's URL.
    pub(crate) async fn of(&self, remote: &Remote) -> Result<&str, kube::Error> {
        let namespaces: Api<Namespace> = Api::all(remote.client().clone());
        let find = async || match namespaces.get(LASTING).await {
            Ok(namespace) => Ok(namespace.uid().unwrap_or_else(|| of_url(remote))),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(of_url(remote)),
            Err(error) => Err(error),
        };
        self.0.get_or_try_init(find).await.map(String::as_str)
    }
}

fn of_url(remote: &Remote) -> String {
    names::hash(26, &[remote.url()])
}
