use super::*;
use http::{Request, Response};
use kube::client::Body;
use rstest::rstest;
use serde_json::{Value, json};

use crate::watch::testing::{self, RunBuilder};

#[rstest]
#[case::well(testing::run("a").ended_at(1, "True"), Verdict::Success)]
#[case::badly(testing::run("a").ended_at(1, "False"), Verdict::Failure)]
#[case::without_a_word(testing::run("a"), Verdict::Neutral)]
#[case::stopped(testing::run("a").ended_at(1, "False").spec_status("CancelledRunFinally"), Verdict::Cancelled)]
#[case::too_late_to_stop(testing::run("a").ended_at(1, "True").spec_status("Cancelled"), Verdict::Success)]
#[case::deleted(testing::run("a").ended_at(1, "Unknown").deleted(), Verdict::Cancelled)]
#[case::deleted_before_it_began(testing::run("a").paused().deleted(), Verdict::Cancelled)]
#[case::deleted_afterwards(testing::run("a").ended_at(1, "False").deleted(), Verdict::Failure)]
fn knows_how_a_run_has_ended(#[case] run: RunBuilder, #[case] expected: Verdict) {
    assert_eq!(verdict(&run.build()), expected);
}

#[rstest]
#[case::plain("https://git.test/team/app", Some("team/app"))]
#[case::git("https://git.test/team/app.git/", Some("team/app"))]
#[case::groups("https://git.test/group/sub/app", Some("group/sub/app"))]
#[case::project("https://git.test/projects/TEAM/repos/app", Some("TEAM/app"))]
#[case::personal("https://git.test/users/jane/repos/app/browse", Some("~jane/app"))]
#[case::no_owner("https://git.test/app", None)]
#[case::no_url("team/app", None)]
fn finds_the_repository(#[case] url: &str, #[case] expected: Option<&str>) {
    assert_eq!(place(url).map(|place| place.to_string()).as_deref(), expected);
}

/// An API server with Secret `own` and the log of a pod.
fn client() -> Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let path = request.uri().to_string();
        let (code, answer) = if path.starts_with("/api/v1/namespaces/team/pods/app-1-build-pod/log?") {
            assert!(path.contains("container=step-make") && path.contains("tailLines="), "{path}");
            (200, "login with hunter2\nmain.go:3: undefined: hunter2\n".to_owned())
        } else if path == "/api/v1/namespaces/team/secrets/own" {
            // Both in base64.
            let secret = json!({"metadata": {"name": "own"}, "data": {"password": "aHVudGVyMg==", "other": "bWFpbg=="}});
            (200, secret.to_string())
        } else {
            let status = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": path});
            (404, status.to_string())
        };
        let response = Response::builder().status(code).body(Body::from(answer.into_bytes()));
        Ok::<_, std::io::Error>(response.unwrap())
    });
    Client::new(service, "team")
}

fn failed(secrets: &[(&str, Option<&str>, bool)]) -> Failed {
    let secret = |(secret, key, is_optional): &(&str, Option<&str>, bool)| SecretValue {
        secret: (*secret).to_owned(),
        key: key.map(str::to_owned),
        is_optional: *is_optional,
    };
    Failed {
        task: "build".to_owned(),
        reason: "StepFailed".to_owned(),
        message: "exit code 2".to_owned(),
        pod: "app-1-build-pod".to_owned(),
        containers: vec!["step-make".to_owned()],
        secrets: secrets.iter().map(secret).collect(),
        ..Failed::default()
    }
}

async fn shown(settings: &Settings, run: RunBuilder, failed: Failed) -> (Option<String>, Vec<String>) {
    let (mut failures, places) = look_into(&client(), settings, &run.build(), vec![failed]).await;
    let places = places.into_iter().map(|place| format!("{}:{} {}", place.path, place.line, place.message));
    (failures.remove(0).log, places.collect())
}

/// Scenario 19, and a Secret that cannot be read: nobody knows then what may not be shown.
#[rstest]
#[case::masked(&[("own", Some("password"), false)], Some("login with *****\nmain.go:3: undefined: *****"))]
#[case::all_of_it(&[("own", None, false)], Some("login with *****\n*****.go:3: undefined: *****"))]
#[case::gone(&[("own", Some("password"), false), ("gone", Some("key"), false)], None)]
#[case::need_not_be(&[("own", Some("password"), false), ("gone", None, true)], Some("login with *****\nmain.go:3: undefined: *****"))]
#[tokio::test]
async fn shows_logs_without_secrets(
    #[case] secrets: &[(&str, Option<&str>, bool)],
    #[case] log: Option<&str>,
) {
    let (shown, places) = shown(&Settings::default(), testing::run("app-1"), failed(secrets)).await;
    assert_eq!(shown.as_deref(), log);
    assert_eq!(places, Vec::<String>::new(), "only check runs can show them");
}

#[tokio::test]
async fn a_check_run_names_places() {
    let run = testing::run("app-1").both("git-provider", "github").both("installation-id", "1");
    let failed = failed(&[("own", Some("password"), false)]);
    let settings = Settings { error_log_snippet: false, ..Settings::default() };
    let (log, places) = shown(&settings, run, failed).await;
    assert_eq!((log, places), (None, vec!["main.go:3 undefined: *****".to_owned()]));
}

#[tokio::test]
async fn nothing_is_read_where_nothing_is_shown() {
    let settings = Settings { error_log_snippet: false, error_detection: false, ..Settings::default() };
    let service = tower::service_fn(|request: Request<Body>| async move {
        Err::<Response<Body>, _>(std::io::Error::other(format!("{} is asked for", request.uri())))
    });
    let run = testing::run("app-1").build();
    let failed = vec![failed(&[("own", None, false)])];
    let (failures, _) = look_into(&Client::new(service, "team"), &settings, &run, failed).await;
    assert_eq!(failures[0].message, "exit code 2");
}

#[rstest]
#[case::pull_request(testing::run("a").both("git-provider", "gitea").both("pull-request", "7"), &json!({}), true)]
#[case::push(testing::run("a").both("git-provider", "gitea"), &json!({}), false)]
#[case::not_wanted(
    testing::run("a").both("git-provider", "gitea").both("pull-request", "7"),
    &json!({"settings": {"forgejo": {"comment_strategy": "disable_all"}}}),
    false
)]
#[case::of_the_app(
    testing::run("a").both("git-provider", "github").both("pull-request", "7").both("installation-id", "1"),
    &json!({}),
    false
)]
#[case::of_a_token(testing::run("a").both("git-provider", "github").both("pull-request", "7"), &json!({}), true)]
fn comments_where_statuses_are_short(#[case] run: RunBuilder, #[case] spec: &Value, #[case] is_made: bool) {
    let key = ObjectKey::new("team", "a");
    let (run, settings) = (run.build(), Settings::default());
    let end = End {
        verdict: Verdict::Success,
        message: "",
        tasks: &[],
        failures: &[],
        annotations: Vec::new(),
        started_at: None,
        completed_at: None,
    };
    let report = report::finished(&subject(&settings, &run, &key, None), end);
    assert_eq!(comment(&run, Some(&testing::repository(spec)), &report).is_some(), is_made);
}
