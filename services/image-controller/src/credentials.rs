//! Logins of registries in the form of Docker's configuration, as Secrets carry them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleet::Secret;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1;
use serde_json::{Map, Value, json};

use crate::registry::Robot;

/// Type of a Secret with such logins.
pub(crate) const TYPE: &str = "kubernetes.io/dockerconfigjson";
/// Key of the logins in it.
pub(crate) const KEY: &str = ".dockerconfigjson";

/// The login of one account to one repository: `{"auths": {"<url>": {"auth": "<base64 of name:token>"}}}`.
pub(crate) fn of_repository(url: &str, robot: &Robot) -> Secret<Vec<u8>> {
    let auth = STANDARD.encode(format!("{}:{}", robot.name, robot.token.expose()));
    of_all(&[(url.to_owned(), json!({ "auth": auth }))].into_iter().collect())
}

/// Logins by URL.
pub(crate) fn of_all(auths: &Map<String, Value>) -> Secret<Vec<u8>> {
    Secret::new(json!({ "auths": auths }).to_string().into_bytes())
}

/// The logins by URL in a Secret; none if they cannot be read.
pub(crate) fn auths(secret: &v1::Secret) -> Map<String, Value> {
    let read = || {
        let content = &secret.data.as_ref()?.get(KEY)?.0;
        match serde_json::from_slice::<Value>(content).ok()?["auths"].take() {
            Value::Object(auths) => Some(auths),
            _ => None,
        }
    };
    read().unwrap_or_default()
}

/// As a Secret's `data` has it.
pub(crate) fn data(content: &Secret<Vec<u8>>) -> BTreeMap<String, ByteString> {
    BTreeMap::from([(KEY.to_owned(), ByteString(content.expose().clone()))])
}

/// Whether a Secret has exactly this content.
pub(crate) fn is_in(secret: &v1::Secret, content: &Secret<Vec<u8>>) -> bool {
    secret.data.as_ref() == Some(&data(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_as_it_was_written() {
        let robot = Robot { name: "org+robot".to_owned(), token: Secret::new("token".to_owned()) };
        let content = of_repository("images.example/org/team/web", &robot);
        let secret = v1::Secret { data: Some(data(&content)), ..v1::Secret::default() };
        assert!(is_in(&secret, &content));
        let text = String::from_utf8(content.expose().clone()).unwrap();
        assert_eq!(text, r#"{"auths":{"images.example/org/team/web":{"auth":"b3JnK3JvYm90OnRva2Vu"}}}"#);
        assert_eq!(auths(&secret).keys().collect::<Vec<_>>(), ["images.example/org/team/web"]);
    }

    #[test]
    fn what_cannot_be_read_has_no_logins() {
        assert!(auths(&v1::Secret::default()).is_empty());
        let data = BTreeMap::from([(KEY.to_owned(), ByteString(b"{".to_vec()))]);
        assert!(auths(&v1::Secret { data: Some(data), ..v1::Secret::default() }).is_empty());
    }
}
