//! What is taken away is gone within ten seconds (results.md, section 5: decisions are remembered no longer).

use std::time::{Duration, Instant};

use http::StatusCode;
use results_api::v1alpha2::ListResultsRequest;
use results_api::v1alpha2::results_client::ResultsClient;
use serde_json::{Value, json};
use testkit::{DEADLINE, eventually, user_name};
use tonic::Code;

use crate::parity::{channel, with_token};
use crate::server::Server;

/// How long a yes may be remembered.
const BOUND: Duration = Duration::from_secs(10);

/// Asks the API server itself, as an administrator.
async fn ask(server: &Server, method: http::Method, path: &str, body: &Value) -> anyhow::Result<Value> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(body)?)?;
    Ok(server.plane.admin().request(request).await?)
}

async fn delete(server: &Server, path: &str) {
    ask(server, http::Method::DELETE, path, &json!({})).await.unwrap();
}

/// Goes on calling until both ways refuse. No call that began later than [`BOUND`] after `revoked` was allowed. How
/// many that began earlier were.
async fn is_refused_in_time(
    server: &Server,
    namespace: &str,
    token: &str,
    revoked: Instant,
    expected: (StatusCode, Code),
) -> usize {
    let path = format!("{namespace}/results");
    let mut client = ResultsClient::new(channel(server).await);
    let (mut allowed, mut last) = (0, revoked);
    let refused = async || {
        let begun = Instant::now();
        let by_rest = server.get(token, &path).await;
        let asked = ListResultsRequest { parent: namespace.to_owned(), ..ListResultsRequest::default() };
        let by_grpc = client.list_results(with_token(token, asked)).await;
        if by_rest.status == StatusCode::OK || by_grpc.is_ok() {
            (allowed, last) = (allowed + 1, begun);
        }
        let codes = (by_rest.status, by_grpc.map_err(|status| status.code()).err());
        anyhow::ensure!(codes == (expected.0, Some(expected.1)), "{codes:?}");
        Ok(())
    };
    eventually(DEADLINE, "the right to be gone", refused).await.unwrap();
    assert!(last - revoked <= BOUND, "allowed {:?} after it was revoked", last - revoked);
    // And it stays gone.
    let again = server.get(token, &path).await;
    assert_eq!(again.status, expected.0, "{again:?}");
    allowed
}

#[tokio::test]
async fn a_right_that_is_revoked_ends_within_ten_seconds() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("revoked").await.unwrap();
    let token = server.user(&namespace, "reader", "get, list").await;
    let listed = server.get(&token, &format!("{namespace}/results")).await;
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    let remembered = Instant::now();

    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces";
    delete(&server, &format!("{rbac}/{namespace}/rolebindings/reader")).await;
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {
            "user": user_name(&namespace, "reader"),
            "resourceAttributes": {
                "verb": "list", "group": "results.tekton.dev", "resource": "results", "namespace": namespace.name(),
            },
        },
    });
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let known = async || {
        let answer = ask(&server, http::Method::POST, reviews, &review).await?;
        anyhow::ensure!(answer["status"]["allowed"] == false, "{answer}");
        Ok(())
    };
    eventually(DEADLINE, "the API server to know", known).await.unwrap();
    let expected = (StatusCode::FORBIDDEN, Code::PermissionDenied);
    let revoked = Instant::now();
    let allowed = is_refused_in_time(&server, &namespace, &token, revoked, expected).await;
    // Where the API server took long to know, the memory of the yes had ended by then.
    let is_remembered = revoked - remembered < BOUND / 2;
    assert!(allowed > 0 || !is_remembered, "nothing was remembered: this test looks at nothing");
}

#[tokio::test]
async fn the_token_of_an_account_that_is_gone_ends_within_ten_seconds() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("gone").await.unwrap();
    let token = server.user(&namespace, "reader", "get, list").await;
    let path = format!("{namespace}/results");
    delete(&server, &format!("/api/v1/namespaces/{namespace}/serviceaccounts/reader")).await;
    // The API server has a memory of its own, so what is measured begins when it says no. Ours is asked all the time, or it
    // would have nothing to remember.
    let reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": { "token": token },
    });
    let known = async || {
        server.get(&token, &path).await;
        let answer = ask(&server, http::Method::POST, reviews, &review).await?;
        anyhow::ensure!(answer["status"]["authenticated"] != true, "still valid");
        Ok(())
    };
    eventually(DEADLINE, "the API server to know", known).await.unwrap();
    let expected = (StatusCode::UNAUTHORIZED, Code::Unauthenticated);
    is_refused_in_time(&server, &namespace, &token, Instant::now(), expected).await;
}
