//! Accounts that ask the archive, and how they reach it from this machine.
use std::{fs, io::Write as _, net::SocketAddr};

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, RESULTS_PORT},
    program::{Finished, Program},
};

/// Name of the archive in its certificate.
const SERVER: &str = "tekton-results-api-service.tekton-results.svc";
/// The program that people ask it with, built with the images.
const PLUGIN: &str = "kubectl-konflux";
const FIELD_MANAGER: &str = "konflux-demo";

/// An account with a token.
pub(super) struct Reader {
    token: String,
}

impl Reader {
    /// A ServiceAccount of this namespace, with a role there or none.
    pub(super) async fn make(
        client: &Client,
        namespace: &str,
        name: &str,
        role: Option<&str>,
    ) -> anyhow::Result<Self> {
        let apply = PatchParams::apply(FIELD_MANAGER).force();
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        accounts
            .patch(name, &apply, &Patch::Apply(&account))
            .await
            .with_context(|| format!("make account {name}"))?;
        if let Some(role) = role {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
            });
            let kind = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", "RoleBinding");
            let bindings: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk(&kind));
            bindings
                .patch(name, &apply, &Patch::Apply(&binding))
                .await
                .with_context(|| format!("give account {name} the role {role}"))?;
        }
        let hour = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        let request = accounts.create_token_request(name, &PostParams::default(), &hour).await;
        let status = request.with_context(|| format!("make a token of account {name}"))?.status;
        Ok(Self { token: status.context("a token was asked for")?.token })
    }
}

/// The archive of the dev cluster, as it is asked from this machine.
pub(super) struct Archive {
    http: reqwest::Client,
    address: SocketAddr,
    authority: String,
}

impl Archive {
    /// Nothing if the cluster is not ours.
    pub(super) fn of(cluster: &Cluster) -> anyhow::Result<Option<Self>> {
        // Node ports are open at each of the cluster's addresses.
        let Ok(access) = fs::read(cluster.images_access_file()) else { return Ok(None) };
        let access: Value = serde_json::from_slice(&access)?;
        let known: SocketAddr =
            access["address"].as_str().context("the tenants' registry has an address")?.parse()?;
        let authority = cluster.ca_pem()?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes())?])
            .resolve(SERVER, SocketAddr::new(known.ip(), 0))
            .build()?;
        Ok(Some(Self { http, address: SocketAddr::new(known.ip(), RESULTS_PORT), authority }))
    }

    /// What it answers to who asks for the records of this PipelineRun: a status, and a document.
    pub(super) async fn records(
        &self,
        namespace: &str,
        run: &str,
        reader: Option<&Reader>,
    ) -> anyhow::Result<(u16, Value)> {
        let filter = format!("data_type == PIPELINE_RUN && data.metadata.name == \"{run}\"");
        let url = format!(
            "https://{SERVER}:{RESULTS_PORT}/apis/results.tekton.dev/v1alpha2/parents/{namespace}/results/-/records"
        );
        let mut request = self.http.get(url).query(&[("filter", filter.as_str())]);
        if let Some(Reader { token }) = reader {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.context("ask the archive")?;
        let status = response.status().as_u16();
        Ok((
            status,
            response.json().await.with_context(|| format!("an answer {status} of the archive is no JSON"))?,
        ))
    }

    /// Runs `kubectl konflux` as this account.
    pub(super) async fn plugin(
        &self,
        cluster: &Cluster,
        reader: &Reader,
        words: &[&str],
    ) -> anyhow::Result<Finished> {
        let plugin = std::env::current_exe()?.with_file_name(PLUGIN);
        ensure!(plugin.is_file(), "{} is not built: `cargo build -p {PLUGIN}`", plugin.display());
        // Readable by its owner alone, and gone with this call.
        let mut token = tempfile::NamedTempFile::new().context("make a file for a token")?;
        token.write_all(reader.token.as_bytes())?;
        let mut authority = tempfile::NamedTempFile::new().context("make a file for an authority")?;
        authority.write_all(self.authority.as_bytes())?;
        Program::new(plugin)
            .args(words)
            .env("KUBECONFIG", cluster.kubeconfig())
            .env("KONFLUX_TOKEN_FILE", token.path())
            .env("KONFLUX_RESULTS_URL", format!("https://{}", self.address))
            .env("KONFLUX_RESULTS_CA", authority.path())
            .env("KONFLUX_RESULTS_SERVER_NAME", SERVER)
            .run()
            .await
    }
}

/// The object that a record keeps.
pub(super) fn document(record: &Value) -> anyhow::Result<Value> {
    let encoded = record["data"]["value"].as_str().context("a record has data")?;
    let text = BASE64.decode(encoded.as_bytes()).context("data of a record is base64")?;
    serde_json::from_slice(&text).context("data of a record is a JSON document")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_keeps_a_document() {
        let record =
            json!({"data": {"type": "tekton.dev/v1.PipelineRun", "value": BASE64.encode(br#"{"a":1}"#)}});
        assert_eq!(document(&record).unwrap(), json!({"a": 1}));
        assert!(document(&json!({"data": {}})).is_err());
    }
}
