//! A request as handlers read it, and the answer that they give.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::traffic::Caller;

/// A request to a route.
pub(super) struct Request {
    pub(super) method: Method,
    /// Address of the resource, for links to other pages of it.
    pub(super) url: String,
    pub(super) params: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    /// Null when there is none or it is not to be read.
    pub(super) body: Value,
    /// Whether there was a body that is no JSON.
    pub(super) is_malformed: bool,
    pub(super) caller: Caller,
}

impl Request {
    /// A part of the path, by its name in the route.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A number in the path; none is given 0, which no resource has.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.param(name).parse().unwrap_or_default()
    }

    /// A parameter of the query that is not empty.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A text in the body.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field).and_then(Value::as_str)
    }

    /// Login of the user who asks.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.caller {
            Caller::User(login) => Some(login),
            _ => None,
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A page of `items` as the query asks for it: `page`, counted from 1, and `per_page`, at most 100.
    pub(super) fn page<T>(&self, items: Vec<T>, usual: usize) -> Page<T> {
        let number = |name: &str| self.query(name).and_then(|value| value.parse::<usize>().ok());
        let per_page = number("per_page").filter(|size| *size > 0).unwrap_or(usual).min(100);
        let page = number("page").unwrap_or(1).max(1);
        let total = items.len();
        let last = total.div_ceil(per_page).max(1);
        let items = items.into_iter().skip((page - 1) * per_page).take(per_page).collect();
        Page { items, number: page, size: per_page, total, last }
    }

    /// This address with some parameters of the query replaced.
    pub(super) fn link(&self, replaced: &[(&str, &str)]) -> String {
        let kept = self.query.iter().filter(|(key, _)| replaced.iter().all(|(name, _)| key != name));
        let kept = kept.map(|(key, value)| (key.as_str(), value.as_str()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept.chain(replaced.iter().copied()));
        format!("{}?{}", self.url, query.finish())
    }
}

/// One page of a list.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) size: usize,
    /// Of all pages.
    pub(super) total: usize,
    pub(super) last: usize,
}

impl<T> Page<T> {
    /// The `Link` header: the pages that there are besides this one.
    pub(super) fn links(&self, request: &Request, always_ends: bool) -> Option<String> {
        let (page, last) = (self.number, self.last);
        let before = page > 1;
        let after = page < last;
        let ends = [
            ("prev", page.saturating_sub(1).min(last), before),
            ("next", page + 1, after),
            ("first", 1, before || always_ends),
            ("last", last, after || always_ends),
        ];
        let links: Vec<String> = ends
            .into_iter()
            .filter(|(_, _, given)| *given)
            .map(|(rel, page, _)| {
                let (page, size) = (page.to_string(), self.size.to_string());
                format!("<{}>; rel=\"{rel}\"", request.link(&[("per_page", &size), ("page", &page)]))
            })
            .collect();
        (!links.is_empty()).then(|| links.join(", "))
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

/// Either is sent as it is: an error is an answer that ends a handler early.
pub(super) type Answer = Result<Reply, Box<Reply>>;

impl Reply {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let body = Bytes::from(body.to_string());
        Self { status, headers: Vec::new(), content_type: "application/json; charset=utf-8", body }
    }

    pub(super) fn ok(body: &Value) -> Answer {
        Ok(Self::json(StatusCode::OK, body))
    }

    pub(super) fn created(body: &Value) -> Answer {
        Ok(Self::json(StatusCode::CREATED, body))
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), content_type: "", body: Bytes::new() }
    }

    pub(super) fn no_content() -> Answer {
        Ok(Self::empty(StatusCode::NO_CONTENT))
    }

    pub(super) fn raw(status: StatusCode, content_type: &'static str, body: &[u8]) -> Self {
        Self { status, headers: Vec::new(), content_type, body: Bytes::copy_from_slice(body) }
    }

    /// What a proxy before the forge says when the forge is away: no JSON.
    pub(super) fn bad_gateway(status: StatusCode) -> Self {
        let text =
            format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n");
        Self::raw(status, "text/html", text.as_bytes())
    }

    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts are given alike")]
    pub(super) fn with(mut self, header: &'static str, value: impl ToString) -> Self {
        self.headers.push((header, value.to_string()));
        self
    }

    /// As an error.
    pub(super) fn err<T>(self) -> Result<T, Box<Self>> {
        Err(Box::new(self))
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !self.content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// A time of day as both APIs write it.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// GitHub breaks base64 into lines of 60, as readers have to bear.
pub(super) fn base64_lines(content: &[u8]) -> String {
    let text = STANDARD.encode(content);
    text.as_bytes().chunks(60).fold(String::new(), |text, line| text + &String::from_utf8_lossy(line) + "\n")
}

pub(super) fn base64(content: &[u8]) -> String {
    STANDARD.encode(content)
}

/// Reads base64 that may be broken into lines.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).ok()
}

pub(super) fn base64_url(content: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(content)
}

pub(super) fn from_base64_url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
