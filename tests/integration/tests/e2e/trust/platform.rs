//! The platform registry, by calls of its API: what attackers and careless people can do to a registry needs no tool of ours.
//!
//! `$KONFLUX_E2E_REGISTRY` names the cluster's platform-registry.json; `cargo xtask test --e2e` sets it.
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, ensure};
use reqwest::{StatusCode, Url, header};
use serde_json::Value;

use super::material::digest;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

pub(crate) struct Platform {
    http: reqwest::Client,
    /// What images of it are called by.
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) push_port: u64,
    pub(crate) username: String,
    pub(crate) password: String,
    /// PEM of who has signed its certificate.
    pub(crate) authority: String,
}

impl Platform {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let file = std::env::var_os("KONFLUX_E2E_REGISTRY").context(
            "KONFLUX_E2E_REGISTRY is not set: it names platform-registry.json in the state folder of the cluster",
        )?;
        let access: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        let field = |name: &str| {
            access[name].as_str().with_context(|| format!("platform-registry.json has no {name}"))
        };
        let name = field("name")?.to_owned();
        let address: IpAddr = field("address")?.parse()?;
        let authority = field("certificateAuthority")?.to_owned();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes())?])
            .resolve(&name, SocketAddr::new(address, 0))
            .build()?;
        let push_port = access["pushPort"].as_u64().context("platform-registry.json has no pushPort")?;
        let (username, password) = (field("username")?.to_owned(), field("password")?.to_owned());
        Ok(Self { http, name, address, push_port, username, password, authority })
    }

    pub(crate) async fn manifest(&self, repository: &str, reference: &str) -> anyhow::Result<Vec<u8>> {
        self.get(repository, &format!("manifests/{reference}")).await
    }

    pub(crate) async fn blob(&self, repository: &str, digest: &str) -> anyhow::Result<Vec<u8>> {
        self.get(repository, &format!("blobs/{digest}")).await
    }

    async fn get(&self, repository: &str, path: &str) -> anyhow::Result<Vec<u8>> {
        let url = format!("https://{}/v2/{repository}/{path}", self.name);
        let answer = self.http.get(&url).header(header::ACCEPT, MANIFESTS).send().await?;
        Ok(answer.error_for_status()?.bytes().await?.to_vec())
    }

    fn push_url(&self, repository: &str, path: &str) -> anyhow::Result<Url> {
        Ok(Url::parse(&format!("https://{}:{}/v2/{repository}/{path}", self.name, self.push_port))?)
    }

    fn post(&self, url: Url) -> reqwest::RequestBuilder {
        self.http.post(url).basic_auth(&self.username, Some(&self.password))
    }

    pub(crate) async fn put_blob(&self, repository: &str, content: &[u8]) -> anyhow::Result<()> {
        let uploads = self.push_url(repository, "blobs/uploads/")?;
        let answer = self.post(uploads.clone()).send().await?.error_for_status()?;
        let place = answer.headers().get(header::LOCATION).context("no place to upload to is named")?;
        let mut end = uploads.join(place.to_str()?)?;
        end.query_pairs_mut().append_pair("digest", &digest(content));
        let put = self.http.put(end).basic_auth(&self.username, Some(&self.password));
        put.header(header::CONTENT_TYPE, "application/octet-stream")
            .body(content.to_vec())
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Without sending it again.
    pub(crate) async fn mount_blob(&self, repository: &str, digest: &str, from: &str) -> anyhow::Result<()> {
        let mut url = self.push_url(repository, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", digest).append_pair("from", from);
        let status = self.post(url.clone()).send().await?.status();
        ensure!(status == StatusCode::CREATED, "{url}: HTTP {status}");
        Ok(())
    }

    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        content: &[u8],
    ) -> anyhow::Result<()> {
        let url = self.push_url(repository, &format!("manifests/{reference}"))?;
        let put = self.http.put(url.clone()).basic_auth(&self.username, Some(&self.password));
        let answer = put.header(header::CONTENT_TYPE, media_type).body(content.to_vec()).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{url}: HTTP {status}: {}", answer.text().await.unwrap_or_default());
        Ok(())
    }
}
