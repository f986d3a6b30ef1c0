//! `/backends`: back ends that come and go by themselves, for clusters that live for a test.

use std::net::IpAddr;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use fleet::access::{Access, Attributes, Problem, bearer_token};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use spool::Spool;

use crate::backend::Origin;
use crate::backends::Backends;
use crate::client::is_permitted;

pub(crate) const PATH: &str = "/backends";

/// Which hosts may be registered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission(Vec<Suffix>);

#[derive(Clone, Debug)]
struct Suffix {
    /// Begins with a dot, or is a whole name.
    text: String,
    plain: bool,
}

/// Why a back end is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("url has to be https://host[:port]")]
    NoOrigin,
    #[error("url has to begin with https://")]
    Plain,
    #[error("the host is none that may be registered here (--backend-suffix)")]
    Host,
    #[error("the address is none on the internet")]
    Address,
}

impl Admission {
    pub(crate) fn new(suffixes: &[String]) -> Self {
        let suffix = |text: &String| {
            let text = text.trim();
            let (plain, text) = text.strip_prefix("http://").map_or((false, text), |text| (true, text));
            Suffix { text: text.to_ascii_lowercase(), plain }
        };
        Self(suffixes.iter().filter(|text| !text.trim().is_empty()).map(suffix).collect())
    }

    /// What is registered, and whether it may be at any address.
    pub(crate) fn admit(&self, text: &str) -> Result<(Origin, bool), Refusal> {
        let origin = Origin::parse(text).map_err(|_| Refusal::NoOrigin)?;
        if self.0.is_empty() {
            if origin.is_plain() {
                return Err(Refusal::Plain);
            }
            let address: Option<IpAddr> = origin.name().trim_matches(['[', ']']).parse().ok();
            // Names are looked at where they lead to, at each connection.
            return match address {
                Some(address) if !is_permitted(address) => Err(Refusal::Address),
                _ => Ok((origin, false)),
            };
        }
        let fitting: Vec<&Suffix> = self.0.iter().filter(|suffix| suffix.fits(origin.name())).collect();
        match fitting.as_slice() {
            [] => Err(Refusal::Host),
            fitting if origin.is_plain() && !fitting.iter().any(|suffix| suffix.plain) => Err(Refusal::Plain),
            _ => Ok((origin, true)),
        }
    }
}

impl Suffix {
    /// Whole labels: `example.com` fits itself and what is below, not `badexample.com`.
    fn fits(&self, name: &str) -> bool {
        let bare = self.text.trim_start_matches('.');
        let below = name.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'));
        below || (name == bare && !self.text.starts_with('.'))
    }
}

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) backends: Backends,
    pub(crate) admission: Admission,
    pub(crate) access: Access,
    pub(crate) spool: Option<Spool>,
}

#[derive(Deserialize)]
struct Asked {
    url: String,
}

/// The routes; callers need a token and the right to the path.
pub(crate) fn routes(registration: Registration) -> Router {
    Router::new().route(PATH, get(list).post(register).delete(unregister)).with_state(registration)
}

impl Registration {
    async fn authorize(&self, headers: &HeaderMap, verb: &str) -> Result<(), Problem> {
        let caller = self.access.authenticate(&bearer_token(headers)?).await?;
        Ok(self.access.authorize(&caller, &Attributes::endpoint(verb, PATH)).await?)
    }
}

async fn list(State(registration): State<Registration>, headers: HeaderMap) -> Result<String, Problem> {
    registration.authorize(&headers, "get").await?;
    Ok(format!("Backend urls: {}", registration.backends.registered().join(", ")))
}

async fn register(
    State(registration): State<Registration>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    registration.authorize(&headers, "create").await?;
    let Some(Asked { url }) = parse(&body) else { return Ok(bad_body()) };
    let (origin, is_trusted) = match registration.admission.admit(&url) {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok((StatusCode::BAD_REQUEST, refusal.to_string()).into_response()),
    };
    Ok(if registration.backends.register(&url, origin, is_trusted) {
        (StatusCode::OK, "registered the backend server").into_response()
    } else {
        (StatusCode::FOUND, "backend server already registered").into_response()
    })
}

async fn unregister(
    State(registration): State<Registration>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    registration.authorize(&headers, "delete").await?;
    let Some(Asked { url }) = parse(&body) else { return Ok(bad_body()) };
    let Some(origin) = registration.backends.unregister(&url) else {
        return Ok((StatusCode::NOT_FOUND, "backend server not found in the list").into_response());
    };
    if let Some(spool) = registration.spool.as_ref().filter(|_| !registration.backends.has(&origin)) {
        let count = spool.forget(&origin.to_string()).await;
        if count > 0 {
            tracing::warn!(backend = %origin, count, "Deliveries for a back end that was unregistered are dropped");
        }
    }
    Ok((StatusCode::OK, "backend server unregistered").into_response())
}

fn parse(body: &Bytes) -> Option<Asked> {
    serde_json::from_slice(body).ok()
}

fn bad_body() -> Response {
    (StatusCode::BAD_REQUEST, "please provide a valid json body").into_response()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn admission(suffixes: &[&str]) -> Admission {
        Admission::new(&suffixes.iter().map(|suffix| (*suffix).to_owned()).collect::<Vec<_>>())
    }

    #[rstest]
    #[case::internet("https://pac.example.com", Ok(false))]
    #[case::public_address("https://8.8.8.8:8443", Ok(false))]
    #[case::plain("http://pac.example.com", Err(Refusal::Plain))]
    #[case::loopback("https://127.0.0.1", Err(Refusal::Address))]
    #[case::loopback_in_disguise("https://0x7f.1", Err(Refusal::Address))]
    #[case::loopback_six("https://[::1]", Err(Refusal::Address))]
    #[case::mapped("https://[::ffff:10.0.0.1]", Err(Refusal::Address))]
    #[case::metadata("https://169.254.169.254", Err(Refusal::Address))]
    #[case::empty("", Err(Refusal::NoOrigin))]
    #[case::file("file:///etc/passwd", Err(Refusal::NoOrigin))]
    fn without_suffixes_only_the_internet(#[case] url: &str, #[case] expected: Result<bool, Refusal>) {
        assert_eq!(admission(&[]).admit(url).map(|(_, trusted)| trusted), expected);
    }

    #[rstest]
    #[case::below("https://a.apps.test", Ok(true))]
    #[case::capitals("https://A.APPS.test", Ok(true))]
    #[case::not_itself("https://apps.test", Err(Refusal::Host))]
    #[case::another("https://badapps.test", Err(Refusal::Host))]
    #[case::as_a_prefix("https://a.apps.test.evil.test", Err(Refusal::Host))]
    #[case::plain("http://a.apps.test", Err(Refusal::Plain))]
    #[case::whole_name("https://one.test", Ok(true))]
    #[case::below_a_whole_name("https://x.one.test", Ok(true))]
    #[case::ends_like_one("https://xone.test", Err(Refusal::Host))]
    #[case::plain_where_permitted("http://127.0.0.1:8080", Ok(true))]
    fn with_suffixes_only_these(#[case] url: &str, #[case] expected: Result<bool, Refusal>) {
        let admission = admission(&[".apps.test", "one.test", "http://127.0.0.1"]);
        assert_eq!(admission.admit(url).map(|(_, trusted)| trusted), expected);
    }

    proptest! {
        #[test]
        fn bodies_do_not_panic(body in prop::collection::vec(any::<u8>(), 0..60)) {
            drop(parse(&body.into()));
        }

        /// Whatever is written there, nothing of ours is reached without a suffix that says so.
        #[test]
        fn admits_no_address_of_ours(url in "https?://[ -~]{0,30}") {
            if let Ok((origin, is_trusted)) = admission(&[]).admit(&url) {
                prop_assert!(!is_trusted && !origin.is_plain());
                let address: Option<IpAddr> = origin.name().trim_matches(['[', ']']).parse().ok();
                prop_assert!(address.is_none_or(is_permitted), "{}", origin);
            }
        }
    }
}
