//! The listener as forges see it, over loopback: what comes behind the queue is played.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fleet::http::{Limits as HttpLimits, Server};
use fleet::leader::Leadership;
use fleet::{Clock, ObjectKey, Writer};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::Client;
use parking_lot::Mutex;
use pipelines_as_code_api::IncomingRequest;
use prometheus::Registry;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use spool::{Limits as SpoolLimits, Retention, Spool};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::credentials::tests::{credentials_of, hmac};
use crate::intake::{Lanes, Limits, Process, Record, Worker};
use crate::process::{Processed, Work};
use crate::stores::tests::{repositories, repository};
use crate::watch::incoming::Outcomes;

const URL: &str = "https://git.test/team/app";

/// What [`Process`] was given.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    delivery: String,
    event_type: &'static str,
    token: Option<String>,
    incoming: Option<(String, Vec<(String, String)>)>,
}

/// Plays the part that makes runs.
#[derive(Default)]
struct Player(Mutex<Vec<Seen>>);

impl Process for Player {
    fn process(&self, work: Work) -> BoxFuture<'_, Processed> {
        let seen = Seen {
            delivery: work.delivery,
            event_type: work.event.event_type.into(),
            token: work.git.map(|git| git.token.expose().clone()),
            incoming: work.event.incoming.map(|incoming| (incoming.pipeline_run, incoming.params)),
        };
        self.0.lock().push(seen);
        async {
            Processed::Done(vec![Outcome {
                result: Verdict::Started,
                text: String::new(),
                runs: vec!["r".to_owned()],
            }])
        }
        .boxed()
    }
}

/// A listener with all that stands behind it.
struct Stage {
    address: String,
    http: reqwest::Client,
    player: Arc<Player>,
    spool: Spool,
    queue: Queue,
    outcomes: Outcomes,
    /// Bodies of what was written to the API server.
    written: Arc<Mutex<Vec<Value>>>,
    _end: DropGuard,
    _folder: TempDir,
}

/// An API server that takes everything.
fn cluster() -> (Client, Arc<Mutex<Vec<Value>>>) {
    let written: Arc<Mutex<Vec<Value>>> = Arc::default();
    let all = Arc::clone(&written);
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let all = Arc::clone(&all);
        async move {
            let body = request.into_body().collect_bytes().await.unwrap();
            all.lock().extend(serde_json::from_slice::<Value>(&body).ok());
            let answer = http::Response::builder().status(201).body(kube::client::Body::from(body));
            Ok::<_, std::io::Error>(answer.unwrap())
        }
    });
    (Client::new(service, "default"), written)
}

async fn play() -> Stage {
    play_with(SpoolLimits::default()).await
}

async fn play_with(limits: SpoolLimits) -> Stage {
    let folder = TempDir::new().unwrap();
    let (client, written) = cluster();
    let clock = Clock::fixed("2024-03-01T12:00:00Z".parse().unwrap());
    let (repositories, settings) = (repositories(), settings::Current::default());
    repositories.store.apply(repository(&json!({
        "url": URL,
        "git_provider": {"type": "gitea", "secret": {"name": "own"}, "webhook_secret": {"name": "own"}},
        "incoming": [{"type": "webhook-url", "secret": {"name": "asks"}, "targets": ["main"], "params": ["permitted"]}],
    })));
    let known = [
        ("tenant/own", "webhook.secret", "hunter2"),
        ("tenant/own", "provider.token", "token"),
        ("tenant/asks", "secret", "please"),
    ];
    let credentials = credentials_of(&known, settings.clone(), repositories.clone());
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let writer = Writer::new(client.clone(), "pipelines-as-code", "test".to_owned(), Leadership::always());
    let events = Events::new(writer);
    let spool = Spool::open(folder.path(), limits, Retention::default(), clock.clone()).await.unwrap();
    let record = Record::open(spool.outcomes().clone(), metrics.clone(), clock.clone()).await;
    let player = Arc::new(Player::default());
    let process: Arc<dyn Process> = player.clone();
    let outcomes = Outcomes::new();
    let worker = Worker {
        repositories: repositories.clone(),
        credentials: credentials.clone(),
        settings: settings.clone(),
        process,
        incoming: outcomes.clone(),
        events: events.clone(),
        metrics: metrics.clone(),
        record: record.clone(),
        clock: clock.clone(),
        large: Worker::one_at_a_time(),
    };
    let lanes = Lanes::new(spool.clone(), Arc::new(worker), record.clone(), Limits::default());
    lanes.open_all();
    let queue = Queue::new(spool.clone(), lanes, record, metrics.clone());
    let parts = Parts {
        intake: Intake::new(4096, 16 * 1024),
        repositories: repositories.clone(),
        credentials: credentials.clone(),
        settings: settings.clone(),
        queue: queue.clone(),
        incoming: incoming::Endpoint {
            repositories,
            credentials,
            queue: queue.clone(),
            events: events.clone(),
        },
        auto_configure: AutoConfigure::new(client, settings),
        events,
        metrics,
        clock,
        proxies: Vec::new(),
    };
    let server = Server::bind("port", ([127, 0, 0, 1], 0).into(), HttpLimits::default()).unwrap();
    let address = format!("http://{}", server.listening());
    let end = CancellationToken::new();
    tokio::spawn(server.run(routes(parts, Router::new()), None, end.clone()));
    let http = reqwest::Client::new();
    Stage { address, http, player, spool, queue, outcomes, written, _end: end.drop_guard(), _folder: folder }
}

fn push() -> String {
    let repository = json!({
        "id": 1, "name": "app", "full_name": "team/app", "html_url": URL, "clone_url": format!("{URL}.git"),
        "default_branch": "main", "owner": {"login": "team"},
    });
    let commit = "8cc5aef17d528ca5ab893dd430004fec8bf9beaa";
    json!({
        "ref": "refs/heads/main", "before": "7cc5aef17d528ca5ab893dd430004fec8bf9beaa", "after": commit,
        "head_commit": {"id": commit, "message": "Mend it", "url": format!("{URL}/commit/{commit}")},
        "repository": repository, "pusher": {"login": "jane"}, "sender": {"login": "jane"},
    })
    .to_string()
}

impl Stage {
    /// A webhook of Gitea.
    async fn deliver(&self, id: &str, body: &str, secret: &str) -> (u16, String) {
        let request = self
            .http
            .post(&self.address)
            .header("content-type", "application/json")
            .header("x-gitea-event", "push")
            .header("x-gitea-event-type", "push")
            .header("x-gitea-delivery", id)
            .header("x-gitea-signature", hmac(secret, body.as_bytes()))
            .body(body.to_owned());
        self.answer(request).await
    }

    async fn ask(&self, query: &str, body: Option<Value>) -> (u16, String) {
        let request =
            self.http.post(format!("{}/incoming?{query}", self.address)).header("x-konflux-delivery", "d");
        self.answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["status"], status);
        (status, body["message"].as_str().unwrap().to_owned())
    }

    /// All that was worked on, once nothing waits.
    async fn seen(&self) -> Vec<Seen> {
        let empty = async {
            let mut looks = tokio::time::interval(Duration::from_millis(5));
            while self.spool.stats().count > 0 {
                looks.tick().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), empty).await.expect("the spool empties");
        self.player.0.lock().clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_push_is_accepted_and_worked_on_once() {
    let stage = play().await;
    for _ in 0..3 {
        assert_eq!(stage.deliver("d-1", &push(), "hunter2").await, (202, "accepted".to_owned()));
    }
    let expected = Seen {
        delivery: "d-1".to_owned(),
        event_type: "push",
        token: Some("token".to_owned()),
        incoming: None,
    };
    assert_eq!(stage.seen().await, [expected]);
    assert_eq!(stage.deliver("d-1", &push(), "hunter2").await.0, 202, "a redelivery after the work");
    assert_eq!(stage.seen().await.len(), 1);
    assert_eq!(stage.deliver("d-2", &push(), "hunter2").await.0, 202);
    assert_eq!(stage.seen().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_leads_to_a_warning_and_nothing_else() {
    let stage = play().await;
    let (status, message) = stage.deliver("d-1", &push(), "guessed").await;
    assert_eq!(status, 401);
    assert!(!message.contains("Secret"), "{message}");
    assert_eq!(stage.seen().await, []);
    let written = stage.written.lock().clone();
    let [event] = &written[..] else { panic!("{written:?}") };
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("RepositorySecretValidation")));
    assert_eq!(event["regarding"]["name"], "app");
    let key = ObjectKey::new("tenant", "app");
    let labels = BTreeMap::from([("delivery".to_owned(), "d-1".to_owned())]);
    let outcomes = stage.queue.record().search(&key, labels, 0).await.unwrap();
    assert_eq!(outcomes[0].result, "refused");
    assert!(outcomes[0].text.contains("tenant/own"), "{}", outcomes[0].text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nobodys_is_told_so_and_not_kept() {
    let stage = play().await;
    let other = push().replace("team/app", "team/other");
    let (status, message) = stage.deliver("d-1", &other, "hunter2").await;
    assert_eq!(status, 200);
    assert!(message.contains("no Repository watches https://git.test/team/other"), "{message}");
    assert_eq!(stage.seen().await, []);
    assert!(stage.written.lock().is_empty());
}

#[rstest]
#[case::no_forge(&[("content-type", "application/json")], "{}", 200, "no header says which forge")]
#[case::another_event(&[("x-github-event", "star")], "{}", 200, "nothing is run for that")]
#[case::ping(&[("x-github-event", "ping")], "{}", 200, "pong")]
#[case::no_json(&[("x-github-event", "push")], "{", 400, "not JSON")]
#[case::empty(&[("x-github-event", "push")], "", 400, "lacks what such events have")]
#[tokio::test]
async fn answers_with_the_reason(
    #[case] headers: &[(&str, &str)],
    #[case] body: &str,
    #[case] status: u16,
    #[case] reason: &str,
) {
    let stage = play().await;
    let mut request = stage.http.post(&stage.address).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (found, message) = stage.answer(request).await;
    assert_eq!(found, status, "{message}");
    assert!(message.contains(reason), "{message}");
}

#[tokio::test]
async fn what_is_no_webhook_is_fine() {
    let stage = play().await;
    for (method, path) in [(Method::GET, "/"), (Method::PUT, "/"), (Method::GET, "/incoming")] {
        let answer = stage.answer(stage.http.request(method, format!("{}{path}", stage.address))).await;
        assert_eq!(answer, (200, "ok".to_owned()));
    }
    let live = stage.http.get(format!("{}/live", stage.address)).send().await.unwrap();
    assert_eq!((live.status(), live.text().await.unwrap()), (StatusCode::OK, "ok".to_owned()));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let stage = play().await;
    let response = stage.http.post(&stage.address).body("x".repeat(5000)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_not_accepted() {
    let stage = play_with(SpoolLimits { bytes: 10, ..SpoolLimits::default() }).await;
    let (status, message) = stage.deliver("d-1", &push(), "hunter2").await;
    assert_eq!(status, 503);
    assert!(message.contains("the spool is full"), "{message}");
}

const ASK: &str = "repository=app&branch=main&pipelinerun=app-on-push-";

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_secret_may_ask_for_a_run() {
    let stage = play().await;
    let params = json!({"params": {"permitted": "yes"}});
    for _ in 0..2 {
        let answer = stage.ask(&format!("{ASK}&secret=please&namespace=tenant"), Some(params.clone())).await;
        assert_eq!(answer, (202, "accepted".to_owned()));
    }
    let expected = Seen {
        delivery: "d".to_owned(),
        event_type: "incoming",
        token: Some("token".to_owned()),
        incoming: Some(("app-on-push".to_owned(), vec![("permitted".to_owned(), "yes".to_owned())])),
    };
    assert_eq!(stage.seen().await, [expected]);
}

#[rstest]
#[case::wrong_secret("repository=app&branch=main&pipelinerun=p&secret=guessed", 403)]
#[case::unknown_branch("repository=app&branch=other&pipelinerun=p&secret=please", 403)]
#[case::unknown_repository("repository=other&branch=main&pipelinerun=p&secret=please", 403)]
#[case::another_namespace("repository=app&branch=main&pipelinerun=p&secret=please&namespace=other", 403)]
#[case::no_secret("repository=app&branch=main&pipelinerun=p", 400)]
#[tokio::test]
async fn who_does_not_may_not(#[case] query: &str, #[case] status: u16) {
    let stage = play().await;
    assert_eq!(stage.ask(query, None).await.0, status);
    assert_eq!(stage.seen().await, []);
}

#[tokio::test]
async fn a_param_that_is_not_permitted_is_refused() {
    let stage = play().await;
    let query = format!("{ASK}&secret=please");
    assert_eq!(stage.ask(&query, Some(json!({"params": {"other": "x"}}))).await.0, 400);
    assert_eq!(stage.ask(&query, Some(json!({"params": {"permitted": 1}}))).await.0, 400);
    assert_eq!(stage.seen().await, []);
    let written = stage.written.lock().clone();
    assert_eq!(written.iter().map(|event| &event["reason"]).collect::<Vec<_>>(), ["IncomingParamsNotString"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_by_an_annotation_is_told_why_there_is_no_run() {
    let stage = play().await;
    let gone = ObjectKey::new("tenant", "gone");
    let request =
        IncomingRequest { id: "r".to_owned(), branch: "main".to_owned(), ..IncomingRequest::default() };
    let now = "2024-03-01T12:00:00Z".parse().unwrap();
    stage.queue.put(&incoming::of_annotation(&gone, &request, now)).await.unwrap();
    assert_eq!(stage.seen().await, []);
    let (known, _) = stage.outcomes.of(&gone);
    assert_eq!(known["r"].message.as_deref(), Some("Repository tenant/gone is gone"));
}
