//! Scenarios 9 and 10: back ends that are registered, by whom the API server permits.

use std::sync::Arc;

use testkit::ControlPlane;

use crate::backend::Backend;
use crate::proxy::{PATIENCE, Proxy};

/// A proxy that asks the control plane, with the rights of its own account.
struct Setup {
    proxy: Proxy,
    /// Of somebody who may register back ends and read metrics.
    allowed: String,
    /// Of somebody who may not.
    stranger: String,
    folder: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let plane = ControlPlane::shared().await;
        let installed = plane.install("sprayproxy", None).await.unwrap();
        let namespace = installed.namespace();
        let folder = tempfile::tempdir().unwrap();
        let token = plane.token_of(namespace, "sprayproxy", &[]).await.unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let admin = std::fs::read_to_string(plane.kubeconfig()).unwrap();
        std::fs::write(&kubeconfig, as_account(&admin, &token)).unwrap();
        let rules = format!(
            r"
apiVersion: v1
kind: ServiceAccount
metadata: {{ name: allowed, namespace: {namespace} }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{ name: stranger, namespace: {namespace} }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{ name: register-{namespace} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {} }}
subjects: [{{ kind: ServiceAccount, name: allowed, namespace: {namespace} }}]
",
            installed.name_of("sprayproxy-backend-register")
        );
        let scratch = plane.namespace("register").await.unwrap();
        scratch.apply_yaml(&rules).await.unwrap();
        let allowed = plane.token_of(namespace, "allowed", &[]).await.unwrap();
        let stranger = plane.token_of(namespace, "stranger", &[]).await.unwrap();
        let flags = [
            "--enable-dynamic-backends".to_owned(),
            "--backend-suffix=http://127.0.0.1".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--spool-dir={}", folder.path().join("spool").display()),
        ];
        let proxy = Proxy::start(&[], &flags.each_ref().map(String::as_str)).await;
        let setup = Self { proxy, allowed, stranger, folder };
        // Rules are in force a moment after they are made.
        let in_force = testkit::eventually(PATIENCE, "the right to be known", async || {
            let (status, text) = setup.call("GET", "", Some(&setup.allowed)).await;
            anyhow::ensure!(status == 200, "HTTP {status} {text}");
            Ok(())
        });
        in_force.await.unwrap();
        setup
    }

    async fn call(&self, method: &str, body: &str, token: Option<&str>) -> (u16, String) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request =
            self.proxy.client.request(method, format!("{}/backends", self.proxy.url)).body(body.to_owned());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn allowed(&self, method: &str, body: &str) -> (u16, String) {
        self.call(method, body, Some(&self.allowed)).await
    }
}

/// The same server for another account.
fn as_account(kubeconfig: &str, token: &str) -> String {
    let mut config: kube::config::Kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let user = config.auth_infos[0].auth_info.as_mut().unwrap();
    *user = serde_json::from_value(serde_json::json!({"token": token})).unwrap();
    // JSON is YAML.
    serde_json::to_string(&config).unwrap()
}

fn body(url: &str) -> String {
    serde_json::json!({"url": url}).to_string()
}

#[tokio::test]
async fn back_ends_come_and_go_for_those_who_may() {
    let setup = Setup::new().await;
    let backend = Backend::start().await;
    let this = body(&backend.url());
    assert_eq!(setup.call("POST", &this, None).await.0, 401);
    assert_eq!(setup.call("POST", &this, Some("invented")).await.0, 401);
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(setup.call(method, &this, Some(&setup.stranger)).await.0, 403, "{method}");
    }
    let said = |status: u16, text: &str| (status, text.to_owned());
    assert_eq!(setup.allowed("POST", &this).await, said(200, "registered the backend server"));
    assert_eq!(setup.allowed("POST", &this).await, said(302, "backend server already registered"));
    assert_eq!(setup.allowed("GET", "").await, said(200, &format!("Backend urls: {}", backend.url())));
    assert_eq!(setup.proxy.deliver("/", b"{}".to_vec(), "d").await.0, 200);
    assert_eq!(backend.wait(1).await.len(), 1);
    assert_eq!(setup.allowed("DELETE", &this).await, said(200, "backend server unregistered"));
    assert_eq!(setup.allowed("DELETE", &this).await, said(404, "backend server not found in the list"));
    for method in ["POST", "DELETE"] {
        assert_eq!(
            setup.allowed(method, "{").await,
            said(400, "please provide a valid json body"),
            "{method}"
        );
    }
    for url in ["", "ftp://127.0.0.1", "http://localhost", "https://169.254.169.254"] {
        assert_eq!(setup.allowed("POST", &body(url)).await.0, 400, "{url}");
    }
    assert_eq!(setup.proxy.deliver("/", b"{}".to_vec(), "e").await.0, 200);
    assert_eq!(backend.seen().len(), 1, "it is gone");
}

#[tokio::test]
async fn registrations_while_webhooks_pass() {
    let setup = Arc::new(Setup::new().await);
    let backend = Backend::start().await;
    assert_eq!(setup.allowed("POST", &body(&backend.url())).await.0, 200);
    let registering = (0..100).map(|number| {
        let setup = setup.clone();
        async move {
            // Where nobody listens: they are dead, which the others must not notice.
            let this = body(&format!("http://127.0.0.1:{}", 1 + number));
            assert_eq!(setup.allowed("POST", &this).await.0, 200);
            assert_eq!(setup.allowed("DELETE", &this).await.0, 200);
        }
    });
    let registering = tokio::spawn(futures::future::join_all(registering));
    for batch in 0..20 {
        let sending = (0..50).map(|number| {
            let setup = setup.clone();
            async move { setup.proxy.deliver("/", b"{}".to_vec(), &format!("{batch}-{number}")).await.0 }
        });
        let answers = futures::future::join_all(sending).await;
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    }
    registering.await.unwrap();
    assert_eq!(backend.wait(1000).await.len(), 1000);
    let listed = setup.allowed("GET", "").await.1;
    assert_eq!(listed, format!("Backend urls: {}", backend.url()));
    assert!(setup.folder.path().join("spool/backends").is_file(), "they outlive the process");
}
