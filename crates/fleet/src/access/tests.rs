//! Against an API server that this file plays, because a real one cannot be made to fail on demand. What the real one
//! says is tested in tests/control_plane/access.rs.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::routing::get;
use http_body_util::BodyExt as _;
use kube::client::Body;
use parking_lot::Mutex;
use rstest::rstest;
use serde_json::{Value, json};
use tower::{ServiceExt as _, service_fn};

use super::*;

type Answer = Box<dyn Fn(&Value) -> (u16, Value) + Send + Sync>;

/// Plays the API server: answers reviews with `answer`, and keeps them.
struct Played {
    answer: Mutex<Answer>,
    seen: Mutex<Vec<Value>>,
    count: AtomicUsize,
}

impl Played {
    fn new(answer: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static) -> (Arc<Self>, Access) {
        Self::counted_in(&Registry::new(), answer)
    }

    fn counted_in(
        registry: &Registry,
        answer: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static,
    ) -> (Arc<Self>, Access) {
        let played = Arc::new(Self {
            answer: Mutex::new(Box::new(answer)),
            seen: Mutex::default(),
            count: AtomicUsize::new(0),
        });
        let server = played.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let question: Value = serde_json::from_slice(&body).unwrap();
                server.count.fetch_add(1, Ordering::SeqCst);
                // Long enough for others to come by.
                tokio::time::sleep(Duration::from_millis(100)).await;
                let (code, answer) = (server.answer.lock())(&question);
                server.seen.lock().push(question);
                let response = axum::http::Response::builder().status(code);
                Ok::<_, Infallible>(response.body(AxumBody::from(answer.to_string())).unwrap())
            }
        });
        let access = Access::new(Client::new(service, "default"), "shop", registry).unwrap();
        (played, access)
    }

    fn answers(&self, answer: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static) {
        *self.answer.lock() = Box::new(answer);
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn kind(question: &Value) -> &str {
    question["kind"].as_str().unwrap_or_default()
}

/// Knows everybody and allows everything.
fn yes(question: &Value) -> (u16, Value) {
    let status = match kind(question) {
        "TokenReview" => json!({
            "authenticated": true,
            "audiences": ["shop"],
            "user": { "username": "jane", "uid": "42", "groups": ["devs"], "extra": { "scope": ["read"] } },
        }),
        _ => json!({ "allowed": true }),
    };
    (201, answered(question, &status))
}

fn answered(question: &Value, status: &Value) -> Value {
    let mut answer = question.clone();
    answer["status"] = status.clone();
    answer
}

fn fails(_: &Value) -> (u16, Value) {
    (500, json!({ "kind": "Status", "status": "Failure", "message": "etcd is away", "code": 500 }))
}

fn token(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn read() -> Attributes {
    Attributes::new("get", "shop.test", "carts", Scope::Namespace("alice".to_owned())).named("first")
}

const UNAVAILABLE: Error = Error::Unavailable { retry_after: RETRY_AFTER };

#[tokio::test(start_paused = true)]
async fn passes_on_all_that_is_known_of_the_caller() {
    let (server, access) = Played::new(yes);
    let jane = access.authenticate(&token("abc")).await.unwrap();
    assert_eq!((jane.user.as_str(), &jane.groups[..]), ("jane", &["devs".to_owned()][..]));
    access.authorize(&jane, &read().subresource("log")).await.unwrap();
    access.authorize(&jane, &Attributes::new("list", "shop.test", "carts", Scope::All)).await.unwrap();

    let seen = server.seen.lock();
    assert_eq!(seen[0]["spec"], json!({ "token": "abc", "audiences": ["shop"] }));
    let spec = json!({
        "user": "jane", "uid": "42", "groups": ["devs"], "extra": { "scope": ["read"] },
        "resourceAttributes": {
            "verb": "get", "group": "shop.test", "resource": "carts", "subresource": "log",
            "namespace": "alice", "name": "first",
        },
    });
    assert_eq!(seen[1]["spec"], spec);
    let everywhere = json!({ "verb": "list", "group": "shop.test", "resource": "carts", "namespace": "" });
    assert_eq!(seen[2]["spec"]["resourceAttributes"], everywhere);
    assert!(!format!("{jane:?} {:?}", token("abc")).contains("abc"));
}

#[rstest]
#[case::not_authenticated(json!({ "authenticated": false, "audiences": ["shop"], "user": { "username": "jane" } }))]
#[case::for_somebody_else(json!({ "authenticated": true, "audiences": ["bank"], "user": { "username": "jane" } }))]
#[case::audience_not_checked(json!({ "authenticated": true, "user": { "username": "jane" } }))]
#[case::with_an_error(json!({ "authenticated": true, "audiences": ["shop"], "error": "expired", "user": { "username": "jane" } }))]
#[case::nobody(json!({ "authenticated": true, "audiences": ["shop"], "user": {} }))]
#[case::no_user(json!({ "authenticated": true, "audiences": ["shop"] }))]
#[case::nothing(json!(null))]
#[tokio::test(start_paused = true)]
async fn believes_no_other_answer(#[case] status: Value) {
    let (_server, access) = Played::new(move |question| (201, answered(question, &status)));
    assert_eq!(access.authenticate(&token("abc")).await.unwrap_err(), Error::Unauthenticated);
}

#[rstest]
#[case::not_allowed(json!({ "allowed": false }))]
#[case::denied_as_well(json!({ "allowed": true, "denied": true }))]
#[case::nothing(json!(null))]
#[tokio::test(start_paused = true)]
async fn allows_only_what_is_allowed(#[case] status: Value) {
    let (server, access) = Played::new(yes);
    let jane = access.authenticate(&token("abc")).await.unwrap();
    server.answers(move |question| (201, answered(question, &status)));
    assert_eq!(access.authorize(&jane, &read()).await, Err(Error::Forbidden));
}

#[rstest]
#[case::server_error(fails)]
#[case::no_review(|_: &Value| (201, json!("what")))]
#[case::refused(|_: &Value| (403, json!({ "kind": "Status", "status": "Failure", "code": 403 })))]
#[tokio::test(start_paused = true)]
async fn a_failure_lets_nobody_in_and_is_not_remembered(#[case] failure: fn(&Value) -> (u16, Value)) {
    let (server, access) = Played::new(failure);
    assert_eq!(access.authenticate(&token("abc")).await.unwrap_err(), UNAVAILABLE);
    server.answers(yes);
    let jane = access.authenticate(&token("abc")).await.unwrap();
    server.answers(failure);
    assert_eq!(access.authorize(&jane, &read()).await, Err(UNAVAILABLE));
    server.answers(yes);
    access.authorize(&jane, &read()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn does_not_wait_for_ever() {
    let client = Client::new(
        service_fn(|_: Request<Body>| {
            std::future::pending::<Result<axum::http::Response<AxumBody>, Infallible>>()
        }),
        "default",
    );
    let access = Access::new(client, "shop", &Registry::new()).unwrap();
    let asked = tokio::time::Instant::now();
    assert_eq!(access.authenticate(&token("abc")).await.unwrap_err(), UNAVAILABLE);
    assert!(asked.elapsed() <= Duration::from_secs(11), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn asks_once_and_for_each_question_anew() {
    let (server, access) = Played::new(yes);
    let (abc, other) = (token("abc"), token("abd"));
    let all = futures::future::join_all((0..50).map(|_| access.authenticate(&abc))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(server.count(), 1, "fifty at once are one review");

    let jane = access.authenticate(&abc).await.unwrap();
    let by_other_token = access.authenticate(&other).await.unwrap();
    assert_eq!(server.count(), 2);
    let different = [
        read(),
        Attributes::new("delete", "shop.test", "carts", Scope::Namespace("alice".to_owned())).named("first"),
        Attributes::new("get", "", "carts", Scope::Namespace("alice".to_owned())).named("first"),
        Attributes::new("get", "shop.test", "cart", Scope::Namespace("salice".to_owned())).named("first"),
        Attributes::new("get", "shop.test", "carts", Scope::Namespace("bob".to_owned())).named("first"),
        Attributes::new("get", "shop.test", "carts", Scope::All).named("first"),
        read().named("second"),
        read().subresource("log"),
    ];
    for attributes in &different {
        access.authorize(&jane, attributes).await.unwrap();
        access.authorize(&jane, attributes).await.unwrap();
    }
    assert_eq!(server.count(), 2 + different.len());
    access.authorize(&by_other_token, &read()).await.unwrap();
    assert_eq!(server.count(), 3 + different.len(), "an answer is that caller's");
}

fn jane_as_bob() -> Impersonation {
    let headers = [("impersonate-user", "bob"), ("impersonate-group", "ops")];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Impersonation::of(&headers.into_iter().collect()).unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn acts_as_another_whose_rights_then_count() {
    let (server, access) = Played::new(yes);
    let jane = access.authenticate(&token("abc")).await.unwrap();
    let bob = access.act_as(&jane, &jane_as_bob()).await.unwrap();
    access.authorize(&jane, &read()).await.unwrap();
    access.authorize(&bob, &read()).await.unwrap();

    let seen = server.seen.lock();
    let asked: Vec<Value> = seen[1..].iter().map(|question| question["spec"].clone()).collect();
    let impersonate = |resource, name| json!({ "verb": "impersonate", "group": "", "resource": resource, "namespace": "", "name": name });
    assert_eq!(asked[0]["resourceAttributes"], impersonate("users", "bob"));
    assert_eq!(asked[1]["resourceAttributes"], impersonate("groups", "ops"));
    for question in &asked[..3] {
        assert_eq!(
            (&question["user"], &question["groups"], &question["extra"]),
            (&json!("jane"), &json!(["devs"]), &json!({ "scope": ["read"] })),
            "the caller with all that is known of it"
        );
    }
    assert_eq!(
        (&asked[3]["user"], &asked[3]["groups"], &asked[3]["extra"]),
        (&json!("bob"), &json!(["ops", "system:authenticated"]), &json!({})),
        "bob, and nothing of jane's"
    );
}

#[rstest]
#[case::refused(false, Error::NotAs)]
#[case::not_known(true, UNAVAILABLE)]
#[tokio::test(start_paused = true)]
async fn nobody_becomes_another_without_the_right(#[case] breaks: bool, #[case] expected: Error) {
    let (server, access) = Played::new(yes);
    let jane = access.authenticate(&token("abc")).await.unwrap();
    server.answers(move |question| {
        let is_group = question["spec"]["resourceAttributes"]["resource"] == "groups";
        if is_group && breaks {
            fails(question)
        } else {
            (201, answered(question, &json!({ "allowed": !is_group })))
        }
    });
    assert_eq!(access.act_as(&jane, &jane_as_bob()).await.unwrap_err(), expected);
}

#[tokio::test(start_paused = true)]
async fn counts_reviews_hits_and_refusals() {
    let registry = Registry::new();
    let (server, access) = Played::counted_in(&registry, yes);
    access.authenticate(&token("abc")).await.unwrap();
    access.authenticate(&token("abc")).await.unwrap();
    server.answers(fails);
    access.authenticate(&token("abd")).await.unwrap_err();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains(r#"fleet_access_reviews_total{result="allowed",review="token"} 1"#), "{text}");
    assert!(text.contains(r#"fleet_access_reviews_total{result="error",review="token"} 1"#), "{text}");
    assert!(text.contains(r#"fleet_access_cache_hits_total{review="token"} 1"#), "{text}");
    assert!(text.contains(r#"fleet_access_denied_total{reason="unavailable"} 1"#), "{text}");
}

#[rstest]
#[case::empty("")]
#[case::padding("==")]
#[case::space("a b")]
#[case::line_break("a\nb")]
#[case::not_ascii("ä")]
#[case::too_long(&"a".repeat(LONGEST_TOKEN + 1))]
#[tokio::test(start_paused = true)]
async fn asks_nobody_about_what_is_no_token(#[case] text: &str) {
    let (server, access) = Played::new(yes);
    assert_eq!(access.authenticate(&token(text)).await.unwrap_err(), Error::Unauthenticated);
    assert_eq!(server.count(), 0);
}

/// Asks an endpoint that says who is calling, whether they may, and which claims got through.
async fn call(access: &Access, headers: &[(&str, &str)]) -> (StatusCode, HeaderMapText, Value) {
    async fn whoami(
        State(access): State<Access>,
        Caller(caller): Caller,
        headers: axum::http::HeaderMap,
    ) -> Result<String, Problem> {
        access.authorize(&caller, &read()).await?;
        let claims = headers.keys().filter(|name| name.as_str().starts_with("x-")).count();
        Ok(json!({ "user": caller.user, "claims": claims }).to_string())
    }
    let app = Router::new().route("/whoami", get(whoami)).with_state(access.clone());
    let request = headers
        .iter()
        .fold(Request::get("/whoami"), |request, (name, value)| request.header(*name, *value))
        .body(AxumBody::empty())
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let shown = HeaderMapText {
        authenticate: text(header::WWW_AUTHENTICATE),
        retry_after: text(header::RETRY_AFTER),
    };
    (status, shown, serde_json::from_slice(&body).unwrap())
}

struct HeaderMapText {
    authenticate: Option<String>,
    retry_after: Option<String>,
}

#[rstest]
#[case::valid(&[("authorization", "Bearer abc")], StatusCode::OK)]
#[case::scheme_in_other_case(&[("authorization", "bearer abc")], StatusCode::OK)]
#[case::absent(&[], StatusCode::UNAUTHORIZED)]
#[case::basic(&[("authorization", "Basic abc")], StatusCode::UNAUTHORIZED)]
#[case::no_token(&[("authorization", "Bearer")], StatusCode::UNAUTHORIZED)]
#[case::two(&[("authorization", "Bearer abc"), ("authorization", "Bearer abd")], StatusCode::UNAUTHORIZED)]
#[case::impersonation(&[("authorization", "Bearer abc"), ("impersonate-user", "root")], StatusCode::FORBIDDEN)]
#[case::claims_without_token(&[("x-remote-user", "root")], StatusCode::UNAUTHORIZED)]
#[tokio::test(start_paused = true)]
async fn takes_the_token_of_one_header(#[case] headers: &[(&str, &str)], #[case] expected: StatusCode) {
    let (_server, access) = Played::new(yes);
    let (status, shown, body) = call(&access, headers).await;
    assert_eq!(status, expected);
    if expected == StatusCode::OK {
        assert_eq!(body, json!({ "user": "jane", "claims": 0 }));
    } else {
        let keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "hint", "message", "requestId"]);
    }
    assert_eq!(shown.authenticate.is_some(), expected == StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn does_not_believe_claims_about_the_sender() {
    let (_server, access) = Played::new(yes);
    let claims = [
        ("authorization", "Bearer abc"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-user", "root"),
        ("x-remote-group", "system:masters"),
        ("x-remote-extra-scope", "all"),
        ("x-real-ip", "10.0.0.1"),
    ];
    let (status, _, body) = call(&access, &claims).await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "user": "jane", "claims": 0 })));
}

#[tokio::test(start_paused = true)]
async fn missing_and_forbidden_look_alike_and_failures_say_when_to_return() {
    let (server, access) = Played::new(yes);
    access.authenticate(&token("abc")).await.unwrap();
    server.answers(|question| (201, answered(question, &json!({ "allowed": false, "reason": "no Role" }))));
    let (status, _, mut forbidden) = call(&access, &[("authorization", "Bearer abc")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let mut missing = serde_json::to_value(Problem::missing()).unwrap();
    assert_eq!(Problem::missing().status(), status);
    for problem in [&mut forbidden, &mut missing] {
        problem["requestId"].take();
    }
    assert_eq!(forbidden, missing);

    server.answers(fails);
    let (status, shown, body) = call(&access, &[("authorization", "Bearer other")]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shown.retry_after.as_deref(), Some("2"));
    assert!(!body.to_string().contains("etcd"), "{body}");
}
