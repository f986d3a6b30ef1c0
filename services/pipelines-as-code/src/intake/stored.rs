//! Deliveries as they lie in the spool.

use std::collections::BTreeMap;
use std::net::IpAddr;

use fleet::ObjectKey;
use forge::signature::Sender;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Content, Delivery, Requested, Webhook};

/// All but the body.
#[derive(Serialize, Deserialize)]
struct Stored {
    id: String,
    namespace: String,
    name: String,
    received: Timestamp,
    content: StoredContent,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredContent {
    Webhook {
        sender: String,
        headers: Vec<(String, String)>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<IpAddr>,
        is_verified: bool,
    },
    Incoming(Requested),
}

pub(super) fn to_spool(delivery: &Delivery) -> Result<spool::Delivery, serde_json::Error> {
    let (content, body) = match &delivery.content {
        Content::Webhook(webhook) => {
            let stored = StoredContent::Webhook {
                sender: webhook.sender.to_string(),
                headers: to_pairs(webhook),
                source: webhook.source,
                is_verified: webhook.is_verified,
            };
            (stored, webhook.body.clone())
        }
        Content::Incoming(requested) => (StoredContent::Incoming(requested.clone()), bytes::Bytes::new()),
    };
    let stored = Stored {
        id: delivery.id.clone(),
        namespace: delivery.repository.namespace.clone(),
        name: delivery.repository.name.clone(),
        received: delivery.received,
        content,
    };
    Ok(spool::Delivery {
        key: delivery.key(),
        labels: labels(delivery),
        head: serde_json::to_value(stored)?,
        body,
    })
}

/// What its outcomes are found by.
pub(super) fn labels(delivery: &Delivery) -> BTreeMap<String, String> {
    [("delivery", delivery.id.clone()), ("repository", delivery.repository.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// `None` for what another version of this program has written in another way.
pub(super) fn from_spool(delivery: spool::Delivery) -> Option<Delivery> {
    let stored: Stored = serde_json::from_value(delivery.head).ok()?;
    let content = match stored.content {
        StoredContent::Webhook { sender, headers, source, is_verified } => Content::Webhook(Webhook {
            sender: sender.parse::<Sender>().ok()?,
            headers: from_pairs(&headers),
            body: delivery.body,
            source,
            is_verified,
        }),
        StoredContent::Incoming(requested) => Content::Incoming(requested),
    };
    Some(Delivery {
        id: stored.id,
        repository: ObjectKey::new(stored.namespace, stored.name),
        content,
        received: stored.received,
    })
}

/// What has been checked is not needed again, and GitLab's is the secret itself.
const PROOFS: [&str; 6] = [
    "x-gitlab-token",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gogs-signature",
];

/// Never needed, and nobody else's business.
const CREDENTIALS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

fn to_pairs(webhook: &Webhook) -> Vec<(String, String)> {
    let is_kept =
        |name: &str| !(CREDENTIALS.contains(&name) || webhook.is_verified && PROOFS.contains(&name));
    let pairs = webhook.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    pairs.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned()))).collect()
}

fn from_pairs(pairs: &[(String, String)]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::By;

    fn webhook(is_verified: bool) -> Delivery {
        let headers = [("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "hunter2"), ("cookie", "c=1")]
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Delivery {
            id: "d".to_owned(),
            repository: ObjectKey::new("tenant", "app"),
            content: Content::Webhook(Webhook {
                sender: Sender::GitLab,
                headers: headers.into_iter().collect(),
                body: "{}".into(),
                source: Some([192, 0, 2, 1].into()),
                is_verified,
            }),
            received: "2024-03-01T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn comes_back_from_the_spool_with_what_is_still_needed() {
        for (is_verified, left) in [(true, 1), (false, 2)] {
            let sent = webhook(is_verified);
            let spooled = to_spool(&sent).unwrap();
            assert_eq!(spooled.labels["repository"], "tenant/app");
            let back = from_spool(spooled).unwrap();
            let Content::Webhook(content) = &back.content else { panic!("{back:?}") };
            assert_eq!(content.headers.len(), left, "{:?}", content.headers);
            assert_eq!((content.sender, &*content.body), (Sender::GitLab, &b"{}"[..]));
            assert_eq!((back.key(), back.received), (sent.key(), sent.received));
        }
        let requested = Requested {
            branch: "main".to_owned(),
            pipeline_run: "app-on-push".to_owned(),
            params: [("a".to_owned(), "b".to_owned())].into(),
            by: By::Annotation,
        };
        let sent = Delivery { content: Content::Incoming(requested), ..webhook(true) };
        assert_eq!(from_spool(to_spool(&sent).unwrap()), Some(sent));
    }

    #[test]
    fn what_nobody_understands_is_none() {
        let mut spooled = to_spool(&webhook(true)).unwrap();
        spooled.head["content"] = serde_json::json!({"of_tomorrow": {}});
        assert_eq!(from_spool(spooled), None);
    }

    #[test]
    fn keys_tell_tenants_and_bodies_apart() {
        let one = webhook(true);
        let mut other = one.clone();
        other.repository.namespace = "other".to_owned();
        assert_ne!(one.key(), other.key());
        let mut other = one.clone();
        if let Content::Webhook(webhook) = &mut other.content {
            webhook.body = "[]".into();
        }
        assert_ne!(one.key(), other.key());
    }
}
