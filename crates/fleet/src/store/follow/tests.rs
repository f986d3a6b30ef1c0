use super::*;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, StreamExt as _};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use prometheus::Registry;
use serde_json::{Value, json};

use crate::key::ObjectKey;

/// One answer of the API server.
enum Answer {
    /// These lines, then the end of the stream.
    Ends(Vec<Value>),
    /// These lines, then nothing more for ever.
    FallsSilent(Vec<Value>),
    /// A `Status` instead.
    Fails(u16),
    /// Never even begins.
    Hangs,
}

/// An API server that gives these answers one after the other, and then hangs; records what it was asked.
struct Script {
    asked: Arc<Mutex<Vec<String>>>,
    client: Client,
}

impl Script {
    fn new(answers: Vec<Answer>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let service = tower::service_fn(move |request: Request<Body>| {
            record.lock().push(request.uri().query().unwrap_or_default().to_owned());
            let answer = answers.lock().next().unwrap_or(Answer::Hangs);
            async move {
                Ok::<_, Infallible>(match answer {
                    Answer::Ends(lines) => respond(200, stream::iter(frames(lines)).boxed()),
                    Answer::FallsSilent(lines) => {
                        respond(200, stream::iter(frames(lines)).chain(stream::pending()).boxed())
                    }
                    Answer::Fails(code) => {
                        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                            "reason": "Test", "message": "as the test says"});
                        respond(code, stream::iter(frames(vec![status])).boxed())
                    }
                    Answer::Hangs => std::future::pending().await,
                })
            }
        });
        Self { asked, client: Client::new(service, "n") }
    }
}

type Frames = stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

fn frames(lines: Vec<Value>) -> Vec<Result<Frame<Bytes>, Infallible>> {
    lines.into_iter().map(|line| Ok(Frame::data(Bytes::from(format!("{line}\n"))))).collect()
}

fn respond(code: u16, frames: Frames) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    Response::builder().status(code).body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

fn event(type_: &str, name: &str, version: u64) -> Value {
    json!({"type": type_, "object": {"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "n", "name": name, "resourceVersion": version.to_string()}}})
}

fn bookmark(version: u64, ends_list: bool) -> Value {
    let annotations = if ends_list { json!({END_OF_LIST: "true"}) } else { json!({}) };
    json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"resourceVersion": version.to_string(), "annotations": annotations}}})
}

/// Follows the script until it hangs, and for `minutes` more of the paused clock. Whether the kind is still served then.
async fn follow(script: &Script, store: &Store<ConfigMap>, minutes: u64) -> bool {
    let metrics = WatchMetrics::new(&Registry::new()).unwrap();
    let (scope, watch) = (Scope::All, Watch::default());
    let follower = Follower::new(Api::all(script.client.clone()), store, scope, &watch, &metrics);
    timeout(Duration::from_mins(minutes), follower.run(|| store.mark_synced())).await.is_err()
}

fn store() -> Store<ConfigMap> {
    Store::new(|_| {}, Vec::new())
}

fn names(store: &Store<ConfigMap>) -> Vec<String> {
    let mut names: Vec<_> = store.keys().into_iter().map(|key| key.name).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn lists_then_watches_from_the_last_bookmark() {
    let script = Script::new(vec![Answer::Ends(vec![
        event("ADDED", "a", 3),
        bookmark(5, true),
        event("ADDED", "b", 6),
        event("DELETED", "a", 7),
        bookmark(9, false),
    ])]);
    let store = store();
    assert!(follow(&script, &store, 1).await);
    assert_eq!(names(&store), ["b"]);
    let asked = script.asked.lock();
    assert!(asked[0].contains("sendInitialEvents=true"), "{asked:?}");
    assert!(asked[1].contains("resourceVersion=9") && !asked[1].contains("sendInitialEvents"), "{asked:?}");
}

/// A connection that died without a word: neither an event nor a bookmark comes.
#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_given_up_after_a_minute_and_a_half() {
    let script = Script::new(vec![
        Answer::FallsSilent(vec![event("ADDED", "a", 3), bookmark(5, true)]),
        Answer::Ends(vec![event("ADDED", "b", 6)]),
    ]);
    let (store, began) = (store(), tokio::time::Instant::now());
    let came = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&came);
    store.subscribe(move |change| {
        if change.key == ObjectKey::new("n", "b") {
            *sink.lock() = Some(began.elapsed());
        }
    });
    assert!(follow(&script, &store, 5).await);
    let came = came.lock().expect("the next watch brings it");
    assert!(came >= SILENCE && came < SILENCE + Duration::from_secs(5), "{came:?}");
    assert!(script.asked.lock()[1].contains("resourceVersion=5"));
}

#[tokio::test(start_paused = true)]
async fn a_bookmark_a_minute_keeps_a_watch() {
    let script = Script::new(Vec::new());
    let bookmarks = stream::unfold(5_u64, |version| async move {
        tokio::time::sleep(Duration::from_mins(1)).await;
        Some((
            serde_json::from_value(bookmark(version, version == 5)).map_err(kube::Error::SerdeError),
            version + 1,
        ))
    });
    let (store, watch) = (store(), Watch::default());
    let metrics = WatchMetrics::new(&Registry::new()).unwrap();
    let mut follower = Follower::new(Api::all(script.client.clone()), &store, Scope::All, &watch, &metrics);
    let (list, mut listed) = (store.begin_list(), Some(|| ()));
    let watching = follower.follow(bookmarks, Some(list), &mut listed);
    assert!(timeout(Duration::from_mins(30), watching).await.is_err(), "it still watches");
    let version = version_number(follower.version.as_deref().unwrap_or_default());
    assert!(version >= 33, "{version}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_given_up() {
    let script =
        Script::new(vec![Answer::Hangs, Answer::Ends(vec![event("ADDED", "a", 3), bookmark(5, true)])]);
    let store = store();
    assert!(follow(&script, &store, 5).await);
    assert_eq!(names(&store), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn lists_anew_when_its_version_is_too_old() {
    let gone = json!({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old"}});
    let script = Script::new(vec![
        Answer::Ends(vec![event("ADDED", "a", 3), event("ADDED", "b", 4), bookmark(5, true), gone]),
        Answer::Ends(vec![event("ADDED", "b", 4), bookmark(9, true)]),
    ]);
    let store = store();
    assert!(follow(&script, &store, 1).await);
    assert_eq!(names(&store), ["b"], "what the new list lacks is gone");
    assert!(script.asked.lock()[1].contains("sendInitialEvents=true"));
}

#[tokio::test(start_paused = true)]
async fn lists_by_pages_where_lists_cannot_be_streamed() {
    let page = |names: &[&str], next: &str| {
        let items: Vec<_> = names.iter().map(|name| event("", name, 3)["object"].clone()).collect();
        json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "5", "continue": next},
            "items": items})
    };
    let script = Script::new(vec![
        Answer::Fails(422),
        Answer::Ends(vec![page(&["a", "b"], "more")]),
        Answer::Ends(vec![page(&["c"], "")]),
    ]);
    let store = store();
    assert!(follow(&script, &store, 1).await);
    assert_eq!(names(&store), ["a", "b", "c"]);
    assert!(store.is_synced());
    let asked = script.asked.lock();
    assert!(asked[2].contains("continue=more"), "{asked:?}");
    assert!(asked[3].contains("resourceVersion=5"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn ends_when_there_is_no_such_kind() {
    let script = Script::new(vec![Answer::Fails(404)]);
    assert!(!follow(&script, &store(), 1).await);
}

#[tokio::test(start_paused = true)]
async fn names_the_right_that_is_missing_until_it_is_granted() {
    let script = Script::new(vec![Answer::Fails(403), Answer::Fails(403)]);
    let store = store();
    assert!(follow(&script, &store, 1).await);
    let trouble = store.trouble().expect("somebody has to do something");
    assert!(trouble.contains("[\"configmaps\"]") && trouble.contains("[\"list\", \"watch\"]"), "{trouble}");
    assert!(!store.is_synced());

    let granted = Script::new(vec![Answer::FallsSilent(vec![bookmark(5, true)])]);
    assert!(follow(&granted, &store, 1).await);
    assert_eq!(store.trouble(), None);
}

/// A server, or a proxy before it, that ends each watch at once gets no more than a few requests a second.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_is_not_asked_for_in_a_loop() {
    let first = Answer::Ends(vec![bookmark(5, true)]);
    let script =
        Script::new(std::iter::once(first).chain((0..1000).map(|_| Answer::Ends(Vec::new()))).collect());
    let asked = AtomicUsize::new(0);
    assert!(follow(&script, &store(), 1).await);
    asked.store(script.asked.lock().len(), Ordering::SeqCst);
    assert!(asked.into_inner() < 20, "{} in a minute", script.asked.lock().len());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_stops_no_other() {
    let broken = json!({"type": "ADDED", "object": {"metadata": {"name": 7}}});
    let script = Script::new(vec![Answer::Ends(vec![
        event("ADDED", "a", 3),
        broken,
        event("ADDED", "b", 4),
        bookmark(5, true),
    ])]);
    let store = store();
    assert!(follow(&script, &store, 1).await);
    assert_eq!(names(&store), ["a", "b"]);
    assert_eq!(store.get(&ObjectKey::new("n", "a")).unwrap().name_any(), "a");
}
