//! What is passed on.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use fleet::http::{Held, RequestId};
use forge::signature::delivery_id;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::headers;

/// A verified webhook, the same for all back ends.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Of the request that brought it; of one from the spool, of the request back then.
    pub(crate) request_id: String,
    /// What back ends are asked for.
    pub(crate) target: PathAndQuery,
    /// From end to end.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The memory of the body, if it is counted.
    _held: Option<Held>,
}

/// A delivery without its body, in the spool.
#[derive(Serialize, Deserialize)]
struct Stored {
    request_id: String,
    target: String,
    headers: Vec<(String, String)>,
}

/// Headers that tell what happened, and what outcomes call it.
const EVENTS: [&str; 4] = ["x-gitea-event", "x-github-event", "x-gitlab-event", "x-event-key"];

impl Delivery {
    pub(crate) fn new(request_id: RequestId, uri: &Uri, headers: HeaderMap, body: Bytes, held: Held) -> Self {
        Self { request_id: request_id.to_string(), target: target(uri), headers, body, _held: Some(held) }
    }

    /// What it is called in the spool: the forge's name for it and a hash of the body, as some forges use one name for
    /// several deliveries. A redelivery has the same.
    pub(crate) fn key(&self) -> String {
        let name = delivery_id(&self.headers).unwrap_or(&self.request_id);
        let hash = Sha256::digest(&self.body);
        format!("{name}+{}", HEXLOWER.encode(&hash[..8]))
    }

    pub(crate) fn to_spool(&self) -> Result<spool::Delivery, serde_json::Error> {
        let stored = Stored {
            request_id: self.request_id.clone(),
            target: self.target.to_string(),
            headers: headers::to_pairs(&self.headers),
        };
        let event = EVENTS.iter().find_map(|name| self.headers.get(*name)?.to_str().ok());
        let labels = [
            ("delivery", delivery_id(&self.headers)),
            ("event", event),
            ("request_id", Some(&self.request_id)),
        ];
        let labels: BTreeMap<String, String> = labels
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        Ok(spool::Delivery {
            key: self.key(),
            labels,
            head: serde_json::to_value(stored)?,
            body: self.body.clone(),
        })
    }

    /// `None` for what another version of this program has written in another way.
    pub(crate) fn from_spool(delivery: spool::Delivery) -> Option<Self> {
        let stored: Stored = serde_json::from_value(delivery.head).ok()?;
        Some(Self {
            request_id: stored.request_id,
            target: stored.target.parse().ok()?,
            headers: headers::from_pairs(&stored.headers),
            body: delivery.body,
            _held: None,
        })
    }
}

/// The path without a leading `/proxy`, and the query.
fn target(uri: &Uri) -> PathAndQuery {
    let path = uri.path().strip_prefix("/proxy").unwrap_or(uri.path());
    let path = if path.is_empty() { "/" } else { path };
    let text = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    text.parse().unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::root("/", "/")]
    #[case::proxy("/proxy", "/")]
    #[case::query("/proxy?x=1", "/?x=1")]
    #[case::root_with_query("/?x=1&y=/proxy", "/?x=1&y=/proxy")]
    fn asks_back_ends_for(#[case] uri: Uri, #[case] expected: &str) {
        assert_eq!(target(&uri), expected);
    }

    fn delivery(headers: HeaderMap, body: Vec<u8>, target: &str) -> Delivery {
        Delivery {
            request_id: "r".to_owned(),
            target: target.parse().unwrap(),
            headers,
            body: body.into(),
            _held: None,
        }
    }

    #[test]
    fn a_redelivery_has_the_same_key_and_another_body_has_not() {
        let headers: HeaderMap =
            [("x-gitlab-event-uuid".parse().unwrap(), "u".parse().unwrap())].into_iter().collect();
        let key = |body: &[u8]| delivery(headers.clone(), body.to_vec(), "/").key();
        assert_eq!(key(b"{}"), key(b"{}"));
        assert_ne!(key(b"{}"), key(b"[]"));
        assert!(key(b"{}").starts_with("u+"));
        assert!(delivery(HeaderMap::new(), b"{}".to_vec(), "/").key().starts_with("r+"));
    }

    proptest! {
        /// What was spooled is sent as it came.
        #[test]
        fn comes_back_from_the_spool(value in "[!-~]{0,40}", body in prop::collection::vec(any::<u8>(), 0..100), query in "[a-z0-9=&%/-]{0,30}") {
            let headers: HeaderMap = [("x-hub-signature-256".parse().unwrap(), value.parse().unwrap())].into_iter().collect();
            let sent = delivery(headers, body, &format!("/?{query}"));
            let back = Delivery::from_spool(sent.to_spool().unwrap()).unwrap();
            prop_assert_eq!((&back.headers, &back.body, &back.target, &back.request_id), (&sent.headers, &sent.body, &sent.target, &sent.request_id));
        }
    }
}
