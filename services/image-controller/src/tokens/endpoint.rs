//! `GET /token?service=…&scope=…`, with a robot's name and password as basic authentication, or without.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use data_encoding::BASE64;
use fleet::{ObjectKey, Secret, Store};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt as _;
use parking_lot::RwLock;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::grant::{Caller, grant, scopes};
use super::metrics::{Metrics, Outcome};
use super::record::{Account, Record as _, Repository};
use super::signer::Signer;

/// Characters of a robot's password.
const TOKEN_LENGTH: usize = 52;

/// What answers are made of.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<Parts>);

pub(crate) struct Parts {
    /// Records of image-controller.
    pub(crate) records: Store<core::Secret>,
    /// Where they lie.
    pub(crate) namespace: String,
    /// None before the key was read for the first time.
    pub(crate) signer: Arc<RwLock<Option<Arc<Signer>>>>,
    /// Name of the registry.
    pub(crate) service: String,
    pub(crate) metrics: Metrics,
}

/// Why there is no token.
enum Refusal {
    Unauthorized,
    Malformed(&'static str),
    Unavailable(&'static str),
}

impl Endpoint {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(crate) fn routes(self) -> Router {
        Router::new().route("/token", get(token)).with_state(self)
    }

    fn answer(&self, headers: &HeaderMap, uri: &Uri) -> (Outcome, Result<Value, Refusal>) {
        match self.decide(headers, uri) {
            Ok((outcome, body)) => (outcome, Ok(body)),
            Err(refusal) => {
                let outcome = match refusal {
                    Refusal::Unauthorized => Outcome::WrongPassword,
                    Refusal::Malformed(_) => Outcome::Malformed,
                    Refusal::Unavailable(_) => Outcome::Unavailable,
                };
                (outcome, Err(refusal))
            }
        }
    }

    fn decide(&self, headers: &HeaderMap, uri: &Uri) -> Result<(Outcome, Value), Refusal> {
        let Parts { records, signer, service, .. } = &*self.0;
        let signer = signer.read().clone().ok_or(Refusal::Unavailable("there is no key to sign with yet"))?;
        if !records.is_synced() {
            return Err(Refusal::Unavailable("robots and repositories are not known yet"));
        }
        let query: Vec<_> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
        let values =
            |name: &'static str| query.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value);
        if values("service").any(|named| named != service) {
            return Err(Refusal::Malformed("tokens of that service are not given here"));
        }
        let caller = self.caller(headers)?;
        let scopes = scopes(values("scope"));
        let access =
            grant(&caller, &scopes, |name| self.find(&Repository::object_name(name)).map(|(found, _)| found));
        let subject = match &caller {
            Caller::Anonymous => "",
            Caller::Robot { name, .. } => name,
        };
        let wanted: usize = scopes.iter().map(|scope| scope.actions.len()).sum();
        let given: usize = access.iter().map(super::signer::Access::count).sum();
        let outcome = if given < wanted { Outcome::Restricted } else { Outcome::Granted };
        tracing::debug!(subject, scopes = ?scopes, access = ?access, "Gave a token");
        let token =
            signer.sign(subject, &access).map_err(|_| Refusal::Unavailable("the token cannot be signed"))?;
        let body = json!({
            "token": token.text.expose(),
            "access_token": token.text.expose(),
            "expires_in": token.life.as_secs(),
            "issued_at": token.issued.to_string(),
        });
        Ok((outcome, body))
    }

    /// Who asks. A wrong password is refused, and not taken for nobody's: else a typing error looks like a missing right.
    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let Some(header) = headers.get(header::AUTHORIZATION) else { return Ok(Caller::Anonymous) };
        let (name, password) = basic(header).ok_or(Refusal::Unauthorized)?;
        // Compared also where there is no such robot, so that the time tells little of which names there are.
        let nobody = Secret::new("-".repeat(TOKEN_LENGTH));
        let found = self.find::<Account>(&Account::object_name(&name));
        let is_right = password == *found.as_ref().map_or(&nobody, |(account, _)| &account.token);
        match found {
            Some((account, uid)) if is_right => Ok(Caller::Robot { name: account.name, uid }),
            _ => Err(Refusal::Unauthorized),
        }
    }

    fn find<R: super::record::Record>(&self, object: &str) -> Option<(R, String)> {
        let secret = self.0.records.get(&ObjectKey::new(&self.0.namespace, object))?;
        // What is being deleted counts no more.
        if secret.metadata.deletion_timestamp.is_some() {
            return None;
        }
        Some((R::read(&secret)?, secret.uid()?))
    }
}

async fn token(State(endpoint): State<Endpoint>, headers: HeaderMap, uri: Uri) -> Response {
    let began = Instant::now();
    let (outcome, answer) = endpoint.answer(&headers, &uri);
    endpoint.0.metrics.answered(outcome, began.elapsed().as_secs_f64());
    let mut response = match answer {
        Ok(body) => Json(body).into_response(),
        Err(Refusal::Unauthorized) => {
            tracing::info!(audit = true, "Refused a wrong password");
            let mut response =
                problem(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "the name or the password is wrong");
            let challenge = HeaderValue::from_static("Basic realm=\"robot account\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        Err(Refusal::Malformed(reason)) => problem(StatusCode::BAD_REQUEST, "UNSUPPORTED", reason),
        Err(Refusal::Unavailable(reason)) => {
            let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", reason);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// In the form of the registry's own errors.
fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "errors": [{ "code": code, "message": message }] }))).into_response()
}

/// Name and password of `Authorization: Basic` (RFC 7617).
fn basic(header: &HeaderValue) -> Option<(String, Secret<String>)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = Secret::new(BASE64.decode(encoded.trim().as_bytes()).ok()?);
    let (name, password) = std::str::from_utf8(pair.expose()).ok()?.split_once(':')?;
    Some((name.to_owned(), Secret::new(password.to_owned())))
}
