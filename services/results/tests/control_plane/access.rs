//! Who is let in (scenario 4).

use http::StatusCode;
use rstest::rstest;
use serde_json::json;

use crate::server::{ALL, Server, result};

#[tokio::test]
async fn a_role_of_one_namespace_opens_that_one_alone() {
    let server = Server::start().await;
    let (ours, theirs) =
        (server.plane.namespace("a").await.unwrap(), server.plane.namespace("b").await.unwrap());
    let jane = server.user(&ours, "jane", "get, list").await;
    let writer = server.user(&ours, "writer", ALL).await;
    let created = server.post(&writer, &format!("{ours}/results"), result(&ours, "first")).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");

    let listed = server.get(&jane, &format!("{ours}/results")).await;
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    assert_eq!(listed.body["results"][0]["name"], format!("{ours}/results/first"));
    assert_eq!(listed.body["nextPageToken"], "");

    for path in [format!("{theirs}/results"), "-/results".to_owned()] {
        let refused = server.get(&jane, &path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
        assert_eq!((&refused.body["code"], &refused.body["details"]), (&json!(7), &json!([])));
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains("jane") && message.contains("list results"), "{message}");
    }

    // The answer does not tell whether there is such a Result.
    let there = server.post(&jane, &format!("{ours}/results"), result(&ours, "first")).await;
    let not_there = server.post(&jane, &format!("{ours}/results"), result(&ours, "second")).await;
    assert_eq!((there.status, &there.body), (StatusCode::FORBIDDEN, &not_there.body));
}

#[tokio::test]
async fn a_reader_of_the_cluster_lists_all() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("all").await.unwrap();
    let writer = server.user(&namespace, "writer", ALL).await;
    server.post(&writer, &format!("{namespace}/results"), result(&namespace, "first")).await;
    let rules = format!(
        r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{ name: reader-{namespace} }}
rules: [{{ apiGroups: [results.tekton.dev], resources: [results, records], verbs: [list] }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{ name: reader-{namespace} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader-{namespace} }}
subjects: [{{ kind: ServiceAccount, name: reader, namespace: {namespace} }}]
"
    );
    namespace.apply_yaml(&rules).await.unwrap();
    let reader = server.user(&namespace, "reader", "").await;
    let listed = async || {
        let listed = server.get(&reader, "-/results").await;
        anyhow::ensure!(listed.status == StatusCode::OK, "{listed:?}");
        Ok(listed)
    };
    let listed = testkit::eventually(testkit::DEADLINE, "the ClusterRole to be known", listed).await.unwrap();
    assert_eq!(listed.body["results"].as_array().unwrap().len(), 1);
    let records = server.get(&reader, "-/results/-/records").await;
    assert_eq!(records.status, StatusCode::OK, "{records:?}");
}

#[rstest]
#[case::none("")]
#[case::garbage("garbage")]
#[tokio::test]
async fn without_a_valid_token_nobody_gets_in(#[case] token: &str) {
    let server = Server::start().await;
    for path in [
        "default/results",
        "-/results",
        "default/results/x/records/y",
        "default/results/x/logs/y",
        "BAD/results",
    ] {
        let refused = server.get(token, path).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}: {refused:?}");
        assert_eq!(refused.body["code"], 16);
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn what_is_no_route_is_said_in_json() {
    let server = Server::start().await;
    let missing = server.get("", "default").await;
    assert_eq!((missing.status, &missing.body["code"]), (StatusCode::NOT_FOUND, &json!(5)), "{missing:?}");
    let wrong = server.call(http::Method::PUT, "", "default/results", None, &[]).await;
    assert_eq!((wrong.status, &wrong.body["code"]), (StatusCode::NOT_IMPLEMENTED, &json!(12)), "{wrong:?}");
}
