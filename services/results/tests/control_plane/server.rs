//! A running API server, and calls of it.

use std::path::Path;

use clap::Parser as _;
use http::{HeaderMap, Method, StatusCode};
use results::{Args, Service};
use serde_json::{Value, json};
use testkit::postgres::{Database, Postgres};
use testkit::{ControlPlane, DEADLINE, Namespace, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const PARENTS: &str = "/apis/results.tekton.dev/v1alpha2/parents";

/// Stopped when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) health: String,
    pub(crate) metrics: String,
    pub(crate) plane: &'static ControlPlane,
    /// Folder of stored logs.
    pub(crate) logs: tempfile::TempDir,
    stop: CancellationToken,
    _running: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// An answer over REST.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    pub(crate) text: String,
    pub(crate) headers: HeaderMap,
}

impl Server {
    /// Over a database of its own, in plain text, with logs.
    pub(crate) async fn start() -> Self {
        let database = Postgres::database().await.unwrap();
        Self::with(&database, Path::new("/nowhere"), &[]).await
    }

    /// With these flags beside those of a test, or in place of them.
    pub(crate) async fn with(database: &Database, tls: &Path, flags: &[&str]) -> Self {
        let plane = ControlPlane::shared().await;
        let logs = tempfile::tempdir().unwrap();
        let port = database.port().to_string();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let mut args = vec!["results-api".to_owned()];
        for (flag, value) in [
            ("db-host", database.host()),
            ("db-port", &port),
            ("db-name", database.name()),
            ("db-user", database.user()),
            ("db-password", database.password()),
            ("db-sslrootcert", &path(database.authority())),
            ("server-port", "0"),
            ("prometheus-port", "0"),
            ("health-addr", "127.0.0.1:0"),
            ("kubeconfig", &path(plane.kubeconfig())),
            ("tls-path", &path(tls)),
            ("logs-api", "true"),
            ("logs-path", &path(logs.path())),
        ] {
            let flag = format!("--{flag}=");
            if !flags.iter().any(|given| given.starts_with(&flag)) {
                args.push(flag + value);
            }
        }
        args.extend(flags.iter().map(|&flag| flag.to_owned()));
        let stop = CancellationToken::new();
        let service = Service::start(Args::parse_from(args), stop.clone()).await.unwrap();
        let scheme = if tls.join("tls.crt").exists() { "https" } else { "http" };
        let server = Self {
            url: format!("{scheme}://localhost:{}", service.calls().port()),
            health: format!("http://{}", service.health()),
            metrics: format!("http://localhost:{}", service.metrics().port()),
            plane,
            stop,
            logs,
            _running: tokio::spawn(async move { service.run().await.unwrap() }),
        };
        server.ready(true).await;
        server
    }

    /// Waits until the server counts as ready, or does not any more.
    pub(crate) async fn ready(&self, is_ready: bool) {
        let asked = async || {
            let answer = reqwest::get(format!("{}/readyz", self.health)).await?;
            anyhow::ensure!(answer.status().is_success() == is_ready, "{}", answer.text().await?);
            Ok(())
        };
        eventually(DEADLINE, "the server's readiness to change", asked).await.unwrap();
    }

    /// The token of an account that has these verbs on results, records and logs of its namespace.
    pub(crate) async fn user(&self, namespace: &Namespace<'_>, name: &str, verbs: &str) -> String {
        grant(namespace, name, verbs).await;
        let token = self.plane.token_of(namespace, name, &[]).await.unwrap();
        // Roles are read from caches of the API server, and its no is remembered by ours for some seconds.
        let first = verbs.split(',').next().unwrap().trim().to_owned();
        if !first.is_empty() {
            let asked = async || {
                let review = json!({
                    "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                    "spec": {
                        "user": testkit::user_name(namespace, name),
                        "resourceAttributes": {
                            "verb": first, "group": "results.tekton.dev", "resource": "results",
                            "namespace": namespace.name(),
                        },
                    },
                });
                let request = http::Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
                    .header("content-type", "application/json")
                    .body(serde_json::to_vec(&review)?)?;
                let answer: Value = self.plane.admin().request(request).await?;
                anyhow::ensure!(answer["status"]["allowed"] == true, "{answer}");
                Ok(())
            };
            eventually(DEADLINE, "the Role to be known", asked).await.unwrap();
        }
        token
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.call(Method::GET, token, path, None, &[]).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        self.call(Method::POST, token, path, Some(body), &[]).await
    }

    /// `path` begins after the parents. No `Authorization` without a token.
    pub(crate) async fn call(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let url = if path.starts_with("/healthz") {
            format!("{}{path}", self.url)
        } else {
            format!("{}{PARENTS}/{path}", self.url)
        };
        let mut request = reqwest::Client::new().request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Answer { status, body: serde_json::from_str(&text).unwrap_or(Value::Null), text, headers }
    }
}

/// Lets an account do these verbs (`get, list`) with results, records and logs of its namespace.
async fn grant(namespace: &Namespace<'_>, name: &str, verbs: &str) {
    if verbs.is_empty() {
        return;
    }
    let rules = format!(
        r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: {name} }}
rules: [{{ apiGroups: [results.tekton.dev], resources: [results, records, logs], verbs: [{verbs}] }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: {name} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name} }}
subjects: [{{ kind: ServiceAccount, name: {name}, namespace: {namespace} }}]
"
    );
    namespace.apply_yaml(&rules).await.unwrap();
}

/// All that there is to do.
pub(crate) const ALL: &str = "get, list, create, update, delete";

pub(crate) fn result(parent: &str, name: &str) -> Value {
    json!({ "name": format!("{parent}/results/{name}"), "annotations": { "team": "a" } })
}

/// A Record whose data is `document`.
pub(crate) fn record(parent: &str, result: &str, name: &str, kind: &str, document: &Value) -> Value {
    use base64::Engine as _;
    let value = base64::engine::general_purpose::STANDARD.encode(document.to_string());
    json!({
        "name": format!("{parent}/results/{result}/records/{name}"),
        "data": { "type": kind, "value": value },
    })
}
