//! Nothing is lost between a file, our types and the API server.

use std::path::Path;

use release_service_api as api;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::{self, through, with};

use crate::{KINDS, admission, plan, release};

/// Reads a file of this crate.
fn read(folder: &str, file: &str) -> Value {
    crd::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file)).expect("a file of this crate")
}

#[rstest]
#[case("release.yaml", through::<api::Release>)]
#[case("release-plan.yaml", through::<api::ReleasePlan>)]
#[case("release-plan-admission.yaml", through::<api::ReleasePlanAdmission>)]
#[case("release-service-config.yaml", through::<api::ReleaseServiceConfig>)]
#[tokio::test]
async fn is_kept(
    #[case] file: &str,
    #[case] through: fn(&Value) -> anyhow::Result<Value>,
    #[values("examples", "tests/api/complete")] folder: &str,
) {
    let value = read(folder, file);
    assert_eq!(through(&value).unwrap(), value);
    let stored = KINDS.stored(&value).await.unwrap();
    assert_eq!((&stored["spec"], &stored["status"]), (&value["spec"], &value["status"]));
}

#[rstest]
#[case("release.yaml")]
#[case("release-plan.yaml")]
#[case("release-plan-admission.yaml")]
#[case("release-service-config.yaml")]
fn complete_objects_use_each_declared_field(#[case] file: &str) {
    let value = read("tests/api/complete", file);
    assert_eq!(KINDS.uncovered(&value, &[]).unwrap(), Vec::<String>::new());
}

/// What a newer version of a kind adds stays, at each level.
#[rstest]
#[case(with(release(), &json!({
    "spec": {"added": [{"a": null}]}, "status": {"added": 1, "attribution": {"added": {"a": 1}}},
})))]
#[case(with(plan(), &json!({"spec": {
    "releaseGracePeriodDays": 7, "tenantPipeline": {"added": 1, "pipelineRef": {"resolver": "git", "params": [], "added": 1}},
}})))]
#[case(with(admission(), &json!({
    "spec": {"added": 1, "collectors": {"items": [{"name": "a", "type": "b", "added": 1}]}},
    "status": {"releasePlans": [{"name": "a/b", "active": true, "added": 1}]},
})))]
#[tokio::test]
async fn unknown_fields_are_kept(#[case] newer: Value) {
    let stored = KINDS.stored(&newer).await.unwrap();
    assert_eq!((&stored["spec"], &stored["status"]), (&newer["spec"], &newer["status"]));
}

/// An object that a newer version of the kind stored may lack what only ours requires.
#[rstest]
#[case(through::<api::Release>, json!({"kind": "Release", "spec": {}, "status": {}}))]
#[case(through::<api::ReleasePlan>, json!({
    "kind": "ReleasePlan",
    "spec": {"tenantPipeline": {"pipelineRef": {"params": [{}]}}, "collectors": {"items": [{}]}},
    "status": {"releasePlanAdmission": {}},
}))]
#[case(through::<api::ReleasePlanAdmission>, json!({
    "kind": "ReleasePlanAdmission", "spec": {"pipeline": {}}, "status": {"releasePlans": [{}]}
}))]
#[case(through::<api::ReleaseServiceConfig>, json!({
    "kind": "ReleaseServiceConfig", "spec": {"EmptyDirOverrides": [{}], "retryablePipelines": [{}]}
}))]
fn reads_what_lacks_a_field(#[case] through: fn(&Value) -> anyhow::Result<Value>, #[case] mut value: Value) {
    value["apiVersion"] = "appstudio.redhat.com/v1alpha1".into();
    value["metadata"] = json!({ "name": "sparse" });
    assert_eq!(through(&value).unwrap()["metadata"]["name"], "sparse");
}

#[tokio::test]
async fn a_plan_keeps_releases_for_a_week_by_default() {
    let stored = KINDS.stored(&plan()).await.unwrap();
    assert_eq!(stored["spec"]["releaseGracePeriodDays"], api::ReleasePlanSpec::GRACE_PERIOD_DAYS);
}
