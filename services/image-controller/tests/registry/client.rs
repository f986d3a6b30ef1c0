//! Who pushes and pulls: what docker does, without its comfort.

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::pki::Authority;

/// Name and password.
pub(crate) type Login<'a> = Option<(&'a str, &'a str)>;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A client of one registry.
pub(crate) struct Docker {
    http: reqwest::Client,
    registry: String,
    realm: String,
}

impl Docker {
    /// `registry` is `host:port`.
    pub(crate) fn new(authority: &Authority, registry: &str, realm: &str) -> anyhow::Result<Self> {
        let authority = reqwest::Certificate::from_pem(authority.cert_pem().as_bytes())?;
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build()?;
        Ok(Self { http, registry: registry.to_owned(), realm: realm.to_owned() })
    }

    /// The endpoint's whole answer.
    pub(crate) async fn ask(&self, scope: &str, login: Login<'_>) -> anyhow::Result<Response> {
        self.ask_for(&self.registry, scope, login).await
    }

    /// As [`Self::ask`], for tokens of whatever registry.
    pub(crate) async fn ask_for(
        &self,
        service: &str,
        scope: &str,
        login: Login<'_>,
    ) -> anyhow::Result<Response> {
        let query = [("service", service), ("scope", scope)];
        let url = reqwest::Url::parse_with_params(&self.realm, query)?;
        let request = self.http.get(url);
        let request = match login {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        };
        Ok(request.send().await?)
    }

    /// A token for these actions on a repository, whatever it is good for.
    pub(crate) async fn token(
        &self,
        repository: &str,
        actions: &str,
        login: Login<'_>,
    ) -> anyhow::Result<String> {
        let answer = self.ask(&format!("repository:{repository}:{actions}"), login).await?;
        let answer: Value = answer.error_for_status()?.json().await?;
        Ok(answer["token"].as_str().context("no token")?.to_owned())
    }

    fn call(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.http.request(method, format!("https://{}{path}", self.registry)).bearer_auth(token)
    }

    /// Pushes an image whose only content is `text`, as `tag`. The status of the first refusal, else 201.
    pub(crate) async fn push(
        &self,
        repository: &str,
        tag: &str,
        text: &str,
        login: Login<'_>,
    ) -> anyhow::Result<StatusCode> {
        let token = self.token(repository, "pull,push", login).await?;
        self.push_with(repository, tag, text, &token).await
    }

    /// As [`Self::push`], with a token that was had somehow.
    pub(crate) async fn push_with(
        &self,
        repository: &str,
        tag: &str,
        text: &str,
        token: &str,
    ) -> anyhow::Result<StatusCode> {
        let config = json!({ "text": text }).to_string();
        let begun =
            self.call(Method::POST, &format!("/v2/{repository}/blobs/uploads/"), token).send().await?;
        if begun.status() != StatusCode::ACCEPTED {
            return Ok(begun.status());
        }
        let location = begun.headers()[header::LOCATION].to_str()?.to_owned();
        let path = location.strip_prefix(&format!("https://{}", self.registry)).unwrap_or(&location);
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}digest={}", digest(&config));
        let put = self.call(Method::PUT, &path, token).body(config.clone()).send().await?;
        anyhow::ensure!(put.status() == StatusCode::CREATED, "blob: {}", put.status());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest(&config),
                "size": config.len(),
            },
            "layers": [],
        });
        let put = self
            .call(Method::PUT, &format!("/v2/{repository}/manifests/{tag}"), token)
            .header(header::CONTENT_TYPE, MANIFEST)
            .body(manifest.to_string());
        Ok(put.send().await?.status())
    }

    /// Gets a manifest.
    pub(crate) async fn pull(
        &self,
        repository: &str,
        tag: &str,
        login: Login<'_>,
    ) -> anyhow::Result<StatusCode> {
        let token = self.token(repository, "pull", login).await?;
        self.pull_with(repository, tag, &token).await
    }

    pub(crate) async fn pull_with(
        &self,
        repository: &str,
        tag: &str,
        token: &str,
    ) -> anyhow::Result<StatusCode> {
        let request = self
            .call(Method::GET, &format!("/v2/{repository}/manifests/{tag}"), token)
            .header(header::ACCEPT, MANIFEST);
        Ok(request.send().await?.status())
    }

    /// Deletes what a tag or digest names.
    pub(crate) async fn delete_with(
        &self,
        repository: &str,
        reference: &str,
        token: &str,
    ) -> anyhow::Result<StatusCode> {
        let request = self.call(Method::DELETE, &format!("/v2/{repository}/manifests/{reference}"), token);
        Ok(request.send().await?.status())
    }
}

fn digest(content: &str) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(content)))
}
