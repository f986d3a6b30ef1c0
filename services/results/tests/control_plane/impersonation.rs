//! Callers who act as others (scenario 5).

use http::{Method, StatusCode};
use results_api::v1alpha2::results_client::ResultsClient;
use results_api::v1alpha2::{CreateResultRequest, ListResultsRequest, Result as ResultMessage};
use rstest::rstest;
use testkit::postgres::Postgres;
use testkit::{DEADLINE, eventually};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::{Code, Request};

use crate::parity::{channel, with_token};
use crate::server::{Server, result};

/// A call over gRPC with these headers as metadata.
fn with_metadata<T>(token: &str, metadata: &[(&str, &str)], message: T) -> Request<T> {
    let mut request = with_token(token, message);
    for (name, value) in metadata {
        let name: AsciiMetadataKey = name.parse().unwrap();
        let value: AsciiMetadataValue = value.parse().unwrap();
        request.metadata_mut().append(name, value);
    }
    request
}

/// A server, and a proxy that may impersonate what `may` says.
async fn proxy(server: &Server, namespace: &testkit::Namespace<'_>, may: &str) -> String {
    let objects = format!(
        r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{ name: proxy-{namespace} }}
rules: {may}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{ name: proxy-{namespace} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: proxy-{namespace} }}
subjects: [{{ kind: ServiceAccount, name: proxy, namespace: {namespace} }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: bob }}
rules: [{{ apiGroups: [results.tekton.dev], resources: [results], verbs: [list] }}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: bob }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: bob }}
subjects:
- {{ kind: User, name: bob, apiGroup: rbac.authorization.k8s.io }}
- {{ kind: Group, name: devs, apiGroup: rbac.authorization.k8s.io }}
- {{ kind: ServiceAccount, name: robot, namespace: {namespace} }}
"
    );
    namespace.apply_yaml(&objects).await.unwrap();
    server.user(namespace, "proxy", "").await
}

const EVERYBODY: &str = "[{ apiGroups: [''], resources: [users, groups, serviceaccounts], verbs: [impersonate] }, \
                         { apiGroups: [authentication.k8s.io], resources: ['userextras/scope', uids], verbs: [impersonate] }]";

#[rstest]
#[case::user(&[("impersonate-user", "bob")])]
#[case::group(&[("impersonate-user", "carol"), ("impersonate-group", "devs")])]
#[case::extra(&[("impersonate-user", "bob"), ("impersonate-extra-scope", "read"), ("impersonate-uid", "42")])]
#[tokio::test]
async fn acts_as_whom_it_may_be(#[case] headers: &[(&str, &str)]) {
    let server = Server::start().await;
    let namespace = server.plane.namespace("as").await.unwrap();
    let token = proxy(&server, &namespace, EVERYBODY).await;
    let path = format!("{namespace}/results");
    let allowed = async || {
        let answer = server.call(Method::GET, &token, &path, None, headers).await;
        anyhow::ensure!(answer.status == StatusCode::OK, "{answer:?}");
        Ok(())
    };
    eventually(DEADLINE, "the Roles to be known", allowed).await.unwrap();

    // What counts are the rights of the other one: the proxy has none of its own, and bob may not write.
    let own = server.get(&token, &path).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "{own:?}");
    let body = Some(result(&namespace, "first"));
    let written = server.call(Method::POST, &token, &path, body, headers).await;
    assert_eq!(written.status, StatusCode::FORBIDDEN, "{written:?}");
}

#[tokio::test]
async fn acts_as_a_service_account() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("as-robot").await.unwrap();
    let token = proxy(&server, &namespace, EVERYBODY).await;
    let robot = testkit::user_name(&namespace, "robot");
    let path = format!("{namespace}/results");
    let allowed = async || {
        let answer = server.call(Method::GET, &token, &path, None, &[("impersonate-user", &robot)]).await;
        anyhow::ensure!(answer.status == StatusCode::OK, "{answer:?}");
        Ok(())
    };
    eventually(DEADLINE, "the Roles to be known", allowed).await.unwrap();
}

#[rstest]
#[case::group(&[("impersonate-user", "bob"), ("impersonate-group", "system:masters")], StatusCode::FORBIDDEN)]
#[case::extra(&[("impersonate-user", "bob"), ("impersonate-extra-scope", "all")], StatusCode::FORBIDDEN)]
#[case::uid(&[("impersonate-user", "bob"), ("impersonate-uid", "1")], StatusCode::FORBIDDEN)]
#[case::account(&[("impersonate-user", "system:serviceaccount:kube-system:default")], StatusCode::FORBIDDEN)]
#[case::another(&[("impersonate-user", "admin")], StatusCode::FORBIDDEN)]
#[case::no_user(&[("impersonate-group", "devs")], StatusCode::UNAUTHORIZED)]
#[tokio::test]
async fn acts_as_nobody_else(#[case] headers: &[(&str, &str)], #[case] expected: StatusCode) {
    let server = Server::start().await;
    let namespace = server.plane.namespace("not-as").await.unwrap();
    let only_bob = "[{ apiGroups: [''], resources: [users], resourceNames: [bob], verbs: [impersonate] }]";
    let token = proxy(&server, &namespace, only_bob).await;
    let path = format!("{namespace}/results");
    let as_bob = async || {
        let answer = server.call(Method::GET, &token, &path, None, &[("impersonate-user", "bob")]).await;
        anyhow::ensure!(answer.status == StatusCode::OK, "{answer:?}");
        Ok(())
    };
    eventually(DEADLINE, "the Roles to be known", as_bob).await.unwrap();
    let refused = server.call(Method::GET, &token, &path, None, headers).await;
    assert_eq!(refused.status, expected, "{refused:?}");
}

/// Metadata of gRPC are the headers of REST: the same identities, the same refusals.
#[rstest]
#[case::user(&[("impersonate-user", "bob")], None)]
#[case::group(&[("impersonate-user", "carol"), ("impersonate-group", "other"), ("impersonate-group", "devs")], None)]
#[case::extra(&[("impersonate-user", "bob"), ("impersonate-extra-scope", "read"), ("impersonate-uid", "42")], None)]
#[case::without_rights(&[("impersonate-user", "carol")], Some(Code::PermissionDenied))]
#[case::other_extra(&[("impersonate-user", "bob"), ("impersonate-extra-role", "all")], Some(Code::PermissionDenied))]
#[case::no_user(&[("impersonate-group", "devs")], Some(Code::Unauthenticated))]
#[tokio::test]
async fn metadata_of_grpc_say_whom(#[case] metadata: &[(&str, &str)], #[case] refusal: Option<Code>) {
    let server = Server::start().await;
    let namespace = server.plane.namespace("as-grpc").await.unwrap();
    let token = proxy(&server, &namespace, EVERYBODY).await;
    let mut client = ResultsClient::new(channel(&server).await);
    let list = || ListResultsRequest { parent: namespace.to_string(), ..ListResultsRequest::default() };
    let as_bob = async || {
        let request = with_metadata(&token, &[("impersonate-user", "bob")], list());
        Ok(client.list_results(request).await?)
    };
    eventually(DEADLINE, "the Roles to be known", as_bob).await.unwrap();

    let listed = async || {
        let answer = client.list_results(with_metadata(&token, metadata, list())).await;
        let code = answer.err().map(|status| status.code());
        anyhow::ensure!(code == refusal, "{code:?}");
        Ok(())
    };
    eventually(DEADLINE, "the answer", listed).await.unwrap();
    if refusal.is_none() {
        let own = client.list_results(with_token(&token, list())).await.unwrap_err();
        assert_eq!(own.code(), Code::PermissionDenied, "the proxy has no rights of its own");
        let name = format!("{namespace}/results/first");
        let create = CreateResultRequest {
            parent: namespace.to_string(),
            result: Some(ResultMessage { name, ..ResultMessage::default() }),
        };
        let written = client.create_result(with_metadata(&token, metadata, create)).await.unwrap_err();
        assert_eq!(written.code(), Code::PermissionDenied, "whom it acts as may not write");
    }
}

/// A caller that may be bob, and is stopped at everybody else over gRPC too.
#[tokio::test]
async fn metadata_of_grpc_make_nobody_else() {
    let server = Server::start().await;
    let namespace = server.plane.namespace("not-as-grpc").await.unwrap();
    let only_bob = "[{ apiGroups: [''], resources: [users], resourceNames: [bob], verbs: [impersonate] }]";
    let token = proxy(&server, &namespace, only_bob).await;
    let mut client = ResultsClient::new(channel(&server).await);
    let list = || ListResultsRequest { parent: namespace.to_string(), ..ListResultsRequest::default() };
    let as_bob = async || {
        let request = with_metadata(&token, &[("impersonate-user", "bob")], list());
        Ok(client.list_results(request).await?)
    };
    eventually(DEADLINE, "the Roles to be known", as_bob).await.unwrap();
    let robot = testkit::user_name(&namespace, "robot");
    for metadata in [
        &[("impersonate-user", "admin")][..],
        &[("impersonate-user", &robot)],
        &[("impersonate-user", "bob"), ("impersonate-group", "system:masters")],
        &[("impersonate-user", "bob"), ("impersonate-uid", "1")],
        &[("impersonate-user", "bob"), ("impersonate-extra-scope", "all")],
    ] {
        let refused = client.list_results(with_metadata(&token, metadata, list())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{metadata:?}: {refused:?}");
    }
}

/// Where it is switched off nobody acts as another, and nobody falls back to their own rights unawares.
#[tokio::test]
async fn switched_off_it_is_refused() {
    let database = Postgres::database().await.unwrap();
    let flags = ["--auth-impersonate=false"];
    let server = Server::with(&database, std::path::Path::new("/nowhere"), &flags).await;
    let namespace = server.plane.namespace("as-off").await.unwrap();
    let token = server.user(&namespace, "reader", "get, list").await;
    let path = format!("{namespace}/results");
    let own = server.get(&token, &path).await;
    assert_eq!(own.status, StatusCode::OK, "{own:?}");
    let reader = testkit::user_name(&namespace, "reader");
    let refused = server.call(Method::GET, &token, &path, None, &[("impersonate-user", &reader)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
    let mut client = ResultsClient::new(channel(&server).await);
    let list = ListResultsRequest { parent: namespace.to_string(), ..ListResultsRequest::default() };
    let request = with_metadata(&token, &[("impersonate-user", &reader)], list);
    let refused = client.list_results(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
}
