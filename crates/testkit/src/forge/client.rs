//! The ordinary HTTP client with which the fakes are tested.

use std::time::Duration;

use http::{HeaderMap, Method};
use serde_json::Value;

use crate::pki::Authority;

/// Sends requests with some headers to one API.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    api: String,
    headers: Vec<(&'static str, String)>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    /// Null when the text is no JSON.
    pub(super) body: Value,
}

impl Client {
    pub(super) fn new(authority: &Authority, api: &str) -> Self {
        let authority = reqwest::Certificate::from_pem(authority.cert_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self { http, api: api.to_owned(), headers: Vec::new() }
    }

    /// With another header in each request.
    pub(super) fn with(&self, header: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(name, _)| *name != header);
        client.headers.push((header, value.to_owned()));
        client
    }

    pub(super) fn bearer(&self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// `path` may also be a whole address.
    pub(super) async fn try_send(&self, method: Method, path: &str, body: &Value) -> reqwest::Result<Seen> {
        let url = if path.starts_with("https:") { path.to_owned() } else { format!("{}{path}", self.api) };
        let mut request = self.http.request(method, url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Seen { status, headers, text, body })
    }

    pub(super) async fn get(&self, path: &str) -> Seen {
        self.try_send(Method::GET, path, &Value::Null).await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Seen {
        self.try_send(Method::POST, path, &body).await.unwrap()
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Seen {
        self.try_send(Method::PUT, path, &body).await.unwrap()
    }

    pub(super) async fn patch(&self, path: &str, body: Value) -> Seen {
        self.try_send(Method::PATCH, path, &body).await.unwrap()
    }

    pub(super) async fn delete(&self, path: &str) -> Seen {
        self.try_send(Method::DELETE, path, &Value::Null).await.unwrap()
    }

    /// All pages of a list, by the links that the answers have.
    pub(super) async fn pages(&self, path: &str) -> Vec<Seen> {
        let mut pages = vec![self.get(path).await];
        while let Some(next) = pages.last().and_then(|page| page.link("next")) {
            pages.push(self.get(&next).await);
        }
        pages
    }
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The page of this relation in the `Link` header.
    pub(super) fn link(&self, rel: &str) -> Option<String> {
        let link = self.header("link").split(", ").find(|link| link.ends_with(&format!("rel=\"{rel}\"")))?;
        Some(link.split_once('<')?.1.split_once('>')?.0.to_owned())
    }

    /// Length of the list that this is.
    pub(super) fn len(&self) -> usize {
        self.body.as_array().map_or(0, Vec::len)
    }

    /// Fails the test unless the answer has this status.
    #[track_caller]
    pub(super) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}
