//! Calls of the REST API, as one of its users.

use anyhow::{Context as _, ensure};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::access::Access;

/// Longest part of an answer that is no JSON which an error quotes.
const EXCERPT: usize = 300;

/// As whom a client calls.
#[derive(Clone)]
pub enum Credential {
    Nobody,
    Password { user: String, password: String },
    Token(String),
}

/// Asks a forge for things, and makes them. `ensure_…` can be repeated.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// Ends in a slash.
    url: Url,
    access: Access,
    credential: Credential,
}

impl Client {
    /// The administrator's client.
    pub fn new(access: &Access) -> anyhow::Result<Self> {
        let url =
            Url::parse(&access.url).with_context(|| format!("address of the forge {:?}", access.url))?;
        ensure!(url.path() == "/", "address of the forge {url}: one with a path is not supported");
        let host = url.host_str().with_context(|| format!("address of the forge {url} has no host"))?;
        let authority = reqwest::Certificate::from_pem(access.certificate_authority.as_bytes())
            .context("read the authority of the forge's certificate")?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .resolve(host, access.address)
            .build()
            .context("make an HTTP client")?;
        let credential =
            Credential::Password { user: access.administrator.clone(), password: access.password.clone() };
        Ok(Self { http, url, access: access.clone(), credential })
    }

    /// The same forge, as somebody else.
    #[must_use]
    pub fn with(&self, credential: Credential) -> Self {
        Self { credential, ..self.clone() }
    }

    /// The same forge, as a user with this password.
    #[must_use]
    pub fn with_password(&self, user: &str, password: &str) -> Self {
        self.with(Credential::Password { user: user.to_owned(), password: password.to_owned() })
    }

    /// The same forge, as whoever has the token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        self.with(Credential::Token(token.to_owned()))
    }

    /// The forge's own address, ending in a slash.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Name in that address.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Where Git clones `owner/name` from.
    pub fn clone_url(&self, repository: &str) -> String {
        format!("{}{repository}.git", self.url)
    }

    /// Version of the program: `1.26.0`.
    pub async fn version(&self) -> anyhow::Result<String> {
        let answer = self.call("ask for its version", Method::GET, &["version"], &[], None).await?;
        let version = answer.json::<Value>()?;
        Ok(version["version"].as_str().context("the forge tells no version")?.to_owned())
    }

    /// Whose credential this is. Nothing if the forge does not take it.
    pub async fn whoami(&self) -> anyhow::Result<Option<String>> {
        let answer = self.call("ask who we are", Method::GET, &["user"], &[], None).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        Ok(answer.json::<Value>()?["login"].as_str().map(str::to_owned))
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Whatever the forge answers; `what` completes "could not …".
    pub(super) async fn call(
        &self,
        what: &str,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let failed = || format!("could not {what} at the forge {}", self.url);
        let mut url = self.url.clone();
        // Each part is escaped, so that nobody's name leads elsewhere.
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("the forge's address has no path"))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url);
        request = match &self.credential {
            Credential::Nobody => request,
            Credential::Password { user, password } => request.basic_auth(user, Some(password)),
            Credential::Token(token) => request.header("authorization", format!("token {token}")),
        };
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(failed)?;
        let status = response.status();
        let body = response.bytes().await.with_context(failed)?.to_vec();
        Ok(Answer { what: failed(), status, body })
    }
}

/// An answer of any status.
pub(super) struct Answer {
    what: String,
    pub(super) status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// Nothing if there is no such thing.
    pub(super) fn found(self) -> Option<Self> {
        (self.status != StatusCode::NOT_FOUND).then_some(self)
    }

    pub(super) fn success(self) -> anyhow::Result<Self> {
        ensure!(
            self.status.is_success(),
            "{}: it answers {} ({})",
            self.what,
            self.status.as_u16(),
            self.reason()
        );
        Ok(self)
    }

    pub(super) fn json<T: DeserializeOwned>(self) -> anyhow::Result<T> {
        let answer = self.success()?;
        serde_json::from_slice(&answer.body)
            .with_context(|| format!("{}: its answer is not what was expected", answer.what))
    }

    pub(super) fn bytes(self) -> anyhow::Result<Vec<u8>> {
        Ok(self.success()?.body)
    }

    /// What the forge gives as reason of a refusal.
    pub(super) fn reason(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match json["message"].as_str() {
            Some(message) => message.to_owned(),
            None => String::from_utf8_lossy(&self.body).chars().take(EXCERPT).collect(),
        }
    }
}

/// Owner and name of `owner/name`.
pub(super) fn split(repository: &str) -> anyhow::Result<(&str, &str)> {
    repository
        .split_once('/')
        .filter(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
        .with_context(|| format!("repository {repository:?}: write it as owner/name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            what: "could not x".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_refusal_says_what_was_asked_and_why_not() {
        let error = answer(422, r#"{"message":"name is taken"}"#).success().err().unwrap().to_string();
        assert_eq!(error, "could not x: it answers 422 (name is taken)");
        let error = answer(500, "<html>").success().err().unwrap().to_string();
        assert_eq!(error, "could not x: it answers 500 (<html>)");
        assert!(answer(404, "").found().is_none());
    }

    #[test]
    fn repositories_have_an_owner_and_a_name() {
        assert_eq!(split("acme/app").unwrap(), ("acme", "app"));
        for wrong in ["app", "/app", "acme/", "a/b/c", ""] {
            assert!(split(wrong).unwrap_err().to_string().contains("owner/name"), "{wrong}");
        }
    }
}
