//! Each rule passes once and fails once, and each default is filled in.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::KINDS;

/// A valid Repository with `spec` merged into its own.
pub(crate) fn repository(spec: &Value) -> Value {
    let valid = json!({
        "apiVersion": "pipelinesascode.tekton.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "valid"},
        "spec": {"url": "https://git.example.com/shop"},
    });
    if spec.is_null() { valid } else { with(valid, &json!({"spec": spec})) }
}

fn url(url: &str) -> Value {
    repository(&json!({"url": url}))
}

fn provider(patch: &Value) -> Value {
    repository(&json!({"git_provider": patch}))
}

fn incoming(patch: &Value) -> Value {
    repository(&json!({"incoming": [with(json!({"type": "webhook-url", "targets": ["main"]}), patch)]}))
}

fn settings(patch: &Value) -> Value {
    repository(&json!({"settings": patch}))
}

// build-service, and the original of it, tell a refusal by these words.
const BAD_URL: &str = "denied the request: failed to validate url";

#[rstest]
#[case::as_is(repository(&Value::Null), &[])]
#[case::the_one_with_defaults(repository(&json!({"url": null})), &[])]
#[case::no_spec(with(repository(&Value::Null), &json!({"spec": null})), &[])]
#[case::empty_url_as_go_clients_send_it(url(""), &[])]
#[case::url_by_http(url("http://git.example.com/shop"), &[])]
#[case::url_by_ssh(url("ssh://git@git.example.com/shop"), &["spec.url", BAD_URL])]
#[case::url_as_scp_writes_it(url("git@git.example.com:shop"), &["spec.url", BAD_URL])]
#[case::url_without_scheme(url("git.example.com/shop"), &["spec.url", BAD_URL])]
#[case::url_without_host(url("https:///shop"), &["spec.url", BAD_URL])]
#[case::limit_of_1(repository(&json!({"concurrency_limit": 1})), &[])]
#[case::limit_of_0(repository(&json!({"concurrency_limit": 0})), &["spec.concurrency_limit", "must be greater than 0"])]
#[case::limit_below_0(repository(&json!({"concurrency_limit": -1})), &["spec.concurrency_limit", "must be greater than 0"])]
#[case::type_(repository(&json!({"type": "bitbucket-enteprise"})), &[])]
#[case::other_type(repository(&json!({"type": "bitbucket-enterprise"})), &["spec.type: Unsupported value"])]
#[case::provider(provider(&json!({"type": "bitbucket-datacenter"})), &[])]
#[case::other_provider(provider(&json!({"type": "svn"})), &["spec.git_provider.type: Unsupported value"])]
#[case::secret_without_name(provider(&json!({"secret": {"key": "a"}})), &["spec.git_provider.secret.name: Required value"])]
#[case::incoming(incoming(&json!({})), &[])]
#[case::incoming_without_targets(incoming(&json!({"targets": null})), &[])]
#[case::incoming_without_type(incoming(&json!({"type": null})), &["spec.incoming[0].type: Required value"])]
#[case::incoming_of_other_type(incoming(&json!({"type": "mail"})), &["spec.incoming[0].type: Unsupported value"])]
#[case::param_without_name(repository(&json!({"params": [{"value": "a"}]})), &["spec.params[0].name: Required value"])]
#[case::provenance(settings(&json!({"pipelinerun_provenance": "default_branch"})), &[])]
#[case::other_provenance(
    settings(&json!({"pipelinerun_provenance": "main"})), &["spec.settings.pipelinerun_provenance: Unsupported value"]
)]
#[case::no_strategy(settings(&json!({"github": {"comment_strategy": ""}})), &[])]
#[case::other_strategy(
    settings(&json!({"github": {"comment_strategy": "all"}})), &["spec.settings.github.comment_strategy: Unsupported value"]
)]
#[case::other_strategy_for_gitlab(
    settings(&json!({"gitlab": {"comment_strategy": "all"}})), &["spec.settings.gitlab.comment_strategy: Unsupported value"]
)]
#[case::other_strategy_for_forgejo(
    settings(&json!({"forgejo": {"comment_strategy": "all"}})), &["spec.settings.forgejo.comment_strategy: Unsupported value"]
)]
#[tokio::test]
async fn is_created(#[case] object: Value, #[case] expected: &[&str]) -> anyhow::Result<()> {
    assert_verdict(KINDS.created(&object).await?, expected);
    Ok(())
}

#[rstest]
#[case::token(provider(&json!({"secret": {"name": "a"}})), "/spec/git_provider/secret/key", "provider.token")]
#[case::webhook(provider(&json!({"webhook_secret": {"name": "a"}})), "/spec/git_provider/webhook_secret/key", "webhook.secret")]
#[case::incoming(incoming(&json!({"secret": {"name": "a"}})), "/spec/incoming/0/secret/key", "secret")]
#[case::param(
    repository(&json!({"params": [{"name": "a", "secret_ref": {"name": "b"}}]})), "/spec/params/0/secret_ref/key", "secret"
)]
#[case::given(provider(&json!({"secret": {"name": "a", "key": "password"}})), "/spec/git_provider/secret/key", "password")]
#[tokio::test]
async fn secrets_have_a_key(
    #[case] object: Value,
    #[case] pointer: &str,
    #[case] key: &str,
) -> anyhow::Result<()> {
    assert_eq!(KINDS.stored(&object).await?.pointer(pointer), Some(&Value::from(key)));
    Ok(())
}

#[tokio::test]
async fn older_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    let older = repository(&json!({
        "url": "git@git.example.com:shop",
        "type": "other",
        "concurrency_limit": 0,
        "git_provider": {"type": "other", "secret": {}},
        "incoming": [{}],
        "params": [{}],
    }));
    KINDS.outlives_rules(&older, &json!({"spec": {"settings": {"pipelinerun_provenance": "source"}}})).await
}
