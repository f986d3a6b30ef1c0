//! A node whose kubelet has nothing but logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;
use testkit::pki::Authority;

/// What a container printed.
#[derive(Clone, Debug)]
pub(crate) enum Printed {
    Text(String),
    /// So many bytes, in lines.
    Bytes(usize),
}

#[derive(Default)]
struct Containers {
    /// By pod and container.
    printed: Mutex<BTreeMap<(String, String), Printed>>,
    sent: AtomicUsize,
}

/// Answers for the pods of one test.
pub(crate) struct PlayedNode {
    name: String,
    containers: Arc<Containers>,
}

/// A line of a large log.
const LINE: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
/// Lines of a piece.
const LINES: usize = 1024;

impl PlayedNode {
    /// Makes the Node, named after the namespace that it is for.
    pub(crate) async fn start(admin: Client, namespace: &str) -> anyhow::Result<Self> {
        let leaf = Authority::new("kubelets")?.server("kubelet", &["127.0.0.1"])?;
        let tls = RustlsConfig::from_pem(leaf.cert_pem.into(), leaf.key_pem.into()).await?;
        let containers = Arc::<Containers>::default();
        let router = Router::new()
            .route("/containerLogs/{namespace}/{pod}/{container}", get(log))
            .with_state(Arc::clone(&containers));
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        tokio::spawn(axum_server::from_tcp_rustls(listener, tls)?.serve(router.into_make_service()));
        let name = format!("node-of-{namespace}");
        let nodes: Api<Node> = Api::all(admin);
        let node = json!({"metadata": {"name": name}});
        nodes.create(&PostParams::default(), &serde_json::from_value(node)?).await?;
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        nodes.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(Self { name, containers })
    }

    /// Makes a pod of steps that have printed this.
    pub(crate) async fn pod(
        &self,
        pods: &Api<Pod>,
        name: &str,
        steps: &[(&str, Printed)],
    ) -> anyhow::Result<()> {
        let containers = steps
            .iter()
            .map(|(step, _)| json!({"name": format!("step-{step}"), "image": "registry.example/tool"}));
        let pod = json!({
            "metadata": {"name": name},
            "spec": {"nodeName": self.name, "containers": containers.collect::<Vec<_>>()},
        });
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        let mut printed = self.containers.printed.lock();
        for (step, text) in steps {
            printed.insert((name.to_owned(), format!("step-{step}")), text.clone());
        }
        Ok(())
    }

    /// Bytes that were sent.
    pub(crate) fn sent(&self) -> usize {
        self.containers.sent.load(Ordering::Relaxed)
    }
}

async fn log(
    State(containers): State<Arc<Containers>>,
    Path((_, pod, container)): Path<(String, String, String)>,
) -> Response {
    let printed = containers.printed.lock().get(&(pod, container)).cloned();
    match printed {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Printed::Text(text)) => text.into_response(),
        Some(Printed::Bytes(bytes)) => {
            let piece = Bytes::from(LINE.repeat(LINES));
            let pieces = stream::iter(0..bytes / piece.len()).map(move |_| {
                containers.sent.fetch_add(piece.len(), Ordering::Relaxed);
                Ok::<_, std::io::Error>(piece.clone())
            });
            Body::from_stream(pieces).into_response()
        }
    }
}
