//! The archive of the cluster under test, asked from outside in each of its ways.
use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::Output};

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, ServiceAccount},
};
use kube::{Api, Client, api::PostParams};
use results_api::client::{Settings, Token, Transport};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use testkit::ControlPlane;
use tokio::process::Command;

const SERVER: &str = "tekton-results-api-service.tekton-results.svc";
/// Node port of the dev overlay.
const PORT: u16 = 30444;

/// The archive, from outside of the cluster.
pub(super) struct Archive {
    http: reqwest::Client,
    address: SocketAddr,
    /// Who has signed its certificate.
    authority: NamedTempFile,
}

impl Archive {
    pub(super) async fn of(cluster: &ControlPlane) -> anyhow::Result<Self> {
        let file = std::env::var_os("KONFLUX_E2E_IMAGES")
            .context("KONFLUX_E2E_IMAGES is not set: it names tenants-registry.json in the state folder of the cluster")?;
        let access: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let address: SocketAddr =
            access["address"].as_str().context("tenants-registry.json has an address")?.parse()?;
        let trusted =
            Api::<ConfigMap>::namespaced(cluster.admin(), "tekton-results").get("trusted-ca").await?;
        let bundle = trusted.data.and_then(|mut data| data.remove("ca-bundle.crt"));
        let bundle = bundle.context("trusted-ca has no bundle")?;
        let mut authority = NamedTempFile::new()?;
        authority.write_all(bundle.as_bytes())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(bundle.as_bytes())?])
            .resolve(SERVER, SocketAddr::new(address.ip(), 0))
            .build()?;
        Ok(Self { http, address: SocketAddr::new(address.ip(), PORT), authority })
    }

    pub(super) async fn get(
        &self,
        path: &str,
        filter: &str,
        token: Option<&str>,
    ) -> anyhow::Result<(u16, Value)> {
        let (status, text) = self.text(path, filter, token).await?;
        let value = serde_json::from_str(&text);
        Ok((status, value.with_context(|| format!("an answer {status} that is no JSON: {text}"))?))
    }

    pub(super) async fn text(
        &self,
        path: &str,
        filter: &str,
        token: Option<&str>,
    ) -> anyhow::Result<(u16, String)> {
        let url = format!("https://{SERVER}:{PORT}/apis/results.tekton.dev/v1alpha2/parents/{path}");
        let mut request = self.http.get(url).query(&[("filter", filter)]);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// The archived PipelineRuns of a namespace that this filter lets through.
    pub(super) async fn runs(
        &self,
        namespace: &str,
        filter: &str,
        token: &str,
    ) -> anyhow::Result<Vec<Value>> {
        let filter = format!("data_type == PIPELINE_RUN && {filter}");
        let (status, answer) =
            self.get(&format!("{namespace}/results/-/records"), &filter, Some(token)).await?;
        ensure!(status == 200, "{status}: {answer:#}");
        answer["records"].as_array().into_iter().flatten().map(document).collect()
    }

    /// A gRPC connection of the holder of this token.
    pub(super) fn grpc(&self, token: &str) -> anyhow::Result<Transport> {
        Ok(Transport::new(Settings {
            address: self.address.to_string(),
            ca: Some(self.authority.path().to_owned()),
            server_name: Some(SERVER.to_owned()),
            token: Token::Text(token.to_owned()),
        })?)
    }

    /// What `kubectl konflux` says to the holder of this token.
    pub(super) async fn plugin(&self, words: &[&str], token: &str) -> anyhow::Result<Output> {
        let plugin = plugin()?;
        let mut file = NamedTempFile::new()?;
        file.write_all(token.as_bytes())?;
        let mut command = Command::new(&plugin);
        command
            .args(words)
            .env("KUBECONFIG", std::env::var_os("KONFLUX_E2E_KUBECONFIG").unwrap_or_default())
            .env("KONFLUX_TOKEN_FILE", file.path())
            .env("KONFLUX_RESULTS_URL", format!("https://{}", self.address))
            .env("KONFLUX_RESULTS_CA", self.authority.path())
            .env("KONFLUX_RESULTS_SERVER_NAME", SERVER);
        command.output().await.with_context(|| format!("run {}", plugin.display()))
    }
}

/// The program, beside the other programs of the build that this test is of.
fn plugin() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder =
        this.parent().and_then(std::path::Path::parent).context("a test is in a folder of a build")?;
    let plugin = folder.join("kubectl-konflux");
    ensure!(plugin.is_file(), "{} is not there: `cargo build -p kubectl-konflux`", plugin.display());
    Ok(plugin)
}

/// The object that a record keeps.
pub(super) fn document(record: &Value) -> anyhow::Result<Value> {
    let encoded = record["data"]["value"].as_str().context("a record has data")?;
    Ok(serde_json::from_slice(&BASE64.decode(encoded.as_bytes())?)?)
}

/// A token of an account that is made here, with this ClusterRole in the namespace or none.
pub(super) async fn token(
    client: &Client,
    namespace: &testkit::Namespace<'_>,
    name: &str,
    role: Option<&str>,
) -> anyhow::Result<String> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    namespace.apply_yaml(&account.to_string()).await?;
    if let Some(role) = role {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": &**namespace}],
        });
        namespace.apply_yaml(&binding.to_string()).await?;
    }
    let hour = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let made = accounts.create_token_request(name, &PostParams::default(), &hour).await?;
    Ok(made.status.context("a token was asked for")?.token)
}
