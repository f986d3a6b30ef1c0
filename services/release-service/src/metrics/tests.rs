use fleet::ObjectKey;
use prometheus::{Encoder as _, TextEncoder};
use release_service_api::release::{Attribution, RoleBindings};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn release(status: &Value) -> Release {
    let metadata = json!({"name": "r", "namespace": "n", "uid": "u", "resourceVersion": "1"});
    serde_json::from_value(json!({"metadata": metadata, "spec": {}, "status": status})).unwrap()
}

fn condition(type_: &str, status: &str, reason: &str) -> Value {
    let time = "2024-03-01T12:00:00Z";
    json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": time})
}

/// All lines with values, as they are scraped; without those of buckets.
fn scraped(registry: &Registry) -> Vec<String> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket"));
    lines.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
}

fn told(status: &Value, now: &str, change: impl FnOnce(&mut Account)) -> Vec<String> {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let mut account = Account::of(&release(status), now.parse().unwrap());
    change(&mut account);
    metrics.tell(&account);
    scraped(&registry)
}

fn running() -> Value {
    json!({
        "startTime": "2024-03-01T12:00:00Z", "target": "managed",
        "conditions": [
            condition("Released", "False", "Progressing"), condition("Validated", "True", "Succeeded"),
            condition("ManagedPipelineProcessed", "False", "Progressing"),
        ],
        "managedProcessing": {"startTime": "2024-03-01T12:00:10Z", "pipelineRun": "managed/managed-1"},
    })
}

#[test]
fn a_beginning_is_timed() {
    let lines = told(&json!({"startTime": "2024-03-01T12:00:00Z"}), "2024-03-01T12:00:07Z", |account| {
        account.valid(Attribution::default(), "managed".to_owned());
        account.skip(Phase::Tenant);
        let run = ObjectKey::new("managed", "managed-1");
        account.run_made(Phase::Managed, &run, RoleBindings::default(), "");
    });
    assert_eq!(
        lines,
        [
            r#"release_pre_processing_duration_seconds_sum{reason="Progressing",target="managed"} 7"#,
            r#"release_pre_processing_duration_seconds_count{reason="Progressing",target="managed"} 1"#,
            r#"release_validation_duration_seconds_sum{reason="Succeeded",target="managed"} 7"#,
            r#"release_validation_duration_seconds_count{reason="Succeeded",target="managed"} 1"#,
        ]
    );
}

#[test]
fn an_end_is_timed_and_counted() {
    let lines = told(&running(), "2024-03-01T12:02:00Z", |account| {
        account.mended();
        account.succeeded(Phase::Managed, "2024-03-01T12:01:50Z".parse().unwrap());
        account.complete();
    });
    let labels = r#"{post_actions_reason="",processing_reason="Succeeded",release_reason="Succeeded",target="managed",validation_reason="Succeeded"}"#;
    assert_eq!(
        lines,
        [
            format!("release_duration_seconds_sum{labels} 120"),
            format!("release_duration_seconds_count{labels} 1"),
            "release_mitigation_success_total 1".to_owned(),
            r#"release_processing_duration_seconds_sum{reason="Succeeded",target="managed",type="managed"} 100"#.to_owned(),
            r#"release_processing_duration_seconds_count{reason="Succeeded",target="managed",type="managed"} 1"#.to_owned(),
            format!("release_total{labels} 1"),
        ]
    );
}

#[test]
fn what_was_told_is_not_told_again() {
    let lines = told(&running(), "2024-03-01T12:02:00Z", |account| {
        account.begin();
        account.valid(Attribution::default(), "managed".to_owned());
        account.progressed(Phase::Managed, "1/2 tasks done");
    });
    assert_eq!(lines, Vec::<String>::new());
}

#[rstest]
#[case::under_way(running(), [1, 1])]
#[case::before_its_run(json!({"conditions": [condition("Released", "False", "Progressing")]}), [1, 0])]
#[case::failed_while_its_run_goes_on(
    json!({"conditions": [condition("Released", "False", "Failed"), condition("Processed", "False", "Progressing")]}), [0, 1]
)]
#[case::over(json!({"conditions": [condition("Released", "True", "Succeeded")]}), [0, 0])]
#[case::new(json!({}), [0, 0])]
fn counts_what_is_under_way(#[case] status: Value, #[case] expected: [i64; 2]) {
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let store = Store::new(|_| {}, Vec::new());
    metrics.follow(&store);
    let now = || [metrics.releases_now.get(), metrics.processings_now.get()];
    store.apply(release(&status));
    assert_eq!(now(), expected);
    store.delete(&release(&status));
    assert_eq!(now(), [0, 0]);
}
