//! The webhook that says who answers for a release: nothing that matters passes it by, and nobody waits for it without need.
use anyhow::Context as _;
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::ControlPlane;

use super::deployed;

const AUTHOR: &str = "release.appstudio.openshift.io/author";
const AUTOMATED: &str = "release.appstudio.openshift.io/automated";
const STANDING: &str = "release.appstudio.openshift.io/standing-attribution";
const USERNAME: &str = "release.appstudio.openshift.io/author-username";

fn api(plane: &ControlPlane, namespace: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("appstudio.redhat.com", "v1alpha1", kind);
    Api::namespaced_with(plane.admin(), namespace, &ApiResource::from_gvk(&kind))
}

fn object(kind: &str, metadata: &Value, spec: &Value) -> anyhow::Result<DynamicObject> {
    let mut metadata = metadata.clone();
    metadata["name"] = "asked".into();
    Ok(serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec,
    }))?)
}

/// Whether the API server wanted to ask the webhook, which nobody answers here and which is `Fail`.
fn is_shown<T: std::fmt::Debug>(outcome: kube::Result<T>) -> anyhow::Result<bool> {
    match outcome {
        Ok(_) => Ok(false),
        Err(kube::Error::Api(status)) if status.message.contains("mauthor.kb.io") => {
            anyhow::ensure!(status.message.contains("failed calling webhook"), "{}", status.message);
            Ok(true)
        }
        Err(error) => Err(error).context("the request is fine but for the webhook"),
    }
}

#[rstest]
#[case::release("Release", json!({}), json!({"snapshot": "a", "releasePlan": "b"}), true)]
#[case::automated_release(
    "Release", json!({"labels": {AUTOMATED: "true"}}), json!({"snapshot": "a", "releasePlan": "b"}), true
)]
#[case::plan_of_nobody("ReleasePlan", json!({}), json!({"application": "a", "target": "b"}), false)]
#[case::plan_somebody_answers_for(
    "ReleasePlan", json!({"labels": {STANDING: "true"}}), json!({"application": "a", "target": "b"}), true
)]
#[case::plan_with_an_author(
    "ReleasePlan", json!({"labels": {AUTHOR: "eve"}}), json!({"application": "a", "target": "b"}), true
)]
#[case::plan_with_a_user_name(
    "ReleasePlan", json!({"annotations": {USERNAME: "eve"}}), json!({"application": "a", "target": "b"}), true
)]
#[tokio::test]
async fn what_is_made_is_shown(
    #[case] kind: &str,
    #[case] metadata: Value,
    #[case] spec: Value,
    #[case] expected: bool,
) -> anyhow::Result<()> {
    let plane = deployed().await?;
    let namespace = plane.namespace("authors").await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let asked = api(plane, &namespace, kind).create(&dry_run, &object(kind, &metadata, &spec)?).await;
    assert_eq!(is_shown(asked)?, expected);
    Ok(())
}

#[rstest]
#[case::author(json!({"labels": {AUTHOR: "eve"}}), true)]
#[case::standing(json!({"labels": {STANDING: "true"}}), true)]
#[case::user_name(json!({"annotations": {USERNAME: "eve"}}), true)]
#[case::anything_else(json!({"labels": {"team": "a"}}), false)]
#[tokio::test]
async fn change_of_a_plan_is_shown_if_it_is_about_its_author(
    #[case] metadata: Value,
    #[case] expected: bool,
) -> anyhow::Result<()> {
    let plane = deployed().await?;
    let namespace = plane.namespace("authors").await?;
    let plans = api(plane, &namespace, "ReleasePlan");
    let plan = object("ReleasePlan", &json!({}), &json!({"application": "a", "target": "b"}))?;
    plans.create(&PostParams::default(), &plan).await?;
    let change = Patch::Merge(json!({"metadata": metadata}));
    assert_eq!(is_shown(plans.patch("asked", &PatchParams::default(), &change).await)?, expected);
    Ok(())
}

#[tokio::test]
async fn finalizer_comes_off_a_plan_that_goes_whoever_answers_for_it() -> anyhow::Result<()> {
    let plane = deployed().await?;
    let namespace = plane.namespace("authors").await?;
    let existing = api(plane, &namespace, "ReleasePlan");
    let metadata = json!({"finalizers": ["example.com/holds"]});
    let plan = object("ReleasePlan", &metadata, &json!({"application": "a", "target": "b"}))?;
    existing.create(&PostParams::default(), &plan).await?;
    existing.delete("asked", &DeleteParams::default()).await?;
    let last = Patch::Merge(json!({"metadata": {"finalizers": null, "labels": {AUTHOR: "eve"}}}));
    assert!(!is_shown(existing.patch("asked", &PatchParams::default(), &last).await)?);
    Ok(())
}
