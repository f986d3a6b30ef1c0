//! Clients with the rights of a `ServiceAccount`, no more.

use anyhow::Context as _;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1;
use kube::api::{Api, PostParams};
use kube::config::AuthInfo;
use kube::{Client, Config};

use super::ControlPlane;
use crate::builders;

impl ControlPlane {
    /// A client that is this `ServiceAccount`, made if absent (its namespace has to exist), with a real token.
    /// Whatever no Role grants is refused, as it is in a cluster. Its default namespace is the account's.
    pub async fn client_as(&self, namespace: &str, service_account: &str) -> anyhow::Result<Client> {
        Ok(Client::try_from(self.config_as(namespace, service_account).await?)?)
    }

    /// What [`Self::client_as`] makes its client from.
    pub async fn config_as(&self, namespace: &str, service_account: &str) -> anyhow::Result<Config> {
        let token = self.token_of(namespace, service_account, &[]).await?;
        let mut config = self.admin_config();
        config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
        namespace.clone_into(&mut config.default_namespace);
        Ok(config)
    }

    /// A bearer token of this `ServiceAccount`, made if absent, valid for an hour and for these audiences; for the API
    /// server's own if none is named.
    pub async fn token_of(
        &self,
        namespace: &str,
        service_account: &str,
        audiences: &[&str],
    ) -> anyhow::Result<String> {
        let accounts = Api::<v1::ServiceAccount>::namespaced(self.admin(), namespace);
        let account = builders::service_account(namespace, service_account);
        match accounts.create(&PostParams::default(), &account).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("create ServiceAccount {namespace}/{service_account}"));
            }
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audiences.iter().map(|&audience| audience.to_owned()).collect(),
                expiration_seconds: Some(3600),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(service_account, &PostParams::default(), &request)
            .await
            .with_context(|| {
            format!("ask for a token of ServiceAccount {namespace}/{service_account}")
        })?;
        Ok(answer.status.context("the API server answered a TokenRequest without a token")?.token)
    }
}

/// The name under which the API server knows a `ServiceAccount`, as it stands in the audit log.
pub fn user_name(namespace: &str, service_account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{service_account}")
}
