//! `POST /incoming`: somebody asks for a run without an event of the forge (spec section 4.7).
//!
//! `?repository=<name>&branch=<b>&pipelinerun=<name>&secret=<s>[&namespace=<ns>]`, or the same as fields of a JSON body, which may
//! have `params`, too. Header `X-Konflux-Delivery` names the request, so that a repeated one starts nothing again.
//!
//! What a stranger may not know is refused in one way: whether there is such a Repository, branch or secret.

use std::collections::BTreeMap;

use fleet::{ObjectKey, Secret};
use forge::signature::{Payload, delivery_id};
use forge::{Branch, User};
use globset::GlobBuilder;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use pipelines_as_code_api::events::EventReason;
use pipelines_as_code_api::pipeline_run::{EventType, GitProvider};
use pipelines_as_code_api::repository::Incoming as Entry;
use pipelines_as_code_api::{IncomingRequest, Repository};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::credentials::{self, Credentials};
use crate::defaults;
use crate::event::{Event, Incoming, Trigger};
use crate::events::Events;
use crate::intake::{By, Content, Delivery, Queue, Requested};
use crate::stores::Repositories;

/// Key of the secret, where an entry names none.
const SECRET_KEY: &str = "secret";

/// Who it is that asks, for templates and annotations.
const SENDER: &str = "incoming";

/// Characters of a name, a branch or a secret.
const LONGEST: usize = 255;

const NEEDED: [&str; 4] = ["repository", "branch", "pipelinerun", "secret"];

/// What somebody asks for, and what they know.
#[derive(Debug)]
struct Asked {
    repository: String,
    namespace: Option<String>,
    branch: String,
    pipeline_run: String,
    secret: Secret<Vec<u8>>,
    params: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    repository: Option<String>,
    namespace: Option<String>,
    branch: Option<String>,
    pipelinerun: Option<String>,
    secret: Option<String>,
    params: Map<String, Value>,
}

/// Takes requests.
pub(crate) struct Endpoint {
    pub(crate) repositories: Repositories,
    pub(crate) credentials: Credentials,
    pub(crate) queue: Queue,
    pub(crate) events: Events,
}

impl Endpoint {
    /// `request_id` names a request that has no name of its own.
    pub(crate) async fn ask(
        &self,
        query: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
        request_id: &str,
        now: Timestamp,
    ) -> Answer {
        let asked = match read(query.unwrap_or_default(), headers, body) {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let permitted = match self.find(&asked).await {
            Ok(Some(permitted)) => permitted,
            Ok(None) => return refused(),
            Err(error) => {
                tracing::error!(%error, "An incoming request cannot be checked");
                return Answer::not_stored("the request cannot be checked now; try again");
            }
        };
        let (repository, entry) = permitted;
        let params = match params(&asked.params, &entry.params) {
            Ok(params) => params,
            Err(Wrong { reason, text }) => {
                if let Some(reason) = reason {
                    self.events.warn(&repository, reason, &text).await;
                }
                return Answer::malformed(text);
            }
        };
        let by = By::Http;
        let Asked { branch, pipeline_run, .. } = asked;
        let delivery = Delivery {
            id: delivery_id(headers).unwrap_or(request_id).to_owned(),
            repository: ObjectKey::of(&repository),
            content: Content::Incoming(Requested { branch, pipeline_run, params, by }),
            received: now,
        };
        match self.queue.put(&delivery).await {
            Ok(()) => Answer::accepted(),
            Err(error) => Answer::not_stored(error.to_string()),
        }
    }

    /// The Repository, and what lets this caller ask for a run of it.
    async fn find(&self, asked: &Asked) -> Result<Option<(Repository, Entry)>, credentials::Error> {
        let found = match &asked.namespace {
            Some(namespace) => {
                self.repositories.get(&ObjectKey::new(namespace, &asked.repository)).into_iter().collect()
            }
            None => self.repositories.called(&asked.repository),
        };
        // Of several nobody knows which one is meant.
        let [repository] = &found[..] else {
            let count = found.len();
            tracing::info!(name = asked.repository, count, "An incoming request names no one Repository");
            return Ok(None);
        };
        let repository = defaults::merged(repository, self.repositories.global().as_deref());
        let key = ObjectKey::of(&repository);
        for entry in repository.spec.spec.incoming.iter().filter(|entry| is_for(entry, &asked.branch)) {
            let Some(reference) = &entry.secret else { continue };
            let known = self.credentials.secret_values(&key.namespace, reference, SECRET_KEY).await?;
            // Each comparison takes the same time, whatever it finds.
            if known.iter().fold(false, |is_known, secret| (asked.secret == *secret) | is_known) {
                let entry = entry.clone();
                return Ok(Some((repository, entry)));
            }
        }
        tracing::info!(repository = %key, branch = asked.branch, "An incoming request has no right to this branch");
        Ok(None)
    }
}

fn refused() -> Answer {
    let text = "refused: there is no such repository, or the secret does not let you start runs on that branch; where several \
                namespaces have a repository of that name, add namespace=";
    Answer::new(StatusCode::FORBIDDEN, "refused", text)
}

fn read(query: &str, headers: &HeaderMap, body: &[u8]) -> Result<Asked, Answer> {
    let told = if body.iter().all(u8::is_ascii_whitespace) {
        Body::default()
    } else if Payload::of(headers) == Some(Payload::Json) {
        serde_json::from_slice(body)
            .map_err(|error| Answer::malformed(format!("the body is not as it should be: {error}")))?
    } else {
        return Err(Answer::malformed("the body has to be JSON, with Content-Type: application/json"));
    };
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    let of_body = [
        ("repository", told.repository),
        ("namespace", told.namespace),
        ("branch", told.branch),
        ("pipelinerun", told.pipelinerun),
        ("secret", told.secret),
    ];
    for (name, value) in of_body {
        let in_query: Vec<_> =
            url::form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).collect();
        let values = in_query.into_iter().map(|(_, value)| value.into_owned()).chain(value);
        for value in values.filter(|value| !value.is_empty()) {
            if fields.get(name).is_some_and(|known| *known != value) {
                return Err(Answer::malformed(format!("{name} is there twice, with two values")));
            }
            if value.chars().count() > LONGEST || value.chars().any(char::is_control) {
                return Err(Answer::malformed(format!(
                    "{name} has more than {LONGEST} characters, or control characters"
                )));
            }
            fields.insert(name, value);
        }
    }
    let missing: Vec<_> = NEEDED.into_iter().filter(|name| !fields.contains_key(name)).collect();
    if !missing.is_empty() {
        return Err(Answer::malformed(format!("missing: {}", missing.join(", "))));
    }
    let mut take = |name: &str| fields.remove(name);
    Ok(Asked {
        namespace: take("namespace"),
        repository: take("repository").unwrap_or_default(),
        branch: plain(&take("branch").unwrap_or_default()).to_owned(),
        pipeline_run: take("pipelinerun").unwrap_or_default(),
        secret: Secret::new(take("secret").unwrap_or_default().into_bytes()),
        params: told.params,
    })
}

fn plain(branch: &str) -> &str {
    branch.strip_prefix("refs/heads/").unwrap_or(branch)
}

/// Whether runs may be asked for on this branch. What is no pattern is the branch itself.
fn is_for(entry: &Entry, branch: &str) -> bool {
    let is_met = |target: &String| {
        let target = plain(target);
        let pattern = GlobBuilder::new(target).literal_separator(false).backslash_escape(true).build();
        target == branch || pattern.is_ok_and(|pattern| pattern.compile_matcher().is_match(branch))
    };
    entry.type_ == Entry::WEBHOOK_URL && entry.targets.iter().any(is_met)
}

/// What is wrong with the params of a request.
#[derive(Debug, PartialEq)]
struct Wrong {
    /// That of an Event on the Repository.
    reason: Option<EventReason>,
    text: String,
}

fn params(asked: &Map<String, Value>, permitted: &[String]) -> Result<BTreeMap<String, String>, Wrong> {
    let param = |(name, value): (&String, &Value)| {
        if !permitted.contains(name) {
            return Err(Wrong {
                reason: None,
                text: format!("param {name:?} may not be set: it is not in spec.incoming[].params"),
            });
        }
        let text = value.as_str().ok_or_else(|| Wrong {
            reason: Some(EventReason::IncomingParamsNotString),
            text: format!("param {name:?} is not a string"),
        })?;
        Ok((name.clone(), text.to_owned()))
    };
    asked.iter().map(param).collect()
}

/// A request that another service left in an annotation of the Repository, as a delivery.
pub(crate) fn of_annotation(repository: &ObjectKey, request: &IncomingRequest, now: Timestamp) -> Delivery {
    Delivery {
        id: request.id.clone(),
        repository: repository.clone(),
        content: Content::Incoming(Requested {
            branch: plain(&request.branch).to_owned(),
            pipeline_run: request.pipeline_run.clone(),
            params: request.params.clone(),
            by: By::Annotation,
        }),
        received: now,
    }
}

/// What is asked for, as an event of the Repository's forge. Without `git_provider.type` that is GitHub, by its App.
pub(crate) async fn event(
    credentials: &Credentials,
    repository: &Repository,
    requested: Requested,
) -> Result<Event, credentials::Error> {
    let place = Credentials::place_of(repository)?;
    let (provider, installation) = match Credentials::provider_of(repository) {
        Some(provider) => (provider, None),
        None => (GitProvider::GitHub, Some(credentials.installation_of(repository).await?)),
    };
    let url = repository.spec.spec.url.clone().unwrap_or_default();
    let branch = Branch {
        name: format!("refs/heads/{}", requested.branch),
        repository_url: url.clone(),
        ..Branch::default()
    };
    let is_public = provider != GitProvider::GitHub || place.server == "https://github.com";
    Ok(Event {
        provider: if is_public { provider } else { GitProvider::GitHubEnterprise },
        server: place.server,
        event_type: EventType::Incoming,
        trigger: Trigger::Push,
        repository: place.repository,
        repository_id: None,
        url,
        default_branch: String::new(),
        head: branch.clone(),
        base: branch,
        commit: None,
        before: None,
        commit_message: None,
        commit_url: None,
        sender: User { login: SENDER.to_owned(), id: None },
        pull_request: None,
        comment: None,
        incoming: Some(Incoming {
            pipeline_run: requested.pipeline_run.trim_end_matches('-').to_owned(),
            params: requested.params.into_iter().collect(),
        }),
        installation,
        rerun_of: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;
    use rstest::rstest;
    use serde_json::json;

    const ALL: &str = "repository=app&branch=main&pipelinerun=app-on-push-&secret=s%2Bs";

    fn asked(query: &str, body: &str) -> Result<Asked, String> {
        let headers = [(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap())];
        read(query, &headers.into_iter().collect(), body.as_bytes()).map_err(|answer| {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            answer.message
        })
    }

    #[test]
    fn reads_what_is_asked_for_from_query_and_body() {
        let body = r#"{"params": {"a": "b"}, "secret": "s+s", "namespace": "tenant"}"#;
        for query in [ALL, "repository=app&branch=refs/heads/main&pipelinerun=app-on-push-"] {
            let asked = asked(query, body).unwrap();
            assert_eq!((&*asked.repository, &*asked.branch), ("app", "main"));
            assert_eq!((asked.namespace.as_deref(), &*asked.pipeline_run), (Some("tenant"), "app-on-push-"));
            assert_eq!(asked.secret.expose(), b"s+s");
            assert_eq!(asked.params["a"], "b");
        }
        assert_eq!(asked(ALL, " ").unwrap().params.len(), 0);
    }

    #[rstest]
    #[case::nothing("", "", "missing: repository, branch, pipelinerun, secret")]
    #[case::empty("repository=app&branch=&pipelinerun=p&secret=s", "", "missing: branch")]
    #[case::two_values(ALL, r#"{"branch": "other"}"#, "branch is there twice")]
    #[case::twice("repository=app&repository=b", "", "repository is there twice")]
    #[case::no_json(ALL, "{", "not as it should be")]
    #[case::params_no_object(ALL, r#"{"params": []}"#, "not as it should be")]
    #[case::control("repository=a%00p", "", "control characters")]
    fn says_what_is_wrong(#[case] query: &str, #[case] body: &str, #[case] expected: &str) {
        let text = asked(query, body).unwrap_err();
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn a_body_says_that_it_is_json() {
        let answer = read(ALL, &HeaderMap::new(), b"{}").unwrap_err();
        assert!(answer.message.contains("Content-Type"), "{}", answer.message);
    }

    #[rstest]
    #[case("main", true)]
    #[case("release/1.2", true)]
    #[case("refs", false)]
    #[case("mainly", false)]
    #[case("[broken", true)]
    #[case("heads", true)]
    fn targets_are_patterns(#[case] branch: &str, #[case] expected: bool) {
        let entry: Entry = serde_json::from_value(json!({
            "type": "webhook-url", "targets": ["main", "release/*", "[broken", "refs/heads/heads"],
        }))
        .unwrap();
        assert_eq!(is_for(&entry, branch), expected);
        assert!(!is_for(&Entry { type_: "other".to_owned(), ..entry }, branch));
    }

    #[rstest]
    #[case::permitted(json!({"a": "1"}), Ok(1))]
    #[case::another(json!({"a": "1", "c": "2"}), Err(None))]
    #[case::no_string(json!({"b": 1}), Err(Some(EventReason::IncomingParamsNotString)))]
    fn params_are_permitted_strings(
        #[case] asked: Value,
        #[case] expected: Result<usize, Option<EventReason>>,
    ) {
        let permitted = ["a".to_owned(), "b".to_owned()];
        let found = params(asked.as_object().unwrap(), &permitted);
        assert_eq!(found.map(|params| params.len()).map_err(|wrong| wrong.reason), expected);
    }
}
