//! What is asked, and by what right.

use std::time::Duration;

use axum::body::Bytes;
use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::error::Error;
use crate::Secret;

/// Bytes of an answer that are read unless the caller says otherwise (security.md 5.1).
const LIMIT: u64 = 4 * 1024 * 1024;

/// From the first attempt to the last byte.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Redirects that are followed, at most.
pub(super) const MAX_REDIRECTS: u8 = 5;

/// Where a credential belongs: scheme, host and port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Server {
    scheme: String,
    host: String,
    port: u16,
}

impl Server {
    /// `None` for an address without a host.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.trim_end_matches('.').to_owned(),
            port: url.port_or_known_default()?,
        })
    }

    /// As a person writes it.
    pub(super) fn shown(&self) -> String {
        match (self.scheme.as_str(), self.port) {
            ("https", 443) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// A secret together with the one server that may see it.
#[derive(Clone)]
pub struct Credential {
    server: Server,
    header: HeaderName,
    value: Secret<String>,
    id: u64,
}

impl Credential {
    /// `Authorization: Bearer`, for the server of `url` alone.
    pub fn bearer(url: &Url, token: &Secret<String>) -> Result<Self, Error> {
        Self::header(url, header::AUTHORIZATION, &Secret::new(format!("Bearer {}", token.expose())))
    }

    /// `Authorization: Basic`, for the server of `url` alone.
    pub fn basic(url: &Url, user: &str, password: &Secret<String>) -> Result<Self, Error> {
        let pair = Secret::new(format!("{user}:{}", password.expose()));
        let encoded = Secret::new(format!("Basic {}", BASE64.encode(pair.expose().as_bytes())));
        Self::header(url, header::AUTHORIZATION, &encoded)
    }

    /// A header of a server's own, as `PRIVATE-TOKEN`, for the server of `url` alone.
    pub fn header(url: &Url, header: HeaderName, value: &Secret<String>) -> Result<Self, Error> {
        let wrong =
            |reason: &str| Error::Request { target: target(&Method::GET, url), reason: reason.to_owned() };
        let server = Server::of(url).ok_or_else(|| wrong("it names no host"))?;
        if HeaderValue::from_str(value.expose()).is_err() {
            return Err(wrong("the credential has characters that cannot be sent, a line break perhaps"));
        }
        // Tells credentials apart without keeping them.
        let hash = Sha256::digest(value.expose());
        let id = hash.iter().take(8).fold(0, |id, byte| (id << 8) | u64::from(*byte));
        Ok(Self { server, header, value: value.clone(), id })
    }

    fn fits(&self, url: &Url) -> bool {
        Server::of(url).is_some_and(|server| server == self.server)
    }

    /// Puts it on a request that goes to its server.
    fn apply(&self, headers: &mut HeaderMap) {
        if let Ok(mut value) = HeaderValue::from_str(self.value.expose()) {
            value.set_sensitive(true);
            headers.insert(self.header.clone(), value);
        }
    }

    /// Takes it out of a text that a server wrote.
    fn hide(&self, text: &str) -> String {
        let value = self.value.expose();
        let token = value.split_once(' ').map_or(value.as_str(), |(_, token)| token);
        if token.is_empty() { text.to_owned() } else { text.replace(token, "<TOKEN>") }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("server", &self.server.shown()).finish_non_exhaustive()
    }
}

/// One call: what, with what limits.
#[derive(Clone)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) credential: Option<Credential>,
    pub(super) limit: u64,
    pub(super) timeout: Duration,
    pub(super) redirects: u8,
    pub(super) repeatable: bool,
}

impl Request {
    pub fn new(method: Method, url: Url) -> Self {
        let repeatable = method.is_idempotent();
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            credential: None,
            limit: LIMIT,
            timeout: TIMEOUT,
            redirects: MAX_REDIRECTS,
            repeatable,
        }
    }

    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Not for secrets: those are a [`Credential`], so that they stay with their server.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub fn has_header(&self, name: &HeaderName) -> bool {
        self.headers.contains_key(name)
    }

    #[must_use]
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.headers.insert(header::CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    pub fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::Request { target: self.target(), reason: error.to_string() })?;
        Ok(self.body(HeaderValue::from_static("application/json"), body))
    }

    /// Refused if it belongs to another server than the request goes to.
    #[must_use]
    pub fn credential(mut self, credential: &Credential) -> Self {
        self.credential = Some(credential.clone());
        self
    }

    /// Bytes of the answer's content, decompressed. 4 MiB if not set.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// For all of it: waiting, retries, redirects, content. 60 s if not set; longer for large content only.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many redirects are followed, five at most and if not set. With 0 the redirect is the answer.
    #[must_use]
    pub fn redirects(mut self, redirects: u8) -> Self {
        self.redirects = redirects.min(MAX_REDIRECTS);
        self
    }

    /// May be sent again after a failure although its method does not say so: the server knows it by an idempotency
    /// key, or does no harm.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Method, host and path, for people.
    pub(super) fn target(&self) -> String {
        target(&self.method, &self.url)
    }

    /// Whose allowance this call is counted against.
    pub(super) fn credential_id(&self) -> Option<u64> {
        self.credential.as_ref().map(|credential| credential.id)
    }

    /// Text of the server without what we told it in confidence.
    pub(super) fn hide(&self, text: &str) -> String {
        let text =
            self.credential.as_ref().map_or_else(|| text.to_owned(), |credential| credential.hide(text));
        crate::redact(&text)
    }

    /// What the caller must not do.
    pub(super) fn check(&self) -> Result<(), Error> {
        const RESERVED: [HeaderName; 4] =
            [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::HOST];
        let wrong = |reason: String| Err(Error::Request { target: self.target(), reason });
        if let Some(name) = RESERVED.iter().find(|name| self.headers.contains_key(*name)) {
            return wrong(format!("header {name} is set by a Credential or not at all"));
        }
        match &self.credential {
            Some(credential) if !credential.fits(&self.url) => {
                wrong(format!("the credential is for {} only", credential.server.shown()))
            }
            _ => Ok(()),
        }
    }

    /// All headers of the request.
    pub(super) fn all_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(credential) = &self.credential {
            credential.apply(&mut headers);
        }
        headers
    }

    /// Goes to another place; what is not for that server stays behind.
    pub(super) fn redirected(mut self, to: Url) -> Self {
        /// What another server may know: how we want the answer, and nothing of who we are.
        const HARMLESS: [HeaderName; 5] = [
            header::ACCEPT,
            header::ACCEPT_ENCODING,
            header::ACCEPT_LANGUAGE,
            header::RANGE,
            header::USER_AGENT,
        ];
        if Server::of(&to) != Server::of(&self.url) {
            self.credential = None;
            let kept =
                HARMLESS.iter().filter_map(|name| Some((name.clone(), self.headers.get(name)?.clone())));
            self.headers = kept.collect();
        }
        self.url = to;
        self
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Request").field(&self.target()).finish()
    }
}

/// Longest path that is shown.
const SHOWN: usize = 120;

fn target(method: &Method, url: &Url) -> String {
    let server = Server::of(url).map_or_else(|| url.scheme().to_owned(), |server| server.shown());
    // Parsed addresses are ASCII.
    let path = url.path();
    let (path, cut) = if path.len() > SHOWN { (&path[..SHOWN], "…") } else { (path, "") };
    format!("{method} {server}{}{cut}", crate::redact(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn shows_neither_query_nor_secrets() {
        let token = Secret::new("hunter2".to_owned());
        let url = url("https://u:hunter2@git.test/path?access_token=hunter2#hunter2");
        let credential = Credential::bearer(&url, &token).unwrap();
        let request = Request::get(url).credential(&credential);
        let shown = format!("{request:?} {credential:?} {} {:?}", request.target(), request.all_headers());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(request.target(), "GET git.test/path");
        assert_eq!(request.hide("token hunter2 is bad"), "token <TOKEN> is bad");
    }

    #[test]
    fn a_path_is_cut() {
        let request = Request::get(url(&format!("https://git.test/{}", "é".repeat(500))));
        assert!(request.target().len() < 160, "{}", request.target());
    }

    #[test]
    fn a_credential_stays_with_its_server() {
        let token = Secret::new("hunter2".to_owned());
        let credential = Credential::bearer(&url("https://git.test/api"), &token).unwrap();
        let check = |text| Request::get(url(text)).credential(&credential).check();
        assert!(check("https://git.test/other").is_ok());
        assert!(check("https://git.test:443/other").is_ok());
        for other in [
            "https://git.test:8443/",
            "http://git.test/",
            "https://git.test.evil.test/",
            "https://evil.test/",
        ] {
            let error = check(other).unwrap_err().to_string();
            assert!(error.contains("the credential is for git.test only"), "{other}: {error}");
        }
    }

    #[test]
    fn takes_secrets_as_credentials_only() {
        for header in ["authorization", "cookie", "proxy-authorization", "host"] {
            let header = HeaderName::from_static(header);
            let request =
                Request::get(url("https://git.test/")).header(header, HeaderValue::from_static("x"));
            assert!(matches!(request.check(), Err(Error::Request { .. })));
        }
        let token = Secret::new("hunter2\r\nX: y".to_owned());
        let error = Credential::bearer(&url("https://git.test/"), &token).unwrap_err().to_string();
        assert!(error.contains("line break") && !error.contains("hunter2"), "{error}");
    }
}
