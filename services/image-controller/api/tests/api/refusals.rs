//! Each rule passes once and fails once.

use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{assert_verdict, with};

use crate::KINDS;

fn repository(spec: &Value) -> Value {
    json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "ImageRepository",
        "metadata": {"name": "valid"},
        "spec": spec,
    })
}

fn named(name: &str) -> Value {
    repository(&json!({"image": {"name": name}}))
}

fn notified(patch: &Value) -> Value {
    repository(&json!({"notifications": [with(json!({"title": "a"}), patch)]}))
}

#[rstest]
#[case::plain(repository(&json!({})), &[])]
#[case::name(named("a"), &[])]
#[case::name_with_path(named("0a/b.c_d-e/f"), &[])]
#[case::name_in_upper_case(named("A"), &["spec.image.name", "should match"])]
#[case::name_begins_with_slash(named("/a"), &["spec.image.name", "should match"])]
#[case::name_ends_with_slash(named("a/"), &["spec.image.name", "should match"])]
#[case::name_leaves(named("a/../b"), &["spec.image.name", "should match"])]
#[case::name_with_tag(named("a:b"), &["spec.image.name", "should match"])]
#[case::empty_name(named(""), &["spec.image.name", "should match"])]
#[case::private(repository(&json!({"image": {"visibility": "private"}})), &[])]
#[case::other_visibility(
    repository(&json!({"image": {"visibility": "secret"}})), &["spec.image.visibility: Unsupported value: \"secret\""]
)]
#[case::notification(notified(&json!({"event": "repo_push", "method": "email"})), &[])]
#[case::notification_without_title(notified(&json!({"title": null})), &["spec.notifications[0].title: Required value"])]
#[case::notification_of_other_event(notified(&json!({"event": "x"})), &["spec.notifications[0].event: Unsupported value"])]
#[case::notification_by_other_method(notified(&json!({"method": "x"})), &["spec.notifications[0].method: Unsupported value"])]
#[tokio::test]
async fn is_created(#[case] object: Value, #[case] expected: &[&str]) -> anyhow::Result<()> {
    assert_verdict(KINDS.created(&object).await?, expected);
    Ok(())
}

/// So that the first reader, kubectl included, sees what will be.
#[rstest]
#[case::no_spec(with(repository(&json!({})), &json!({"spec": null})), json!({"image": {"visibility": "public"}}))]
#[case::nothing(repository(&json!({})), json!({"image": {"visibility": "public"}}))]
#[case::name_only(named("a"), json!({"image": {"name": "a", "visibility": "public"}}))]
#[tokio::test]
async fn is_public_by_default(#[case] object: Value, #[case] spec: Value) -> anyhow::Result<()> {
    assert_eq!(KINDS.stored(&object).await?["spec"], spec);
    Ok(())
}

#[rstest]
#[case::name(json!({"image": {"name": "other"}}))]
#[case::visibility(json!({"image": {"visibility": "private"}}))]
#[case::rotation(json!({"credentials": {"regenerate-token": true}}))]
#[tokio::test]
async fn takes_each_change(#[case] spec: Value) -> anyhow::Result<()> {
    assert_verdict(KINDS.updated(&named("a"), &json!({"spec": spec})).await?, &[]);
    Ok(())
}

#[tokio::test]
async fn older_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    let older =
        with(notified(&json!({"title": null})), &json!({"spec": {"image": {"name": "A", "visibility": ""}}}));
    KINDS.outlives_rules(&older, &json!({"spec": {"credentials": {"verify-linking": true}}})).await
}
