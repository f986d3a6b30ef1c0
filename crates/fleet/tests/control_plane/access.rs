//! Callers as the real API server knows them, with rights that real Roles give.

use std::time::Duration;

use fleet::access::{Access, Attributes, Error};
use fleet::{Scope, Secret};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, DeleteParams};
use prometheus::Registry;
use testkit::{DEADLINE, Namespace, eventually};

use crate::admin;

/// The service under test has this name, and its tokens this audience.
const AUDIENCE: &str = "shop";

/// An account that may review, as a service's Role says it, and no more.
async fn reviewer(namespace: &Namespace<'_>) -> Client {
    let rules = format!(
        r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{ name: reviewer-{namespace} }}
rules:
- {{ apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create] }}
- {{ apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create] }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{ name: reviewer-{namespace} }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reviewer-{namespace} }}
subjects: [{{ kind: ServiceAccount, name: reviewer, namespace: {namespace} }}]
"
    );
    namespace.apply_yaml(&rules).await.unwrap();
    namespace.client_as("reviewer").await.unwrap()
}

fn access(client: Client) -> Access {
    Access::new(client, AUDIENCE, &Registry::new()).unwrap()
}

fn secrets(verb: &str, scope: Scope) -> Attributes {
    Attributes::new(verb, "", "secrets", scope)
}

#[tokio::test]
async fn a_caller_has_the_rights_that_its_roles_give() {
    let (plane, _) = admin().await;
    let namespace = plane.namespace("access").await.unwrap();
    let elsewhere = plane.namespace("access-elsewhere").await.unwrap();
    let service = reviewer(&namespace).await;
    let token = Secret::new(plane.token_of(&namespace, "jane", &[AUDIENCE]).await.unwrap());
    let role = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: reader }
rules: [{ apiGroups: [''], resources: [secrets], resourceNames: [first], verbs: [get] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: reader }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }
subjects: [{ kind: ServiceAccount, name: jane }]
";
    namespace.apply_yaml(role).await.unwrap();

    let here = || Scope::Namespace(namespace.to_string());
    let first = secrets("get", here()).named("first");
    // RBAC is read from caches; until then the answer is no. Each try asks anew.
    let jane = eventually(DEADLINE, "the Role to be known", async || {
        let access = access(service.clone());
        let jane = access.authenticate(&token).await?;
        access.authorize(&jane, &first).await?;
        Ok(jane)
    })
    .await
    .unwrap();
    assert_eq!(jane.user, format!("system:serviceaccount:{namespace}:jane"));
    assert!(jane.groups.contains(&"system:authenticated".to_owned()), "{:?}", jane.groups);
    assert!(jane.uid.is_some() && !jane.extra.is_empty());

    let access = access(service);
    let refused = [
        secrets("get", here()).named("second"),
        secrets("get", here()),
        secrets("delete", here()).named("first"),
        secrets("get", here()).named("first").subresource("status"),
        secrets("get", Scope::Namespace(elsewhere.to_string())).named("first"),
        secrets("get", Scope::All).named("first"),
        Attributes::new("get", "shop.test", "secrets", here()).named("first"),
    ];
    for attributes in &refused {
        assert_eq!(access.authorize(&jane, attributes).await, Err(Error::Forbidden), "{attributes:?}");
    }
    access.authorize(&jane, &first).await.unwrap();
}

#[tokio::test]
async fn only_a_valid_token_of_our_audience_lets_in() {
    let (plane, client) = admin().await;
    let namespace = plane.namespace("access-tokens").await.unwrap();
    let access = access(client.clone());
    let token = |audiences: &'static [&'static str]| {
        let namespace = &namespace;
        async move { Secret::new(plane.token_of(namespace, "jane", audiences).await.unwrap()) }
    };
    let ours = token(&[AUDIENCE]).await;
    let among_others = token(&["bank", AUDIENCE]).await;
    access.authenticate(&among_others).await.unwrap();

    let of_another = token(&["bank"]).await;
    let of_the_api_server = token(&[]).await;
    let forged = {
        let (head, signature) = ours.expose().rsplit_once('.').unwrap();
        let (first, rest) = signature.split_at(1);
        Secret::new(format!("{head}.{}{rest}", if first == "A" { "B" } else { "A" }))
    };
    for (what, token) in [
        ("of another service", &of_another),
        ("of the API server", &of_the_api_server),
        ("forged", &forged),
        ("garbage", &Secret::new("garbage".to_owned())),
    ] {
        assert_eq!(access.authenticate(token).await.unwrap_err(), Error::Unauthenticated, "{what}");
    }

    // A token goes with its account. What was remembered goes within ten seconds.
    access.authenticate(&ours).await.unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(client, &namespace);
    accounts.delete("jane", &DeleteParams::default()).await.unwrap();
    let gone = async || match access.authenticate(&ours).await {
        Err(Error::Unauthenticated) => Ok(()),
        other => Err(anyhow::anyhow!("{other:?}")),
    };
    eventually(DEADLINE + Duration::from_secs(30), "the token to be refused", gone).await.unwrap();
}

#[tokio::test]
async fn nobody_gets_in_if_we_may_not_ask() {
    let (plane, _) = admin().await;
    let namespace = plane.namespace("access-unasked").await.unwrap();
    let token = Secret::new(plane.token_of(&namespace, "jane", &[AUDIENCE]).await.unwrap());
    let access = access(namespace.client_as("no-reviewer").await.unwrap());
    assert!(matches!(access.authenticate(&token).await, Err(Error::Unavailable { .. })));
}
