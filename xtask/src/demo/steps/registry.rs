//! Registries as the demo needs them beside the fleet: by plain calls, as any program can make them.
use std::{fs, net::SocketAddr};

use anyhow::{Context as _, ensure};
use data_encoding::BASE64;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use reqwest::{Method, StatusCode, Url, header};
use serde_json::Value;

use super::tenant::NAMESPACE;
use crate::{
    cluster::{self, Cluster, REGISTRY_NAME},
    deploy::Object,
    images::MANIFEST_TYPE,
};

/// Has an example take bundles and policies from the registry of this demo, where it names that of the dev cluster.
pub(super) fn use_registry(object: &mut Object, registry: &str) {
    put(&mut object.content, &format!("{REGISTRY_NAME}/"), &format!("{registry}/"));
}

fn put(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) => *text = text.replace(from, to),
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|field| put(field, from, to)),
        _ => {}
    }
}

/// A repository of the tenant, by who may push to it.
pub(super) struct Repository {
    http: reqwest::Client,
    host: String,
    path: String,
    username: String,
    password: String,
}

impl Repository {
    /// The one that builds push to; nothing if it is not in the dev cluster's registry.
    pub(super) async fn of(
        cluster: &Cluster,
        client: &Client,
        repository: &str,
    ) -> anyhow::Result<Option<Self>> {
        let file = cluster.images_access_file();
        let Ok(access) = fs::read(&file) else { return Ok(None) };
        let access: Value = serde_json::from_slice(&access)?;
        let field =
            |name: &str| access[name].as_str().with_context(|| format!("{} has no {name}", file.display()));
        let (host, path) = repository.split_once('/').context("a repository has a path")?;
        ensure!(host == field("name")?, "{repository} is not in the cluster's registry");
        let address: SocketAddr = field("address")?.parse()?;
        let authority = reqwest::Certificate::from_pem(field("certificateAuthority")?.as_bytes())?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            // Also for what gives out tokens, which has the same name and another port.
            .resolve(host, SocketAddr::new(address.ip(), 0))
            .build()?;
        let (username, password) = login(client, repository).await?;
        Ok(Some(Self { http, host: host.to_owned(), path: path.to_owned(), username, password }))
    }

    pub(super) async fn get(&self, reference: &str) -> anyhow::Result<Vec<u8>> {
        self.call(Method::GET, reference, None).await
    }

    pub(super) async fn put(&self, reference: &str, manifest: &[u8]) -> anyhow::Result<()> {
        self.call(Method::PUT, reference, Some(manifest)).await.map(drop)
    }

    /// An image that nobody has built: the one with this digest, and in it the word of who changed it. Its digest.
    pub(super) async fn put_changed(&self, digest: &str, by: &str) -> anyhow::Result<String> {
        let mut manifest: Value = serde_json::from_slice(&self.get(digest).await?)?;
        manifest["annotations"]["example.com/changed-by"] = by.into();
        let changed = serde_json::to_vec(&manifest)?;
        let digest = crate::images::digest(&changed);
        self.put(&digest, &changed).await?;
        Ok(digest)
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

/// The platform registry of the dev cluster, as everybody may read it.
pub(super) struct Platform {
    http: reqwest::Client,
    name: &'static str,
}

impl Platform {
    pub(super) fn new(registry: &cluster::Registry) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(registry.ca_pem.as_bytes())?])
            .resolve(registry.name, SocketAddr::new(registry.address.into(), 0))
            .build()?;
        Ok(Self { http, name: registry.name })
    }

    /// The digest of what has this tag or digest there; nothing if it has not got it.
    pub(super) async fn digest(&self, path: &str, reference: &str) -> anyhow::Result<Option<String>> {
        let url = format!("https://{}/v2/{path}/manifests/{reference}", self.name);
        let answer = self.http.get(&url).header(header::ACCEPT, MANIFEST_TYPE).send().await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let manifest = answer.error_for_status().with_context(|| format!("read {url}"))?.bytes().await?;
        Ok(Some(crate::images::digest(&manifest)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_that_names_the_dev_registry_names_another() {
        let of = |bundle: &str| {
            let spec = json!({"sources": [{"policy": [format!("oci::{bundle}")]}], "application": "a"});
            Object::parse(json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": spec}))
                .unwrap()
        };
        let mut object = of("registry.dev.konflux.test/konflux/policy-release:latest");
        use_registry(&mut object, "r.test");
        assert_eq!(object, of("r.test/konflux/policy-release:latest"));
    }
}
