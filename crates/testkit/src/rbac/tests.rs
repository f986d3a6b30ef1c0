use super::*;
use crate::ledger::Target;
use crate::manifests::parse;
use rstest::rstest;

const BASE: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: factory}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: robot}
rules:
  - {apiGroups: [''], resources: [configmaps, configmaps/status], verbs: [get, patch]}
  - {apiGroups: [''], resources: [secrets], resourceNames: [key], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: robot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: robot}
subjects: [{kind: ServiceAccount, name: robot, namespace: factory}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: robot, namespace: factory}
rules:
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot, namespace: factory}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: robot}
subjects: [{kind: ServiceAccount, name: robot}]
---
# For people; the service is not bound to it.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: robot-editor}
rules:
  - {apiGroups: ['*'], resources: ['*'], verbs: ['*']}
";

fn call(verb: &str, resource: &str, namespace: &str, name: &str) -> Call {
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(r, s)| (r, Some(s)));
    let group = if resource == "leases" { "coordination.k8s.io" } else { "" };
    Call {
        at: crate::builders::CREATED,
        user: user_name("factory", "robot"),
        user_agent: String::new(),
        verb: verb.to_owned(),
        target: Some(Target {
            group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.map(ToOwned::to_owned),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
        }),
        uri: String::new(),
        code: 200,
    }
}

/// Uses every rule of [`BASE`].
fn everything() -> Vec<Call> {
    vec![
        call("get", "configmaps", "a", "x"),
        call("patch", "configmaps", "a", "x"),
        call("get", "configmaps/status", "a", "x"),
        call("patch", "configmaps/status", "a", "x"),
        call("get", "secrets", "a", "key"),
        call("create", "leases", "factory", "robot"),
    ]
}

fn check(base: &str, calls: Vec<Call>, rare: &[Rare]) -> Result<(), String> {
    let comparison = compare(&parse(base).unwrap(), &calls.into_iter().collect(), rare).unwrap();
    comparison.check().map_err(|error| error.to_string())
}

#[test]
fn agrees_when_every_rule_is_used() {
    assert_eq!(check(BASE, everything(), &[]), Ok(()));
}

#[rstest]
#[case::verb_on_subresource(3, "patch configmaps/status (ClusterRole robot)")]
#[case::named_object(4, "get secrets key (ClusterRole robot)")]
#[case::rule_of_a_namespace(5, "create leases.coordination.k8s.io in factory (Role robot)")]
fn names_the_rule_that_is_not_used(#[case] left_out: usize, #[case] expected: &str) {
    let mut calls = everything();
    let left_out = calls.remove(left_out);
    let error = check(BASE, calls.clone(), &[]).unwrap_err();
    assert_eq!(error.lines().skip(2).collect::<Vec<_>>(), [format!("  {expected}")], "{error}");

    let usage = Use::of(&left_out);
    let (verb, resource) = (usage.verb.leak(), usage.resource.leak());
    assert_eq!(check(BASE, calls, &[Rare { verb, resource, because: "a test says so" }]), Ok(()));
}

#[rstest]
#[case::other_name(call("get", "secrets", "a", "other"), "get secrets other in a")]
#[case::other_verb(call("delete", "configmaps", "a", "x"), "delete configmaps x in a")]
#[case::other_namespace(call("create", "leases", "a", "robot"), "create leases.coordination.k8s.io in a")]
fn names_what_no_rule_of_the_base_allows(#[case] extra: Call, #[case] expected: &str) {
    let calls = everything().into_iter().chain([extra]).collect();
    let error = check(BASE, calls, &[]).unwrap_err();
    assert!(error.contains("allowed by no rule") && error.contains(expected), "{error}");
}

#[test]
fn names_refused_requests_and_does_not_count_them_as_use() {
    let mut calls = everything();
    calls[4].code = 403;
    let error = check(BASE, calls, &[]).unwrap_err();
    assert!(error.contains("403 get secrets a/key"), "{error}");
    assert!(error.contains("get secrets key (ClusterRole robot)"), "{error}");
}

#[test]
fn names_wildcards_and_outdated_allowances() {
    let wild = BASE.replace("verbs: [get, patch]", "verbs: ['*']");
    let rare = Rare { verb: "delete", resource: "pods", because: "it once did" };
    let error = check(&wild, everything(), &[rare]).unwrap_err();
    assert!(error.contains("* configmaps (ClusterRole robot)"), "{error}");
    assert!(error.contains("delete pods"), "{error}");
}

#[test]
fn discovery_and_reviews_of_oneself_need_no_rule() {
    let mut discovery = call("get", "unused", "a", "x");
    discovery.target = None;
    "/apis/apps/v1?timeout=32s".clone_into(&mut discovery.uri);
    let review = call("create", "selfsubjectaccessreviews", "", "");
    let calls = everything().into_iter().chain([discovery, review]).collect();
    assert_eq!(check(BASE, calls, &[]), Ok(()));
}

#[test]
fn a_bound_role_has_to_be_among_the_manifests() {
    let base = BASE.replace("kind: ClusterRole, name: robot}", "kind: ClusterRole, name: admin}");
    let error = compare(&parse(&base).unwrap(), &Calls::default(), &[]).unwrap_err();
    assert!(error.to_string().contains("ClusterRole admin is bound"), "{error}");
}
