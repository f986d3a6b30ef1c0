//! Scenarios 1 to 3, 6, 13 and 15: what is passed on, what is not, and who is told what.

use reqwest::header::HeaderMap;
use rstest::rstest;

use crate::backend::Backend;
use crate::proxy::{Proxy, SECRET, client, headers, hmac, signed};

const BODY: &[u8] = b"{\"zen\": \"Keep it logically awesome.\"}\n";

#[tokio::test]
async fn every_back_end_gets_the_same_bytes_and_headers() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let proxy = Proxy::start(&[&one.url(), &two.url()], &[]).await;
    let mut sent = signed(SECRET, BODY, "d-1");
    sent.insert("user-agent", "GitHub-Hookshot/abc".parse().unwrap());
    sent.insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    sent.insert("proxy-authorization", "Basic abc".parse().unwrap());
    assert_eq!(proxy.post("/", BODY.to_vec(), sent.clone()).await, (200, "proxied".to_owned()));
    for backend in [&one, &two] {
        let seen = backend.wait(1).await.remove(0);
        assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("POST", "/"));
        assert_eq!(seen.body, BODY);
        for name in
            ["x-hub-signature-256", "x-github-event", "x-github-delivery", "content-type", "user-agent"]
        {
            assert_eq!(seen.header(name), sent[name].to_str().unwrap(), "{name}");
        }
        assert_eq!(seen.header("x-forwarded-for"), "203.0.113.9, 127.0.0.1");
        assert_eq!(seen.header("host"), backend.address.to_string());
        assert_eq!(seen.header("content-length"), BODY.len().to_string());
        assert!(!seen.headers.contains_key("proxy-authorization"));
    }
}

#[rstest]
#[case::root("/?x=1", "/?x=1")]
#[case::proxy("/proxy?x=1", "/?x=1")]
#[tokio::test]
async fn back_ends_see_the_path_without_proxy(#[case] path: &str, #[case] expected: &str) {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&format!("{}/ignored?y=2", backend.url())], &[]).await;
    assert_eq!(proxy.deliver(path, BODY.to_vec(), "d").await.0, 200);
    assert_eq!(backend.wait(1).await[0].uri.to_string(), expected);
}

#[tokio::test]
async fn other_paths_and_methods_are_not_routed_and_health_is_answered() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &[]).await;
    for path in ["/proxy/x", "/other", "/backends"] {
        assert_eq!(proxy.deliver(path, BODY.to_vec(), "d").await.0, 404, "{path}");
    }
    assert_eq!(client().put(&proxy.url).send().await.unwrap().status(), 405);
    for path in ["/", "/proxy", "/healthz"] {
        let answer = client().get(format!("{}{path}", proxy.url)).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (200, "healthy"),
            "{path}"
        );
    }
    assert_eq!(client().get(&proxy.health).send().await.unwrap().status(), 200);
    assert!(backend.seen().is_empty());
}

fn without(name: &str) -> HeaderMap {
    let mut headers = signed(SECRET, BODY, "d");
    headers.remove(name);
    headers
}

fn with(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = signed(SECRET, BODY, "d");
    headers.insert(name, value.parse().unwrap());
    headers
}

#[rstest]
#[case::another_secret(signed("other", BODY, "d"), BODY)]
#[case::no_signature(without("x-hub-signature-256"), BODY)]
#[case::only_sha1(sha1(), BODY)]
#[case::another_body(signed(SECRET, b"{}", "d"), BODY)]
#[case::no_content_type(without("content-type"), BODY)]
#[case::text(with("content-type", "text/plain"), BODY)]
#[case::empty_body(signed(SECRET, b"", "d"), b"")]
#[case::gitlab_without_its_secret(headers(&[("content-type", "application/json"), ("x-gitlab-event", "Push Hook"), ("x-gitlab-token", SECRET)]), BODY)]
#[tokio::test]
async fn refuses_without_a_word_and_passes_nothing_on(#[case] headers: HeaderMap, #[case] body: &[u8]) {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &[]).await;
    assert_eq!(proxy.post("/", body.to_vec(), headers).await, (400, "bad request".to_owned()));
    assert!((proxy.metric("sprayproxy_http_inbound_requests_total ").await - 1.0).abs() < f64::EPSILON);
    // One that is good arrives, and is all that arrives.
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "good").await.0, 200);
    let seen = backend.wait(1).await;
    assert_eq!((seen.len(), seen[0].header("x-github-delivery")), (1, "good"));
}

/// Signed as GitHub did it long ago.
fn sha1() -> HeaderMap {
    let mut headers = without("x-hub-signature-256");
    let signature = hmac(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET, BODY);
    headers.insert("x-hub-signature", format!("sha1={signature}").parse().unwrap());
    headers
}

#[tokio::test]
async fn sha1_counts_when_asked_for() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &["--allow-sha1"]).await;
    assert_eq!(proxy.post("/", BODY.to_vec(), sha1()).await.0, 200);
}

#[tokio::test]
async fn forms_are_passed_on_as_they_are() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &[]).await;
    let body = b"payload=%7B%22a%22%3A1%7D";
    let mut headers = signed(SECRET, body, "d");
    headers.insert("content-type", "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap());
    assert_eq!(proxy.post("/", body.to_vec(), headers).await.0, 200);
    assert_eq!(backend.wait(1).await[0].body, &body[..]);
}

#[tokio::test]
async fn each_forge_has_its_own_secret() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &["--pass-unverified=bitbucket-server"]).await;
    std::fs::write(proxy.secrets().join("GITEA_WEBHOOK_SECRET"), "gitea").unwrap();
    std::fs::write(proxy.secrets().join("GITLAB_WEBHOOK_SECRET"), "gitlab").unwrap();
    let json = ("content-type", "application/json");
    let gitea = |secret: &str| {
        let signature = hmac(aws_lc_rs::hmac::HMAC_SHA256, secret, BODY);
        headers(&[
            json,
            ("x-gitea-event", "push"),
            ("x-github-event", "push"),
            ("x-gitea-signature", &signature),
        ])
    };
    let gitlab = |token: &str| headers(&[json, ("x-gitlab-event", "Push Hook"), ("x-gitlab-token", token)]);
    let accepted = testkit::eventually(crate::proxy::PATIENCE, "the secrets to be read", async || {
        let statuses = [
            proxy.post("/", BODY.to_vec(), gitea("gitea")).await.0,
            proxy.post("/", BODY.to_vec(), gitlab("gitlab")).await.0,
        ];
        anyhow::ensure!(statuses == [200, 200], "{statuses:?}");
        Ok(())
    });
    accepted.await.unwrap();
    for wrong in [gitea("gitlab"), gitea(SECRET), gitlab("gitea"), gitlab(SECRET)] {
        assert_eq!(proxy.post("/", BODY.to_vec(), wrong).await.0, 400);
    }
    let bitbucket = headers(&[json, ("x-event-key", "pr:opened")]);
    assert_eq!(proxy.post("/", BODY.to_vec(), bitbucket).await.0, 200, "passed on unverified");
}

#[tokio::test]
async fn a_secret_is_rotated_without_a_lost_delivery() {
    let backend = Backend::start().await;
    let proxy = Proxy::start(&[&backend.url()], &[]).await;
    let send = async |secret: &str| proxy.post("/", BODY.to_vec(), signed(secret, BODY, "d")).await.0;
    let become_ = async |expected: [u16; 2]| {
        let taken_up = testkit::eventually(crate::proxy::PATIENCE, "the secrets to be read", async || {
            let statuses = [send(SECRET).await, send("new").await];
            anyhow::ensure!(statuses == expected, "{statuses:?}");
            Ok(())
        });
        taken_up.await.unwrap();
    };
    become_([200, 400]).await;
    std::fs::write(proxy.secrets().join("GH_APP_WEBHOOK_SECRET_PREVIOUS"), SECRET).unwrap();
    std::fs::write(proxy.secrets().join("GH_APP_WEBHOOK_SECRET"), "new").unwrap();
    become_([200, 200]).await;
    std::fs::remove_file(proxy.secrets().join("GH_APP_WEBHOOK_SECRET_PREVIOUS")).unwrap();
    become_([400, 200]).await;
}

#[tokio::test]
async fn no_back_end_is_fine_and_one_that_is_none_is_passed_over() {
    let proxy = Proxy::start(&["nonsense"], &[]).await;
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await, (200, "proxied".to_owned()));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (away, backend) = (Backend::start().await, Backend::start().await);
    backend.answers(307);
    let proxy = Proxy::start(&[&backend.url()], &[]).await;
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await.0, 200);
    assert!(away.seen().is_empty());
    let line =
        format!("sprayproxy_http_backend_responses_total{{class=\"3xx\",host=\"{}\"}}", backend.address);
    proxy.metric_becomes(&line, 1.0).await;
}

#[tokio::test]
async fn counts_by_host_and_by_how_it_ended() {
    let (good, bad) = (Backend::start().await, Backend::start().await);
    bad.answers(500);
    let dead = Backend::nobody().await;
    let proxy = Proxy::start(&[&good.url(), &bad.url(), &format!("http://{dead}")], &[]).await;
    assert_eq!(proxy.deliver("/", BODY.to_vec(), "d").await, (502, "failed to proxy".to_owned()));
    let forwarded = |host: std::net::SocketAddr, error: &str| {
        format!("sprayproxy_http_forwarded_requests_total{{error=\"{error}\",host=\"{host}\"}}")
    };
    for (line, expected) in [
        (forwarded(good.address, "none"), 1.0),
        (forwarded(bad.address, "http-error"), 1.0),
        (forwarded(dead, "non-http-error"), 1.0),
        ("sprayproxy_http_response_time_duration_seconds_count".to_owned(), 2.0),
        ("sprayproxy_http_response_time_duration_seconds_bucket{le=\"5\"}".to_owned(), 2.0),
        ("sprayproxy_http_inbound_requests_total".to_owned(), 1.0),
    ] {
        let value = proxy.metric(&format!("{line} ")).await;
        assert!((value - expected).abs() < f64::EPSILON, "{line} is {value}");
    }
}
