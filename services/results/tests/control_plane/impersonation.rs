//! Callers who act as others (scenario 5).

use http::{Method, StatusCode};
use rstest::rstest;
use testkit::{DEADLINE, eventually};

use crate::server::{Server, result};

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
