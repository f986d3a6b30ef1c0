use data_encoding::HEXLOWER;
use fleet::outbound::Options;
use forge::signature::Sender;
use http::{HeaderMap, HeaderName, HeaderValue};
use rstest::rstest;
use serde_json::{Value, json};

use super::secrets::tests::secrets;
use super::*;
use crate::stores::tests::{repositories, repository};

const BODY: &[u8] = b"{}";

/// With Secrets that are there, as `namespace/name`, key and value.
fn credentials(known: &[(&str, &str, &str)], settings: settings::Current) -> Credentials {
    credentials_of(known, settings, repositories())
}

pub(crate) fn credentials_of(
    known: &[(&str, &str, &str)],
    settings: settings::Current,
    repositories: Repositories,
) -> Credentials {
    let registry = prometheus::Registry::new();
    let clock = Clock::fixed("2024-03-01T12:00:00Z".parse().unwrap());
    let outbound = outbound::Client::new("test", Options::default(), clock.clone(), &registry).unwrap();
    let parts = Parts {
        client: nobody(),
        outbound,
        repositories,
        settings,
        secret: ObjectKey::new("pipelines-as-code", "pipelines-as-code-secret"),
        app_server: Url::parse("https://github.com").unwrap(),
        clock,
    };
    Credentials::by(secrets(known).0, parts)
}

/// A client for a cluster that is not there.
fn nobody() -> Client {
    let service = tower::service_fn(async |_: http::Request<kube::client::Body>| {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("no cluster"))
    });
    Client::new(service, "default")
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// HMAC-SHA256, in hexadecimal digits.
pub(crate) fn hmac(secret: &str, body: &[u8]) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    HEXLOWER.encode(aws_lc_rs::hmac::sign(&key, body).as_ref())
}

/// As GitHub signs.
fn signed(secret: &str) -> HeaderMap {
    headers(&[("x-hub-signature-256", &format!("sha256={}", hmac(secret, BODY)))])
}

fn proof(sender: Sender, installation: Option<u64>, headers: &HeaderMap) -> Proof<'_> {
    Proof { sender, installation, headers, body: BODY, source: None }
}

fn of_github(secret: &str) -> Repository {
    repository(&json!({
        "url": "https://github.com/o/app",
        "git_provider": {"type": "github", "webhook_secret": {"name": secret}, "secret": {"name": secret}},
    }))
}

#[tokio::test]
async fn each_delivery_needs_its_own_secret() {
    let credentials = credentials(
        &[
            ("tenant/own", "webhook.secret", "tenants"),
            ("pipelines-as-code/pipelines-as-code-secret", "webhook.secret", "apps\n"),
            ("pipelines-as-code/pipelines-as-code-secret", "webhook.secret.previous", "apps-before"),
            ("pipelines-as-code/pipelines-as-code-secret", "gitlab.webhook.secret", "gitlabs"),
        ],
        settings::Current::default(),
    );
    let repository = of_github("own");
    let check = async |installation, secret| {
        let headers = signed(secret);
        credentials.verify(&repository, proof(Sender::GitHub, installation, &headers)).await.is_ok()
    };
    assert!(check(None, "tenants").await);
    assert!(!check(Some(7), "tenants").await, "a tenant passes for the App");
    assert!(check(Some(7), "apps").await);
    assert!(check(Some(7), "apps-before").await, "in a rotation both count");
    assert!(!check(None, "apps").await);
    assert!(!check(None, "").await);
    let gitlab = headers(&[("x-gitlab-token", "gitlabs")]);
    assert!(credentials.verify(&repository, proof(Sender::GitLab, None, &gitlab)).await.is_ok());
}

#[tokio::test]
async fn a_refusal_tells_where_to_look() {
    let credentials =
        credentials(&[("tenant/own", "webhook.secret", "two words")], settings::Current::default());
    let refused = async |repository: &Repository| {
        let headers = signed("other");
        match credentials.verify(repository, proof(Sender::GitHub, None, &headers)).await {
            Err(Unverified::Refused(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    let text = refused(&of_github("own")).await;
    assert!(
        text.contains("tenant/own (key webhook.secret)") && text.contains("space or a line break"),
        "{text}"
    );
    assert!(!text.contains("two words"));
    let text = refused(&of_github("absent")).await;
    assert!(text.contains("no secret is configured"), "{text}");
    let text = refused(&repository(&json!({"git_provider": {"type": "github"}}))).await;
    assert!(text.contains("spec.git_provider.webhook_secret names none"), "{text}");
}

fn with_settings(data: &[(&str, &str)]) -> settings::Current {
    let store = fleet::Store::new(|_| {}, Vec::new());
    let current = settings::Current::follow(&store, "pipelines-as-code");
    let data: serde_json::Map<_, _> =
        data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let map: k8s_openapi::api::core::v1::ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "pipelines-as-code", "namespace": "pipelines-as-code", "resourceVersion": "1"},
        "data": data,
    }))
    .unwrap();
    store.apply(map);
    current
}

#[rstest]
#[case::permitted("203.0.113.9", "true", true)]
#[case::not_asked_for("198.51.100.1", "false", true)]
#[tokio::test]
async fn bitbucket_cloud_is_known_by_its_address(
    #[case] source: &str,
    #[case] check: &str,
    #[case] expected: bool,
) {
    let settings = with_settings(&[
        ("bitbucket-cloud-check-source-ip", check),
        ("bitbucket-cloud-additional-source-ip", "203.0.113.0/24"),
    ]);
    let credentials = credentials(&[], settings);
    let empty = HeaderMap::new();
    let proof =
        Proof { source: Some(source.parse().unwrap()), ..proof(Sender::BitbucketCloud, None, &empty) };
    let repository = |type_: &str| repository(&json!({"git_provider": {"type": type_}}));
    assert_eq!(credentials.verify(&repository("bitbucket-cloud"), proof).await.is_ok(), expected);
    assert!(credentials.verify(&repository("github"), proof).await.is_err(), "another forge's Repository");
    let unknown = Proof { source: None, ..proof };
    assert_eq!(credentials.verify(&repository("bitbucket-cloud"), unknown).await.is_ok(), check == "false");
}

fn event(provider: GitProvider, url: &str, clone_url: &str, installation: Option<u64>) -> Event {
    let branch = forge::Branch { clone_url: clone_url.to_owned(), ..forge::Branch::default() };
    Event {
        provider,
        server: String::new(),
        event_type: pipelines_as_code_api::pipeline_run::EventType::Push,
        trigger: crate::event::Trigger::Push,
        repository: forge::Repository::new("o", "app").unwrap(),
        repository_id: Some(1),
        url: url.to_owned(),
        default_branch: "main".to_owned(),
        head: branch.clone(),
        base: branch,
        commit: None,
        before: None,
        commit_message: None,
        commit_url: None,
        sender: forge::User::default(),
        pull_request: None,
        comment: None,
        incoming: None,
        installation,
        rerun_of: None,
    }
}

async fn connected(spec: Value, event: &Event) -> Result<Option<String>, String> {
    let credentials = credentials(
        &[("tenant/own", "provider.token", " token\n"), ("tenant/own", "other", "another")],
        settings::Current::default(),
    );
    let connection = credentials.connect(event, &repository(&spec), &Settings::default()).await;
    let git = connection.map_err(|error| error.to_string())?.git;
    Ok(git.map(|git| format!("{}:{}", git.user, git.token.expose())))
}

#[tokio::test]
async fn a_run_gets_the_token_where_git_clones_from_the_tokens_server() {
    let gitea = |url: &str| json!({"url": "https://git.test/o/app", "git_provider": {"type": "gitea", "url": url, "user": "me", "secret": {"name": "own"}}});
    let event = |clone_url: &str| event(GitProvider::Gitea, "https://git.test/o/app", clone_url, None);
    let there = event("https://git.test/o/app.git");
    assert_eq!(connected(gitea("https://git.test"), &there).await, Ok(Some("me:token".to_owned())));
    assert_eq!(connected(gitea("https://other.test"), &there).await, Ok(None));
    assert_eq!(connected(gitea("https://git.test"), &event("https://evil.test/o/app.git")).await, Ok(None));
}

#[rstest]
#[case::no_provider(json!({"url": "https://git.test/o/app"}), "spec.git_provider is missing")]
#[case::no_secret(json!({"url": "https://git.test/o/app", "git_provider": {"type": "gitea"}}), "spec.git_provider.secret is missing")]
#[case::another_kind(json!({"url": "https://git.test/o/app", "git_provider": {"type": "gitlab", "secret": {"name": "own"}}}), "spec.git_provider.type is gitlab")]
#[case::no_such_secret(json!({"url": "https://git.test/o/app", "git_provider": {"type": "gitea", "secret": {"name": "absent"}}}), "Secret tenant/absent is not there")]
#[case::no_such_key(json!({"url": "https://git.test/o/app", "git_provider": {"type": "gitea", "secret": {"name": "own", "key": "absent"}}}), "\"absent\"")]
#[tokio::test]
async fn says_what_is_missing(#[case] spec: Value, #[case] expected: &str) {
    let event = event(GitProvider::Gitea, "https://git.test/o/app", "", None);
    let text = connected(spec, &event).await.unwrap_err();
    assert!(text.contains(expected), "{text}");
}

/// Its key signs what lets anybody act as the App for five minutes.
#[tokio::test]
async fn the_app_speaks_to_its_own_server_only() {
    let url = "https://evil.test/o/app";
    let event = event(GitProvider::GitHubEnterprise, url, "", Some(7));
    let text = connected(json!({"url": url}), &event).await.unwrap_err();
    assert!(text.contains("--github-app-server"), "{text}");
}

#[tokio::test]
async fn what_a_run_says_of_itself_leads_to_no_other_server() {
    let credentials = credentials(&[("tenant/own", "provider.token", "t")], settings::Current::default());
    let run = |annotations: Value| -> PipelineRun {
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {"name": "r", "namespace": "tenant", "annotations": annotations}, "spec": {},
        }))
        .unwrap()
    };
    let app = run(json!({
        "pipelinesascode.tekton.dev/git-provider": "github-enterprise",
        "pipelinesascode.tekton.dev/installation-id": "7",
        "pipelinesascode.tekton.dev/ghe-url": "https://evil.test",
        "pipelinesascode.tekton.dev/repo-url": "https://evil.test/o/app",
    }));
    let elsewhere = repository(&json!({"url": "https://evil.test/o/app"}));
    let error = credentials.forge_for_run(&app, &elsewhere).await.err().unwrap();
    assert!(error.to_string().contains("--github-app-server") && !error.is_transient(), "{error}");
    let own = of_github("own");
    let token = run(json!({"pipelinesascode.tekton.dev/git-provider": "github"}));
    assert!(credentials.forge_for_run(&token, &own).await.is_ok());
    let error = credentials.forge_for_run(&run(json!({})), &own).await.err().unwrap();
    assert!(error.to_string().contains("git-provider"), "{error}");
}
