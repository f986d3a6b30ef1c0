//! Each rule passes once and fails once, with the words that people and tools look for; and no rule holds an object
//! that is older than it.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::{KINDS, git, scenario};

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn spec(field: &str, value: impl Into<Value>) -> Value {
    json!({"spec": {field: value.into()}})
}

fn from_git(params: Value) -> Value {
    spec("resolverRef", git(params))
}

const NAME_RULE: &str = "metadata.name must be a DNS-1035 label";
const ONE_REPOSITORY: &str = "the git resolver needs either the parameter url or the parameters repo and org";
const HTTPS: &str = "must be absolute URLs that begin with https://";
const BLANKS: &str = "must not begin or end with blanks";
const TOKEN: &str = "the parameter token of the git resolver must name a Secret";
const RESERVED: &str = "the parameter SNAPSHOT is added by integration-service";

#[rstest]
#[case::as_is(json!({}), &[])]
#[case::name_of_63(named(&"a".repeat(63)), &[])]
#[case::name_of_64(named(&"a".repeat(64)), &["invalid integration test scenario name: aaaa", NAME_RULE])]
#[case::name_begins_with_digit(named("1a"), &[NAME_RULE])]
#[case::name_with_dot(named("a.b"), &[NAME_RULE])]
#[case::no_spec(json!({"spec": null}), &["spec.application: Required value", "spec.resolverRef: Required value"])]
#[case::no_application(spec("application", Value::Null), &["spec.application: Required value"])]
#[case::application_in_upper_case(spec("application", "A"), &["spec.application", "should match"])]
#[case::no_pipeline(spec("resolverRef", Value::Null), &["spec.resolverRef: Required value"])]
#[case::no_resolver(spec("resolverRef", json!({"resolver": null})), &["spec.resolverRef.resolver: Required value"])]
#[case::no_parameters(spec("resolverRef", json!({"params": null})), &["spec.resolverRef.params: Required value"])]
#[case::parameter_without_value(
    spec("resolverRef", json!({"params": [{"name": "url"}]})), &["spec.resolverRef.params[0].value: Required value"]
)]
#[case::a_run(spec("resolverRef", json!({"resourceKind": "pipelinerun"})), &[])]
#[case::a_task(spec("resolverRef", json!({"resourceKind": "task"})), &["spec.resolverRef.resourceKind: Unsupported value"])]
#[case::repository_of_an_organisation(from_git(json!({"repo": "a", "org": "b"})), &[])]
#[case::repository_of_nobody(from_git(json!({"repo": "a"})), &["spec.resolverRef", ONE_REPOSITORY])]
#[case::two_repositories(from_git(json!({"url": "https://git.example.com/a", "repo": "a"})), &[ONE_REPOSITORY])]
#[case::no_repository(from_git(json!({"revision": "main"})), &[ONE_REPOSITORY])]
#[case::url_by_http(from_git(json!({"url": "http://git.example.com/a"})), &["spec.resolverRef", HTTPS])]
#[case::url_without_scheme(from_git(json!({"url": "git.example.com/a"})), &[HTTPS])]
#[case::server_by_http(from_git(json!({"repo": "a", "org": "b", "serverURL": "http://git.example.com"})), &[HTTPS])]
#[case::server_by_https(from_git(json!({"repo": "a", "org": "b", "serverURL": "https://git.example.com"})), &[])]
#[case::token_in_a_secret(from_git(json!({"url": "https://git.example.com/a", "token": "my-secret"})), &[])]
#[case::token_itself(from_git(json!({"url": "https://git.example.com/a", "token": "ghp_Secret"})), &[TOKEN])]
#[case::blank_behind(from_git(json!({"url": "https://git.example.com/a", "revision": "main "})), &[BLANKS])]
#[case::line_break_before(from_git(json!({"url": "https://git.example.com/a", "revision": "\nmain"})), &[BLANKS])]
#[case::blank_inside(from_git(json!({"url": "https://git.example.com/a", "revision": "a b"})), &[])]
#[case::all_at_once(
    from_git(json!({"url": "http://git.example.com/a", "org": "b", "token": "T", "revision": " main"})),
    &[ONE_REPOSITORY, HTTPS, TOKEN, BLANKS]
)]
#[case::other_resolvers_are_free(
    spec("resolverRef", json!({"resolver": "bundles", "params": [{"name": "bundle", "value": " a"}]})), &[]
)]
#[case::parameters(spec("params", json!([{"name": "a", "value": "b"}, {"name": "c", "values": ["d"]}])), &[])]
#[case::reserved_parameter(spec("params", json!([{"name": "SNAPSHOT", "value": "b"}])), &["spec.params", RESERVED])]
#[case::nameless_parameter(spec("params", json!([{"value": "b"}])), &["spec.params[0].name: Required value"])]
#[case::nameless_context(spec("contexts", json!([{"description": "b"}])), &["spec.contexts[0].name: Required value"])]
#[tokio::test]
async fn is_created(#[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.created(&with(scenario(), &patch)).await.unwrap(), expected);
}

#[rstest]
#[case::application(spec("application", "other"), &[])]
#[case::application_removed(spec("application", Value::Null), &["spec.application: Required value"])]
#[case::pipeline_removed(spec("resolverRef", Value::Null), &["spec.resolverRef: Required value"])]
#[case::resolver_removed(
    spec("resolverRef", json!({"resolver": null})), &["spec.resolverRef.resolver: Required value"]
)]
// What an edit breaks is for the controller to say.
#[case::url_by_http(from_git(json!({"url": "http://git.example.com/a"})), &[])]
#[tokio::test]
async fn is_updated(#[case] patch: Value, #[case] expected: &[&str]) {
    assert_verdict(KINDS.updated(&scenario(), &patch).await.unwrap(), expected);
}

#[tokio::test]
async fn status_has_conditions() {
    let error = KINDS.stored(&with(scenario(), &json!({"status": {"other": 1}}))).await.unwrap_err();
    assert!(format!("{error:#}").contains("status.conditions: Required value"), "{error:#}");
}

#[tokio::test]
async fn a_pipeline_is_meant_where_nothing_else_is_said() {
    let stored =
        KINDS.stored(&with(scenario(), &spec("resolverRef", json!({"resourceKind": null})))).await.unwrap();
    assert_eq!(stored["spec"]["resolverRef"]["resourceKind"], "pipeline");
}

/// With fields of a newer version, for which the API server does not skip rules by itself; and with none of ours,
/// but such of `v1alpha1`.
#[rstest]
#[case(with(with(scenario(), &named("1.a")), &json!({"spec": {
    "params": [{"name": "SNAPSHOT", "added": 1}],
    "resolverRef": {"added": 1, "params": [{"name": "url", "value": " http://a"}, {"name": "token", "value": "T"}]},
}})))]
#[case(with(scenario(), &json!({"spec": {
    "application": null, "componentGroup": "g", "resolverRef": null, "pipeline": "p", "bundle": "b",
}})))]
#[tokio::test]
async fn older_objects_can_be_edited_and_deleted(#[case] object: Value) {
    KINDS.outlives_rules(&object, &spec("contexts", json!([{"name": "all"}]))).await.unwrap();
}
