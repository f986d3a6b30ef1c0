//! A namespace with runs, a kubelet that knows what their pods print, and an archive.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleet::certificate::Directory;
use fleet::http::{Limits, Server};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use parking_lot::Mutex;
use serde_json::{Value, json};
use testkit::{ControlPlane, Namespace};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What somebody who reads logs may do.
const RIGHTS: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
- {apiGroups: [tekton.dev], resources: [pipelineruns, taskruns], verbs: [get, list, watch]}
- {apiGroups: [''], resources: [pods/log], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: jane}]
";

pub(crate) struct World {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) namespace: Namespace<'static>,
    pub(crate) archive: Archive,
    kubelet: Kubelet,
    folder: tempfile::TempDir,
    end: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl World {
    /// Where Jane may read runs and logs of pods.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let world = Self::without_rights().await?;
        world.namespace.apply_yaml(RIGHTS).await?;
        Ok(world)
    }

    /// Where she may not.
    pub(crate) async fn without_rights() -> anyhow::Result<Self> {
        let plane = ControlPlane::shared().await;
        plane.install_kinds("pipelines-engine").await?;
        let namespace = plane.namespace("plugin").await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("token"), plane.token_of(&namespace, "jane", &[]).await?)?;
        let end = CancellationToken::new();
        let kubelet = Kubelet::start(plane, &namespace, end.clone()).await?;
        let archive = Archive::start(end.clone()).await?;
        Ok(Self { plane, namespace, archive, kubelet, folder, end })
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let plural = format!("{}s", kind.to_lowercase());
        let (group, version) = ("tekton.dev".to_owned(), "v1".to_owned());
        let api_version = "tekton.dev/v1".to_owned();
        let resource = ApiResource { group, version, api_version, kind: kind.to_owned(), plural };
        Api::namespaced_with(self.plane.admin(), &self.namespace, &resource)
    }

    /// Makes a run with this status.
    pub(crate) async fn create(&self, object: &Value, status: &Value) -> anyhow::Result<()> {
        let api = self.api(object["kind"].as_str().unwrap_or_default());
        api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await?;
        self.set(object, status).await
    }

    /// Merges into the status of a run.
    pub(crate) async fn set(&self, object: &Value, status: &Value) -> anyhow::Result<()> {
        let api = self.api(object["kind"].as_str().unwrap_or_default());
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await?;
        Ok(())
    }

    /// Makes a pod with these containers, of which it says what they print.
    pub(crate) async fn pod(&self, name: &str, containers: &[&str]) -> anyhow::Result<()> {
        let containers: Vec<_> =
            containers.iter().map(|name| json!({"name": name, "image": "images.example/work"})).collect();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"nodeName": self.kubelet.node, "containers": containers},
        }))?;
        Api::namespaced(self.plane.admin(), &self.namespace).create(&PostParams::default(), &pod).await?;
        Ok(())
    }

    /// A container prints this.
    pub(crate) fn prints(&self, container: &str, text: &str) {
        self.kubelet.logs.of(container).send_modify(|log| log.text.push_str(text));
    }

    /// A container ends.
    pub(crate) fn ends(&self, container: &str) {
        self.kubelet.logs.of(container).send_modify(|log| log.is_over = true);
    }
}

#[derive(Clone, Default)]
struct ContainerLog {
    text: String,
    is_over: bool,
}

/// What containers print, by their names.
#[derive(Clone, Default)]
struct ContainerLogs(Arc<Mutex<BTreeMap<String, watch::Sender<ContainerLog>>>>);

impl ContainerLogs {
    fn of(&self, container: &str) -> watch::Sender<ContainerLog> {
        self.0.lock().entry(container.to_owned()).or_default().clone()
    }
}

/// A node whose kubelet answers for the logs of all pods that it is said to run.
struct Kubelet {
    node: String,
    logs: ContainerLogs,
}

impl Kubelet {
    async fn start(plane: &ControlPlane, namespace: &str, end: CancellationToken) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let leaf = testkit::pki::Authority::new("kubelets")?.server("kubelet", &["127.0.0.1"])?;
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&certificate, &leaf.cert_pem)?;
        std::fs::write(&key, &leaf.key_pem)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind("kubelet", address, Limits::default())?;
        let port = server.listening().port();
        let logs = ContainerLogs::default();
        let routes = Router::new()
            .route("/containerLogs/{namespace}/{pod}/{container}", get(container_log))
            .with_state(logs.clone());
        tokio::spawn(async move {
            let directory = Directory::files(certificate, key);
            let certificates = directory.certificates();
            tokio::spawn(directory.run(end.clone()));
            let ended = server.run(routes, Some(certificates), end).await;
            drop((ended, folder));
        });
        let node = format!("node-of-{namespace}");
        let nodes: Api<Node> = Api::all(plane.admin());
        let object: Node = serde_json::from_value(json!({"metadata": {"name": node}}))?;
        nodes.create(&PostParams::default(), &object).await?;
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        nodes.patch_status(&node, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(Self { node, logs })
    }
}

fn query(uri: &Uri) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

async fn container_log(
    State(logs): State<ContainerLogs>,
    Path((_, _, container)): Path<(String, String, String)>,
    uri: Uri,
) -> Response {
    let query = query(&uri);
    let seen = logs.of(&container).subscribe();
    if query.get("follow").is_none_or(|follow| follow != "true") {
        return seen.borrow().text.clone().into_response();
    }
    let pieces = futures::stream::unfold((seen, 0), async |(mut seen, from)| {
        let changed = seen.wait_for(|log| log.text.len() > from || log.is_over).await.ok()?;
        let piece = changed.text[from..].to_owned();
        drop(changed);
        let to = from + piece.len();
        (!piece.is_empty()).then_some((Ok::<_, std::convert::Infallible>(piece), (seen, to)))
    });
    Body::from_stream(pieces).into_response()
}

/// What the archive answers, by a path and a part of the query that both have to be in what is asked.
type Script = Arc<Mutex<Vec<(String, String, u16, String)>>>;

/// An archive that answers what a test says.
pub(crate) struct Archive {
    pub(crate) url: String,
    script: Script,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Archive {
    async fn start(end: CancellationToken) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (script, asked) = (Script::default(), Arc::default());
        let routes = Router::new().fallback(archive).with_state((Arc::clone(&script), Arc::clone(&asked)));
        tokio::spawn(async move {
            tokio::select! { ended = axum::serve(listener, routes) => drop(ended), () = end.cancelled() => {} }
        });
        Ok(Self { url, script, asked })
    }

    /// Answers so if what is asked for contains both; the first that does.
    pub(crate) fn answers(&self, path: &str, query: &str, body: &impl ToString) {
        self.script.lock().push((path.to_owned(), query.to_owned(), 200, body.to_string()));
    }

    pub(crate) fn refuses(&self, path: &str, status: u16, body: &impl ToString) {
        self.script.lock().push((path.to_owned(), String::new(), status, body.to_string()));
    }

    /// Paths with their queries, decoded.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

async fn archive(
    State((script, asked)): State<(Script, Arc<Mutex<Vec<String>>>)>,
    uri: Uri,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let words: Vec<_> = query(&uri).iter().map(|(key, value)| format!("{key}={value}")).collect();
    let query = words.join("&");
    asked.lock().push(format!("{}?{query}", uri.path()));
    let is_known =
        headers.get("authorization").is_some_and(|token| token.as_bytes().starts_with(b"Bearer ey"));
    if !is_known {
        return (StatusCode::UNAUTHORIZED, json!({"code": 16, "message": "no token"}).to_string());
    }
    let script = script.lock();
    let found = script.iter().find(|(path, part, ..)| uri.path().contains(path) && query.contains(part));
    match found {
        Some((_, _, status, body)) => (StatusCode::from_u16(*status).unwrap_or_default(), body.clone()),
        None => (StatusCode::NOT_FOUND, json!({"code": 5, "message": "there is none"}).to_string()),
    }
}

/// A run as the archive has it.
pub(crate) fn record(result: &str, object: &Value) -> Value {
    let (metadata, kind) = (&object["metadata"], object["kind"].as_str().unwrap_or_default());
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    json!({
        "name": format!("{}/results/{result}/records/{}", text("namespace"), text("uid")),
        "data": {"type": format!("tekton.dev/v1.{kind}"), "value": STANDARD.encode(object.to_string())},
    })
}

/// One page.
pub(crate) fn page(records: &[Value], next: &str) -> Value {
    json!({"records": records, "nextPageToken": next})
}
