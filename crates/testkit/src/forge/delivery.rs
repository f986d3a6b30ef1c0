//! A webhook's delivery, as it goes over the wire.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use http::header::{CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use hyper::body::Bytes;

/// Headers and body. It can be sent to any address, as often and in whatever order a test likes, or be read by a test of
/// a parser.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Delivery {
    pub(super) fn new(user_agent: &'static str, body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(user_agent));
        Self { headers, body: Bytes::from(body) }
    }

    /// With this header instead of the one that there may be. What cannot stand in a header is left out.
    #[must_use]
    pub fn with(mut self, header: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(header), value);
        }
        self
    }

    #[must_use]
    pub fn without(mut self, header: &str) -> Self {
        self.headers.remove(header);
        self
    }

    /// With other bytes under the same signature, as somebody on the way could try.
    #[must_use]
    pub fn tampered(mut self) -> Self {
        let mut body = self.body.to_vec();
        body.push(b' ');
        self.body = Bytes::from(body);
        self
    }

    pub async fn send(&self, client: &reqwest::Client, url: &str) -> reqwest::Result<reqwest::Response> {
        client.post(url).headers(self.headers.clone()).body(self.body.clone()).send().await
    }
}

/// `sha256=<hex>`
pub(super) fn sha256_signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", HEXLOWER.encode(hmac::sign(&key, body).as_ref()))
}

/// `sha1=<hex>`
pub(super) fn sha1_signature(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    format!("sha1={}", HEXLOWER.encode(hmac::sign(&key, body).as_ref()))
}

/// A random UUID (RFC 9562, version 4).
pub(super) fn uuid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = HEXLOWER.encode(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
