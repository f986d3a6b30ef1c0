//! One call of a registry's API, by one login.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fleet::Secret;
use fleet::outbound::{self, Credential, Request, Response, Streaming, Url};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::challenge::Challenge;
use crate::client::{Client, Token, TokenKey};
use crate::error::Error;
use crate::keychain::Keychain;
use crate::login::Login;
use crate::reference::Reference;

/// Answers that say only how it went are short.
const ANSWER_LIMIT: u64 = 64 * 1024;
const TOKEN_LIMIT: u64 = 64 * 1024;
/// Logins that are tried for one image.
const MAX_LOGINS: usize = 4;
/// What the token specification says of a token that does not say how long it is good.
const TOKEN_LIFE: Duration = Duration::from_mins(1);
/// However long the token service says.
const MAX_TOKEN_LIFE: Duration = Duration::from_hours(1);
/// A token is not used in the last moments of its life.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// What a call does to a repository. Shown as an error names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    Read,
    Write,
    Delete,
}

impl Action {
    /// The rights that it takes. Registries differ in what they want to see for a deletion.
    fn scope(self) -> &'static str {
        match self {
            Self::Read => "pull",
            Self::Write => "pull,push",
            Self::Delete => "pull,push,delete",
        }
    }
}

/// A call, before it is known who makes it.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    reference: &'a Reference,
    action: Action,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<(HeaderValue, Bytes)>,
    limit: u64,
    timeout: Option<Duration>,
    is_repeatable: bool,
    /// Repository that the call reads beside its own.
    reads: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// `path` is below the reference's repository.
    pub(crate) fn new(
        reference: &'a Reference,
        action: Action,
        method: Method,
        path: &str,
    ) -> Result<Self, Error> {
        let url = format!("https://{}/v2/{}/{path}", reference.host(), reference.repository());
        let url = Url::parse(&url).map_err(|error| Error::invalid(reference, error.to_string()))?;
        Ok(Self::to(reference, action, method, url))
    }

    pub(crate) fn get(reference: &'a Reference, path: &str) -> Result<Self, Error> {
        Self::new(reference, Action::Read, Method::GET, path)
    }

    /// To where the registry said.
    pub(crate) fn to(reference: &'a Reference, action: Action, method: Method, url: Url) -> Self {
        let headers = HeaderMap::new();
        Self {
            reference,
            action,
            method,
            url,
            headers,
            body: None,
            limit: ANSWER_LIMIT,
            timeout: None,
            is_repeatable: false,
            reads: None,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(crate) fn body(mut self, content_type: HeaderValue, body: Bytes) -> Self {
        self.body = Some((content_type, body));
        self
    }

    /// Bytes of the answer.
    pub(crate) fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// To be made again if it is not known whether it arrived. Methods that are idempotent are.
    pub(crate) fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// With the right to read another repository of the same registry.
    pub(crate) fn reading(mut self, other: &'a Reference) -> Self {
        self.reads = Some(other.repository());
        self
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn reference(&self) -> &'a Reference {
        self.reference
    }

    fn request(&self, credential: Option<&Credential>) -> Request {
        let mut request = Request::new(self.method.clone(), self.url.clone()).limit(self.limit);
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value.clone());
        }
        if let Some((content_type, body)) = &self.body {
            request = request.body(content_type.clone(), body.clone());
        }
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if self.is_repeatable {
            request = request.repeatable();
        }
        // An upload may continue on another server, which is told by the address what it may take.
        match credential.filter(|_| self.is_at_registry()) {
            Some(credential) => request.credential(credential),
            None => request,
        }
    }

    fn is_at_registry(&self) -> bool {
        let registry = Url::parse(&format!("https://{}/", self.reference.host()));
        registry.is_ok_and(|registry| registry.origin() == self.url.origin())
    }

    fn failed(&self, error: outbound::Error) -> Error {
        Error::of(&self.reference.to_string(), error)
    }
}

/// How an answer is read: at once, or piece by piece.
pub(crate) trait Answer: Sized {
    async fn of(client: &outbound::Client, request: Request) -> Result<Self, outbound::Error>;
    fn parts(&self) -> (StatusCode, &HeaderMap);
    /// An error if it is none of success.
    fn success(self, call: &Call<'_>) -> Result<Self, outbound::Error>;
}

impl Answer for Response {
    async fn of(client: &outbound::Client, request: Request) -> Result<Self, outbound::Error> {
        client.fetch(request).await
    }

    fn parts(&self) -> (StatusCode, &HeaderMap) {
        (self.status(), self.headers())
    }

    fn success(self, _: &Call<'_>) -> Result<Self, outbound::Error> {
        self.success()
    }
}

impl Answer for Streaming {
    async fn of(client: &outbound::Client, request: Request) -> Result<Self, outbound::Error> {
        client.open(request).await
    }

    fn parts(&self) -> (StatusCode, &HeaderMap) {
        (self.status(), self.headers())
    }

    fn success(self, call: &Call<'_>) -> Result<Self, outbound::Error> {
        let status = self.status();
        if status.is_success() {
            return Ok(self);
        }
        let target = format!("{} {}", call.method, call.reference.registry());
        Err(outbound::Error::Status {
            target,
            status: status.as_u16(),
            excerpt: String::new(),
            retry_at: None,
        })
    }
}

impl Client {
    /// Makes the call by each of the logins for the repository, until one may.
    pub(crate) async fn call<A: Answer>(&self, call: &Call<'_>, keychain: &Keychain) -> Result<A, Error> {
        let mut logins: Vec<_> = keychain.logins(call.reference).take(MAX_LOGINS).map(Some).collect();
        let count = logins.len();
        if logins.is_empty() {
            logins.push(None);
        }
        for login in logins {
            if let Some(answer) = (Asking { client: self, call, login }).ask().await? {
                return Ok(answer);
            }
        }
        Err(Error::Unauthorized { what: call.reference.to_string(), action: call.action, logins: count })
    }
}

/// A call by one login.
struct Asking<'a> {
    client: &'a Client,
    call: &'a Call<'a>,
    login: Option<&'a Login>,
}

impl Asking<'_> {
    /// `None` if this login may not do it.
    async fn ask<A: Answer>(&self) -> Result<Option<A>, Error> {
        let remembered = self.remembered()?;
        let answer: A = self.send(remembered.as_ref()).await?;
        let (status, headers) = answer.parts();
        if status != StatusCode::UNAUTHORIZED {
            return self.judge(answer);
        }
        self.client.tokens.lock().remove(&self.key());
        let challenges = headers.get_all(header::WWW_AUTHENTICATE);
        let challenge = challenges.iter().filter_map(|value| value.to_str().ok()).find_map(Challenge::parse);
        let credential = match (challenge, self.login) {
            // It was all that there is to show.
            (_, Some(Login::Token(_))) => None,
            (Some(Challenge::Bearer { realm, service }), _) => self.token(&realm, service.as_deref()).await?,
            (Some(Challenge::Basic), Some(Login::Password { user, password })) => Some(
                Credential::basic(&self.server()?, user, password)
                    .map_err(|error| self.call.failed(error))?,
            ),
            _ => None,
        };
        let Some(credential) = credential else { return Ok(None) };
        let answer = self.send(Some(&credential)).await?;
        self.judge(answer)
    }

    fn judge<A: Answer>(&self, answer: A) -> Result<Option<A>, Error> {
        match answer.parts().0 {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            _ => answer.success(self.call).map(Some).map_err(|error| self.call.failed(error)),
        }
    }

    async fn send<A: Answer>(&self, credential: Option<&Credential>) -> Result<A, Error> {
        A::of(&self.client.outbound, self.call.request(credential))
            .await
            .map_err(|error| self.call.failed(error))
    }

    /// Where credentials for the registry belong.
    fn server(&self) -> Result<Url, Error> {
        let reference = self.call.reference;
        Url::parse(&format!("https://{}/", reference.host()))
            .map_err(|error| Error::invalid(reference, error.to_string()))
    }

    /// What was of use before, or what needs no asking.
    fn remembered(&self) -> Result<Option<Credential>, Error> {
        if let Some(Login::Token(token)) = self.login {
            return self.bearer(token).map(Some);
        }
        let tokens = self.client.tokens.lock();
        let token = tokens.get(&self.key()).filter(|token| Instant::now() < token.until);
        Ok(token.map(|token| token.credential.clone()))
    }

    /// Asks the registry's token service; `None` if this login gets none.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Option<Credential>, Error> {
        let what = || format!("{}: token", self.call.reference);
        let mut url = Url::parse(realm)
            .map_err(|_| Error::invalid(self.call.reference, "the registry names no valid token service"))?;
        let scope = format!("repository:{}:{}", self.call.reference.repository(), self.call.action.scope());
        let read = self.call.reads.map(|read| format!("repository:{read}:{}", Action::Read.scope()));
        let mut query: Vec<(&str, &str)> = service.map(|service| ("service", service)).into_iter().collect();
        let both = read.as_ref().map(|read| format!("{scope} {read}"));
        let request = match self.login {
            Some(Login::Identity(token)) => {
                // One parameter here, and one for each below (the specification of tokens has it so).
                query.extend([
                    ("scope", both.as_ref().unwrap_or(&scope).as_str()),
                    ("grant_type", "refresh_token"),
                    ("client_id", "konflux"),
                    ("refresh_token", token.expose()),
                ]);
                let form = Serializer::new(String::new()).extend_pairs(query).finish();
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                Request::new(Method::POST, url).body(kind, form).repeatable()
            }
            login => {
                query.push(("scope", &scope));
                query.extend(read.as_deref().map(|read| ("scope", read)));
                url.query_pairs_mut().extend_pairs(query);
                match login {
                    Some(Login::Password { user, password }) => {
                        let credential = Credential::basic(&url, user, password);
                        let credential = credential.map_err(|error| self.call.failed(error))?;
                        Request::get(url).credential(&credential)
                    }
                    _ => Request::get(url),
                }
            }
        };
        let fetched = self.client.outbound.fetch(request.limit(TOKEN_LIMIT)).await;
        let answer = fetched.map_err(|error| Error::of(&what(), error))?;
        if matches!(answer.status().as_u16(), 400 | 401 | 403) {
            return Ok(None);
        }
        let answer = answer.success().and_then(|answer| answer.json::<TokenAnswer>());
        let answer = answer.map_err(|error| Error::of(&what(), error))?;
        let Some(token) = answer.token.or(answer.access_token).map(Secret::new) else {
            return Err(Error::invalid(&what(), "the token service sent none"));
        };
        let credential = self.bearer(&token)?;
        let life = answer.expires_in.map_or(TOKEN_LIFE, Duration::from_secs).min(MAX_TOKEN_LIFE);
        let until = Instant::now() + life.saturating_sub(TOKEN_MARGIN);
        self.client.remember(self.key(), Token { credential: credential.clone(), until });
        Ok(Some(credential))
    }

    fn key(&self) -> TokenKey {
        TokenKey {
            host: self.call.reference.host().to_owned(),
            repository: self.call.reference.repository().to_owned(),
            action: self.call.action,
            reads: self.call.reads.map(str::to_owned),
            login: self.login.map(Login::id),
        }
    }

    fn bearer(&self, token: &Secret<String>) -> Result<Credential, Error> {
        Credential::bearer(&self.server()?, token).map_err(|error| self.call.failed(error))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    /// Seconds.
    expires_in: Option<u64>,
}
