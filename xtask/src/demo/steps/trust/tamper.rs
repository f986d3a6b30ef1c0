//! Somebody who may write to the repository changes an image: by plain calls of the registry, as any program can make them.
use std::{fs, net::SocketAddr};

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use reqwest::{Method, Url, header};
use serde_json::{Value, json};

use super::super::tenant::NAMESPACE;
use crate::{cluster::Cluster, demo::Built, images::MANIFEST_TYPE};

/// The image with one annotation more, and all that was attached to the first one. Its name by its new digest; nothing if the
/// registry is not the dev cluster's.
pub(super) async fn tamper(
    cluster: &Cluster,
    client: &Client,
    built: &Built,
) -> anyhow::Result<Option<String>> {
    let Some(registry) = Registry::of(cluster, client, built).await? else { return Ok(None) };
    let mut manifest: Value = serde_json::from_slice(&registry.get(&built.digest).await?)?;
    manifest["annotations"]["example.com/changed-by"] = json!("somebody");
    let changed = serde_json::to_vec(&manifest)?;
    let digest = crate::images::digest(&changed);
    registry.put(&digest, &changed).await?;
    for suffix in ["sig", "att"] {
        let tag = |digest: &str| format!("{}.{suffix}", digest.replace(':', "-"));
        let attached = registry.get(&tag(&built.digest)).await?;
        registry.put(&tag(&digest), &attached).await?;
    }
    Ok(Some(format!("{}@{digest}", built.repository)))
}

/// A repository, by who may push to it.
struct Registry {
    http: reqwest::Client,
    host: String,
    path: String,
    username: String,
    password: String,
}

impl Registry {
    async fn of(cluster: &Cluster, client: &Client, built: &Built) -> anyhow::Result<Option<Self>> {
        let file = cluster.images_access_file();
        let Ok(access) = fs::read(&file) else { return Ok(None) };
        let access: Value = serde_json::from_slice(&access)?;
        let field =
            |name: &str| access[name].as_str().with_context(|| format!("{} has no {name}", file.display()));
        let (host, path) = built.repository.split_once('/').context("a repository has a path")?;
        ensure!(host == field("name")?, "{} is not in the cluster's registry", built.repository);
        let address: SocketAddr = field("address")?.parse()?;
        let authority = reqwest::Certificate::from_pem(field("certificateAuthority")?.as_bytes())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            // Also for what gives out tokens, which has the same name and another port.
            .resolve(host, SocketAddr::new(address.ip(), 0))
            .build()?;
        let (username, password) = login(client, &built.repository).await?;
        Ok(Some(Self { http, host: host.to_owned(), path: path.to_owned(), username, password }))
    }

    async fn get(&self, reference: &str) -> anyhow::Result<Vec<u8>> {
        self.call(Method::GET, reference, None).await
    }

    async fn put(&self, reference: &str, manifest: &[u8]) -> anyhow::Result<()> {
        self.call(Method::PUT, reference, Some(manifest)).await.map(drop)
    }

    async fn call(&self, method: Method, reference: &str, body: Option<&[u8]>) -> anyhow::Result<Vec<u8>> {
        let url = Url::parse(&format!("https://{}/v2/{}/manifests/{reference}", self.host, self.path))?;
        let refused = self.http.get(url.clone()).send().await?;
        let challenge = refused.headers().get(header::WWW_AUTHENTICATE).context("no token is asked for")?;
        let part = |name: &str| {
            let (_, after) = challenge.to_str().ok()?.split_once(&format!("{name}=\""))?;
            after.split_once('"').map(|(value, _)| value)
        };
        let scope = format!("repository:{}:pull,push", self.path);
        let query = [("service", part("service").unwrap_or_default()), ("scope", &scope)];
        let realm = Url::parse_with_params(part("realm").context("nobody gives out tokens")?, query)?;
        let token = self.http.get(realm).basic_auth(&self.username, Some(&self.password)).send().await?;
        let token: Value = token.error_for_status()?.json().await?;
        let token = token["token"].as_str().context("the answer has no token")?;
        let mut call =
            self.http.request(method, url).bearer_auth(token).header(header::ACCEPT, MANIFEST_TYPE);
        if let Some(body) = body {
            call = call.header(header::CONTENT_TYPE, MANIFEST_TYPE).body(body.to_vec());
        }
        Ok(call.send().await?.error_for_status()?.bytes().await?.to_vec())
    }
}

/// Name and password of the account that builds push by.
async fn login(client: &Client, repository: &str) -> anyhow::Result<(String, String)> {
    let kind = GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", "ImageRepository");
    let kind = ApiResource::from_gvk_with_plural(&kind, "imagerepositories");
    let repositories: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
    let owner = repositories.get("greeter").await?;
    let name = owner.data["status"]["credentials"]["push-secret"].as_str();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let secret = secrets.get(name.context("the ImageRepository has a Secret for pushes")?).await?;
    let config = secret.data.unwrap_or_default().remove(".dockerconfigjson").context("it is a login")?;
    let config: Value = serde_json::from_slice(&config.0)?;
    let auth = config["auths"][repository]["auth"].as_str();
    let auth = BASE64.decode(auth.with_context(|| format!("it has a login for {repository}"))?.as_bytes())?;
    let auth = String::from_utf8(auth)?;
    let (username, password) = auth.split_once(':').context("a login is name and password")?;
    Ok((username.to_owned(), password.to_owned()))
}
