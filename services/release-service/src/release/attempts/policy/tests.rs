use super::*;
use rstest::rstest;
use serde_json::json;

fn config(entries: &Value) -> ReleaseServiceConfig {
    serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "ReleaseServiceConfig",
        "metadata": {"name": "release-service-config"}, "spec": {"retryablePipelines": entries},
    }))
    .unwrap()
}

fn entry_with(policy: &Value) -> Value {
    json!({
        "url": "https://git\\.example/acme/.*", "revision": "production|main", "pathInRepo": "pipelines/push.yaml",
        "retryPolicy": policy,
    })
}

fn admission(pipeline: &Value, data: &Value) -> ReleasePlanAdmission {
    serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "ReleasePlanAdmission",
        "metadata": {"name": "a", "namespace": "m"},
        "spec": {"applications": ["shop"], "origin": "t", "policy": "p", "pipeline": pipeline, "data": data},
    }))
    .unwrap()
}

fn pipeline(resolver: &str, url: &str, revision: &str, path: &str, retries: Option<i64>) -> Value {
    let params = json!([
        {"name": "url", "value": url}, {"name": "revision", "value": revision}, {"name": "pathInRepo", "value": path},
    ]);
    json!({"pipelineRef": {"resolver": resolver, "params": params}, "maxRetries": retries})
}

fn usual(retries: Option<i64>) -> Value {
    pipeline("git", "https://git.example/acme/catalog", "main", "pipelines/push.yaml", retries)
}

fn plan(data: &Value) -> Arc<ReleasePlan> {
    let plan = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "ReleasePlan",
        "metadata": {"name": "p", "namespace": "t"}, "spec": {"application": "shop", "target": "m", "data": data},
    });
    Arc::new(serde_json::from_value(plan).unwrap())
}

#[rstest]
#[case::policy_says_how_often(&usual(None), &json!({"maxRetries": 2}), Some(2))]
#[case::admission_says_it(&usual(Some(5)), &json!({"maxRetries": 2}), Some(5))]
#[case::admission_says_never(&usual(Some(0)), &json!({"maxRetries": 2}), None)]
#[case::nobody_says_it(&usual(None), &json!({}), None)]
#[case::policy_says_never(&usual(None), &json!({"maxRetries": 0}), None)]
#[case::other_url(&pipeline("git", "https://git.example/other/catalog", "main", "pipelines/push.yaml", None), &json!({"maxRetries": 2}), None)]
#[case::url_is_longer(&pipeline("git", "x https://git.example/acme/catalog", "main", "pipelines/push.yaml", None), &json!({"maxRetries": 2}), None)]
#[case::revision_is_longer(&pipeline("git", "https://git.example/acme/catalog", "main2", "pipelines/push.yaml", None), &json!({"maxRetries": 2}), None)]
#[case::other_branch_of_two(&pipeline("git", "https://git.example/acme/catalog", "production", "pipelines/push.yaml", None), &json!({"maxRetries": 2}), Some(2))]
#[case::path_is_no_expression(&pipeline("git", "https://git.example/acme/catalog", "main", "pipelines/push-yaml", None), &json!({"maxRetries": 2}), None)]
#[case::other_resolver(&pipeline("cluster", "https://git.example/acme/catalog", "main", "pipelines/push.yaml", None), &json!({"maxRetries": 2}), None)]
fn may_be_repeated(#[case] pipeline: &Value, #[case] policy: &Value, #[case] expected: Option<i64>) {
    let info = retry_info(&config(&json!([entry_with(policy)])), &admission(pipeline, &json!({})), &[]);
    assert_eq!((info.enabled, info.max_retries), (Some(expected.is_some()), expected), "{:?}", info.reason);
}

#[rstest]
#[case::default(&json!({"mapping": {"defaults": {"tags": ["latest"]}}}), &json!({}), true)]
#[case::component(&json!({"mapping": {"components": [{"name": "web", "tags": ["1", "latest"]}]}}), &json!({}), true)]
#[case::component_tags(&json!({"mapping": {"components": [{"name": "web", "componentTags": ["latest"]}]}}), &json!({}), true)]
#[case::repository(&json!({"mapping": {"components": [{"name": "web", "repositories": [{"url": "x", "tags": ["latest"]}]}]}}), &json!({}), true)]
#[case::of_a_plan(&json!({}), &json!({"mapping": {"defaults": {"tags": ["latest"]}}}), true)]
#[case::begins_likewise(&json!({"mapping": {"defaults": {"tags": ["latest-1"]}}}), &json!({}), false)]
#[case::no_tag(&json!({"mapping": {"components": [{"name": "latest"}]}}), &json!({}), false)]
#[case::elsewhere(&json!({"tags": ["latest"]}), &json!({}), false)]
fn tags_disable_it(#[case] of_admission: &Value, #[case] of_plan: &Value, #[case] expected: bool) {
    let policy = json!({"maxRetries": 2, "disableOn": {"tags": ["stable", "latest"]}});
    let info = retry_info(
        &config(&json!([entry_with(&policy)])),
        &admission(&usual(None), of_admission),
        &[plan(of_plan)],
    );
    assert_eq!(info.enabled, Some(!expected), "{info:?}");
}

#[rstest]
#[case::multiplier(&json!({"oomKill": {"multiplier": 1}}), "mitigations.oomKill.multiplier")]
#[case::no_multiplier(&json!({"oomKill": {}}), "mitigations.oomKill.multiplier")]
#[case::no_amount(&json!({"oomKill": {"multiplier": 2, "maxComputeResources": "much"}}), "maxComputeResources")]
#[case::no_increment(&json!({"timeout": {"maxTimeout": "4h"}}), "mitigations.timeout.increment")]
#[case::no_duration(&json!({"timeout": {"increment": "30m", "maxTimeout": "long"}}), "maxTimeout")]
fn says_which_setting_is_wrong(#[case] mitigations: &Value, #[case] expected: &str) {
    let policy = json!({"maxRetries": 2, "mitigations": mitigations});
    let info = retry_info(&config(&json!([entry_with(&policy)])), &admission(&usual(None), &json!({})), &[]);
    let reason = info.reason.unwrap_or_default();
    assert!(info.enabled == Some(false) && reason.contains(expected), "{reason}");
}

#[test]
fn says_which_expression_is_wrong() {
    let mut entry = entry_with(&json!({"maxRetries": 2}));
    entry["url"] = json!("(");
    let info = retry_info(&config(&json!([entry])), &admission(&usual(None), &json!({})), &[]);
    assert!(info.enabled == Some(false) && info.reason.unwrap().contains("\"(\" is no regular expression"));
}

#[test]
fn reads_limits_in_either_form() {
    let info = |most: Value| RetryInfo {
        mitigations: Some(json!({
            "oomKill": {"multiplier": "1.5", "maxComputeResources": most},
            "timeout": {"increment": "30m", "maxTimeout": "4h"},
        })),
        ..RetryInfo::default()
    };
    let expected = Limits {
        memory: Some(MemoryLimits { thousandths: 1_500, most: Some(8 << 30) }),
        time: Some(TimeLimits { increment: Duration::from_mins(30), most: Some(Duration::from_hours(4)) }),
    };
    assert_eq!(limits(&info(json!("8Gi"))), expected);
    assert_eq!(limits(&info(json!({"limits": {"memory": "8Gi"}}))), expected);
    assert_eq!(limits(&RetryInfo::default()), Limits::default());
}
