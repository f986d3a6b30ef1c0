//! What became of deliveries, for the people who wait for a run that does not come.
//!
//! ```text
//! GET /deliveries?repository=<namespace>/<name>[&delivery=<id>][&commit=<sha>]
//!   ─▶ may they get Repositories in that namespace? ─▶ our outcomes, and those of the other replicas ─▶ the newest first
//! ```
//! Each replica keeps what it worked on itself, so all of them are asked, with the caller's own token.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{FromRef, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use fleet::access::{Access, Attributes, Caller, Problem, bearer_token};
use fleet::outbound::{self, Credential, Request, Url};
use fleet::{ObjectKey, Scope, Secret};
use futures::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use spool::Outcome;

use crate::intake::Queue;

/// On what a replica asks another one, which then asks nobody else.
const FORWARDED: HeaderName = HeaderName::from_static("x-konflux-forwarded");

/// Outcomes of one answer.
const MOST: usize = 100;

/// For the other replicas.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the handler needs.
#[derive(Clone)]
pub(crate) struct Lookup {
    pub(crate) queue: Queue,
    pub(crate) access: Access,
    pub(crate) peers: Option<Peers>,
}

impl FromRef<Lookup> for Access {
    fn from_ref(lookup: &Lookup) -> Self {
        lookup.access.clone()
    }
}

/// The other replicas.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) client: outbound::Client,
    /// Addresses of their listeners, ours not among them.
    pub(crate) urls: Vec<Url>,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    outcomes: Vec<Outcome>,
    /// Replicas that could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

/// What is asked for.
#[derive(Debug, PartialEq)]
struct Asked {
    repository: ObjectKey,
    labels: BTreeMap<String, String>,
}

pub(crate) fn routes(lookup: Lookup) -> Router {
    Router::new().route("/deliveries", get(answer)).with_state(lookup)
}

async fn answer(
    Caller(caller): Caller,
    State(lookup): State<Lookup>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let asked = read(&query).map_err(|text| {
        let hint = "ask for ?repository=<namespace>/<name>, and &delivery=<id> or &commit=<sha> to find one";
        Problem::new(StatusCode::BAD_REQUEST, "Invalid", text, hint)
    })?;
    let scope = Scope::Namespace(asked.repository.namespace.clone());
    let wanted = Attributes::new("get", "pipelinesascode.tekton.dev", "repositories", scope);
    lookup.access.authorize(&caller, &wanted.named(&asked.repository.name)).await?;
    let outcomes = lookup.queue.record().search(&asked.repository, asked.labels, MOST).await;
    let outcomes = outcomes.map_err(|error| {
        tracing::error!(%error, "Outcomes cannot be read");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal", "outcomes cannot be read", "try again")
    })?;
    let mut all = Found { outcomes, missing: Vec::new() };
    if let Some(peers) = lookup.peers.filter(|_| !headers.contains_key(FORWARDED)) {
        peers.add_to(&mut all, &query, &bearer_token(&headers)?).await;
    }
    Ok(Json(all).into_response())
}

fn read(query: &str) -> Result<Asked, String> {
    let (mut repository, mut labels) = (None, BTreeMap::new());
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "repository" => repository = Some(value.into_owned()),
            "delivery" | "commit" => drop(labels.insert(name.into_owned(), value.into_owned())),
            other => return Err(format!("there is no parameter {other:?}")),
        }
    }
    let repository = repository.ok_or("the parameter repository is missing")?;
    match repository.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Asked { repository: ObjectKey::new(namespace, name), labels })
        }
        _ => Err(format!("{repository:?} is no <namespace>/<name>")),
    }
}

impl Peers {
    async fn add_to(&self, all: &mut Found, query: &str, token: &Secret<String>) {
        let answers = join_all(self.urls.iter().map(|url| self.ask(url, query, token))).await;
        for (url, answer) in self.urls.iter().zip(answers) {
            match answer {
                Ok(found) => all.outcomes.extend(found.outcomes),
                Err(error) => {
                    tracing::warn!(%url, %error, "Another replica does not tell of its deliveries");
                    all.missing.push(url.host_str().unwrap_or_default().to_owned());
                }
            }
        }
        all.outcomes.sort_by_key(|outcome| std::cmp::Reverse(outcome.at));
        all.outcomes.truncate(MOST);
    }

    async fn ask(&self, peer: &Url, query: &str, token: &Secret<String>) -> Result<Found, outbound::Error> {
        let mut url = peer.clone();
        url.set_path("/deliveries");
        url.set_query(Some(query));
        let request = Request::get(url)
            .credential(&Credential::bearer(peer, token)?)
            .header(FORWARDED, HeaderValue::from_static("true"))
            .timeout(PATIENCE);
        self.client.fetch(request).await?.success()?.json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn reads_what_is_asked_for() {
        let asked = read("repository=tenant%2Fapp&commit=abc&delivery=d").unwrap();
        assert_eq!(asked.repository, ObjectKey::new("tenant", "app"));
        let labels = [("commit", "abc"), ("delivery", "d")];
        assert_eq!(asked.labels, labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[rstest]
    #[case::nothing("", "is missing")]
    #[case::no_namespace("repository=app", "is no <namespace>/<name>")]
    #[case::too_much("repository=a/b/c", "is no <namespace>/<name>")]
    #[case::another("repository=a/b&namespace=c", "no parameter \"namespace\"")]
    fn says_what_is_wrong(#[case] query: &str, #[case] expected: &str) {
        let text = read(query).unwrap_err();
        assert!(text.contains(expected), "{text}");
    }
}
