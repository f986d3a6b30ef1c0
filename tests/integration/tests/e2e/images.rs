//! The tenants' registry, as somebody outside of the cluster reads it: with a robot's password, or as a stranger.
//!
//! `$KONFLUX_E2E_IMAGES` names the cluster's tenants-registry.json; `cargo xtask test --e2e` sets it.
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use reqwest::{Response, StatusCode, Url, header};
use serde_json::Value;
use testkit::ControlPlane;

use super::cluster;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

#[tokio::test]
async fn strangers_learn_nothing() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let images = Images::of(&cluster).await?;
    let wrong = Some(("konflux+nobody", "wrong"));
    for login in [None, wrong] {
        assert_eq!(images.manifest("konflux/nobody/nothing", "latest", login).await?, None);
    }
    Ok(())
}

/// Reads the registry.
pub(crate) struct Images {
    http: reqwest::Client,
    /// Host of the registry, and its name for itself.
    name: String,
}

impl Images {
    /// That of the cluster under test, trusted because the services trust it.
    pub(crate) async fn of(cluster: &ControlPlane) -> anyhow::Result<Self> {
        let file = std::env::var_os("KONFLUX_E2E_IMAGES")
            .context("KONFLUX_E2E_IMAGES is not set: it names tenants-registry.json in the state folder of the cluster")?;
        let access: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let field = |name: &str| {
            access[name].as_str().with_context(|| format!("tenants-registry.json has no {name}"))
        };
        let name = field("name")?.to_owned();
        let address: SocketAddr = field("address")?.parse()?;
        let trusted =
            Api::<ConfigMap>::namespaced(cluster.admin(), "application-service").get("trusted-ca").await?;
        let bundle = trusted.data.and_then(|mut data| data.remove("ca-bundle.crt"));
        let authority =
            reqwest::Certificate::from_pem(bundle.context("trusted-ca has no bundle")?.as_bytes())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            // Also for the realm, which has the same name and another port.
            .resolve(&name, SocketAddr::new(address.ip(), 0))
            .build()?;
        Ok(Self { http, name })
    }

    /// A manifest by tag or digest; `None` if there is none, or none that this login may see. `repository` is the path behind the
    /// host; `login` is name and password.
    pub(crate) async fn manifest(
        &self,
        repository: &str,
        reference: &str,
        login: Option<(&str, &str)>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        self.get(repository, &format!("manifests/{reference}"), login).await
    }

    /// A blob by digest, as [`Self::manifest`].
    pub(crate) async fn blob(
        &self,
        repository: &str,
        digest: &str,
        login: Option<(&str, &str)>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        self.get(repository, &format!("blobs/{digest}"), login).await
    }

    async fn get(
        &self,
        repository: &str,
        path: &str,
        login: Option<(&str, &str)>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let url = format!("https://{}/v2/{repository}/{path}", self.name);
        let request = self.http.get(&url).header(header::ACCEPT, MANIFESTS);
        let refused = request.try_clone().context("it has no body")?.send().await?;
        if refused.status() != StatusCode::UNAUTHORIZED {
            bail!("{url}: HTTP {} to somebody without a token", refused.status());
        }
        let Some(token) = self.token(&refused, repository, login).await? else { return Ok(None) };
        let answer = request.bearer_auth(token).send().await?;
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(answer.bytes().await?.to_vec())),
            status => bail!("{url}: HTTP {status}"),
        }
    }

    /// From where the registry says. `None` for a wrong password.
    async fn token(
        &self,
        refused: &Response,
        repository: &str,
        login: Option<(&str, &str)>,
    ) -> anyhow::Result<Option<String>> {
        let challenge = refused.headers().get(header::WWW_AUTHENTICATE).context("no challenge")?.to_str()?;
        let part = |name: &str| {
            let (_, after) = challenge.split_once(&format!("{name}=\""))?;
            after.split_once('"').map(|(value, _)| value)
        };
        let realm = part("realm").context("the challenge has no realm")?;
        let scope = format!("repository:{repository}:pull");
        let query = [("service", part("service").unwrap_or_default()), ("scope", scope.as_str())];
        let request = self.http.get(Url::parse_with_params(realm, query)?);
        let request = match login {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        let answer = request.send().await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let answer: Value = answer.error_for_status()?.json().await?;
        Ok(Some(answer["token"].as_str().context("no token")?.to_owned()))
    }
}
