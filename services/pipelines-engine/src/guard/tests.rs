use std::sync::Arc;

use http::{Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use parking_lot::Mutex;
use prometheus::Registry;
use rstest::rstest;
use serde_json::json;

use super::*;

fn pod(name: &str, metadata: &Value) -> Pod {
    let mut pod = json!({"metadata": {"name": name, "namespace": "n", "uid": "p", "resourceVersion": "1"}});
    pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    serde_json::from_value(pod).unwrap()
}

fn owned() -> Value {
    json!({"ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "r", "uid": "u"}]})
}

/// An API server with these objects by the end of their path. What is written is remembered.
#[derive(Clone, Default)]
struct Server {
    objects: Vec<(&'static str, Value)>,
    is_slow: bool,
    conflicts: Arc<Mutex<usize>>,
    written: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Client::new(service, "n")
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
        if self.is_slow {
            std::future::pending::<()>().await;
        }
        let path = request.uri().path().trim_end_matches("/status").to_owned();
        let found =
            self.objects.iter().find(|(end, _)| path.ends_with(end)).map(|(_, object)| object.clone());
        let failure = |code: u16, reason: &str| {
            (
                code,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "no", "reason": reason}),
            )
        };
        let (code, answer) = match (request.method().as_str(), found) {
            (_, None) => failure(404, "NotFound"),
            ("GET", Some(object)) => (200, object),
            (_, Some(object)) => {
                let body = request.into_body().collect_bytes().await.unwrap();
                let mut conflicts = self.conflicts.lock();
                if *conflicts > 0 {
                    *conflicts -= 1;
                    failure(409, "Conflict")
                } else {
                    self.written.lock().push(serde_json::from_slice(&body).unwrap());
                    (200, object)
                }
            }
        };
        let answer = serde_json::to_vec(&answer).unwrap();
        Ok(Response::builder().status(code).body(Body::from(answer)).unwrap())
    }
}

fn guard(known: Option<Pod>, server: &Server) -> Guard {
    let pods = Store::new(|_| {}, Vec::new());
    if let Some(known) = known {
        pods.apply(known);
    }
    let entries = Entries::new(&Registry::new()).unwrap();
    Guard::new(pods, server.client(), Clock::fixed(Timestamp::UNIX_EPOCH), entries)
}

fn review(way: &str) -> Review<Value> {
    let user = serde_json::from_value(json!({"username": "alice"})).unwrap();
    Review {
        operation: fleet::webhook::Operation::Connect,
        kind: kube::core::GroupVersionKind::gvk("", "v1", "PodExecOptions"),
        resource: kube::core::GroupVersionResource::gvr("", "v1", "pods"),
        sub_resource: Some(way.to_owned()),
        namespace: Some("n".to_owned()),
        name: "r-pod".to_owned(),
        object: None,
        old_object: None,
        user,
        dry_run: false,
    }
}

fn message(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Deny { message } => message,
        Verdict::AllowWithWarnings(warnings) => &warnings[0],
        other => panic!("no message in {other:?}"),
    }
}

#[rstest]
#[case::owned(owned(), Owner::Run("r".into()))]
#[case::labelled(json!({"labels": {"tekton.dev/taskRun": "s"}}), Owner::Run("s".into()))]
#[case::of_another_kind(json!({"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u"}]}), Owner::Nobody)]
#[case::of_nobody(json!({}), Owner::Nobody)]
fn tells_whose_a_pod_is(#[case] metadata: Value, #[case] expected: Owner) {
    assert_eq!(owner_of(&pod("r-pod", &metadata)), expected);
}

#[rstest]
#[case::known(Some(pod("r-pod", &owned())), None, Answer::Refused, "is of TaskRun \"r\"")]
#[case::made_just_now(None, Some(pod("r-pod", &owned())), Answer::Refused, "fleet.konflux-ci.dev/enter-runs=allowed")]
#[case::missing(None, None, Answer::Missing, "there is no pod \"r-pod\" in namespace \"n\"")]
#[tokio::test]
async fn nobody_is_let_into_a_pod_of_a_run(
    #[case] known: Option<Pod>,
    #[case] stored: Option<Pod>,
    #[case] answer: Answer,
    #[case] expected: &str,
) {
    let objects = stored.map(|pod| ("/pods/r-pod", serde_json::to_value(pod).unwrap())).into_iter().collect();
    let guard = guard(known, &Server { objects, ..Server::default() });
    let verdict = guard.judge(&review("attach"), Rule::Refuse).await;
    assert!(message(&verdict).contains(expected), "{verdict:?}");
    assert_eq!(guard.entries.counted("attach", answer), 1);
}

#[tokio::test]
async fn other_pods_are_nobodys_business() {
    let objects = vec![("/pods/r-pod", serde_json::to_value(pod("r-pod", &json!({}))).unwrap())];
    let server = Server { objects, ..Server::default() };
    for rule in [Rule::Refuse, Rule::Mark] {
        assert_eq!(guard(None, &server).judge(&review("exec"), rule).await, Verdict::Allow);
    }
    assert_eq!(*server.written.lock(), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_judged_in_time_is_not_let_in() {
    let guard = guard(None, &Server { is_slow: true, ..Server::default() });
    let began = tokio::time::Instant::now();
    let verdict = guard.judge(&review("exec"), Rule::Refuse).await;
    assert!(message(&verdict).contains("could not be found out"), "{verdict:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "the API server waits for five seconds");
    assert_eq!(guard.entries.counted("exec", Answer::Unknown), 1);
}

fn run(more: &Value) -> Value {
    let mut run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "r", "namespace": "n", "uid": "u", "resourceVersion": "1"}, "spec": {},
    });
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

#[tokio::test]
async fn a_run_is_marked_before_somebody_is_let_in() {
    let server = Server {
        objects: vec![("/taskruns/r", run(&json!({})))],
        conflicts: Arc::new(Mutex::new(2)),
        ..Server::default()
    };
    let guard = guard(Some(pod("r-pod", &owned())), &server);
    let verdict = guard.judge(&review("exec"), Rule::Mark).await;
    assert!(matches!(verdict, Verdict::AllowWithWarnings(_)), "{verdict:?}");
    let written = server.written.lock().clone();
    assert_eq!(written.len(), 1, "after two conflicts");
    let condition = &written[0]["status"]["conditions"][0];
    assert_eq!(
        (&condition["type"], &condition["status"], &condition["reason"]),
        (&json!("Tampered"), &json!("True"), &json!("Exec"))
    );
    assert_eq!(condition["message"], "\"alice\" was let into pod \"r-pod\" (exec)");
}

#[tokio::test]
async fn a_run_that_cannot_be_marked_is_not_entered() {
    let foreign = run(&json!({"spec": {"managedBy": "example.com/other"}}));
    let server = Server { objects: vec![("/taskruns/r", foreign)], ..Server::default() };
    let guard = guard(Some(pod("r-pod", &owned())), &server);
    let verdict = guard.judge(&review("exec"), Rule::Mark).await;
    assert!(
        matches!(&verdict, Verdict::Deny { message } if message.contains("another engine")),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn nothing_is_written_on_trial() {
    let server = Server { objects: vec![("/taskruns/r", run(&json!({})))], ..Server::default() };
    let guard = guard(Some(pod("r-pod", &owned())), &server);
    let review = Review { dry_run: true, ..review("exec") };
    assert_eq!(guard.judge(&review, Rule::Mark).await, Verdict::Allow);
    assert_eq!(*server.written.lock(), [] as [Value; 0]);
}

/// What the API server asks about while the engine is away is told by names alone (guard-webhook.yaml).
#[rstest]
#[case::short("run".to_owned())]
#[case::long("r".repeat(63))]
fn names_of_pods_of_runs_are_asked_about(#[case] run: String) {
    for retry in [0, 1, 12] {
        let name = crate::names::pod(&run, retry);
        let tail = name.rsplit_once("-pod").map(|(_, tail)| tail);
        let number = tail.and_then(|tail| tail.strip_prefix("-retry"));
        assert!(
            tail == Some("") || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())),
            "{name}"
        );
    }
}
