//! What the definitions say besides schemas.

use std::path::{Path, PathBuf};

use application_service_api::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::api::{Api, ListParams, PostParams};
use rstest::rstest;
use serde_json::Value;

use crate::{cluster, fixtures};

fn checked_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/kustomize/crds/application-service")
}

#[test]
fn checked_in_definitions_are_generated_from_these_types() {
    const HINT: &str = "run `cargo xtask crds`";
    let kustomization = std::fs::read_to_string(checked_in().join("kustomization.yaml")).expect(HINT);
    for crd in crds() {
        let file = format!("{}.yaml", crd.spec.names.plural);
        let text = std::fs::read_to_string(checked_in().join(&file)).expect(HINT);
        let found: Value = serde_saphyr::from_str(&text).unwrap();
        // Not assert_eq: two schemas side by side help nobody.
        assert!(found == serde_json::to_value(&crd).unwrap(), "{file} is stale: {HINT}");
        assert!(kustomization.contains(&file), "kustomization.yaml does not name {file}: {HINT}");
    }
}

fn version_of(crd: &CustomResourceDefinition) -> &CustomResourceDefinitionVersion {
    let [version] = crd.spec.versions.as_slice() else { panic!("{} has one version", crd.spec.names.kind) };
    version
}

#[rstest]
#[case::application("Application", "applications", &["hasapp", "ha", "app"], &["Age", "Status", "Reason"])]
#[case::component("Component", "components", &["hascmp", "hc", "comp"], &["Age", "Status", "Reason", "Type"])]
#[case::detection(
    "ComponentDetectionQuery", "componentdetectionqueries", &["hcdq", "compdetection"], &["Age", "Status", "Reason", "Type"]
)]
#[case::snapshot("Snapshot", "snapshots", &["as", "snapshot"], &[])]
#[case::environment("Environment", "environments", &["env"], &[])]
#[case::binding("SnapshotEnvironmentBinding", "snapshotenvironmentbindings", &["aseb", "binding"], &[])]
#[case::promotion("PromotionRun", "promotionruns", &["apr", "promotion"], &[])]
fn names_and_columns(
    #[case] kind: &str,
    #[case] plural: &str,
    #[case] short_names: &[&str],
    #[case] columns: &[&str],
) {
    let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let version = version_of(&crd);
    assert_eq!((crd.spec.group.as_str(), version.name.as_str()), ("appstudio.redhat.com", "v1alpha1"));
    assert_eq!((crd.spec.scope.as_str(), version.served, version.storage), ("Namespaced", true, true));
    assert!(version.subresources.as_ref().is_some_and(|all| all.status.is_some()), "status is a subresource");
    assert_eq!(crd.spec.names.plural, plural);
    assert_eq!(crd.spec.names.short_names.as_deref().unwrap_or_default(), short_names);
    let shown = version.additional_printer_columns.iter().flatten();
    assert_eq!(shown.map(|column| column.name.as_str()).collect::<Vec<_>>(), columns);
}

#[test]
fn columns_show_the_last_condition() {
    for crd in crds() {
        for column in version_of(&crd).additional_printer_columns.iter().flatten() {
            let expected = match column.name.as_str() {
                "Age" => ".metadata.creationTimestamp",
                "Status" => ".status.conditions[-1].status",
                "Reason" => ".status.conditions[-1].reason",
                "Type" => ".status.conditions[-1].type",
                other => panic!("{} has a column {other}", crd.spec.names.kind),
            };
            assert_eq!(column.json_path, expected);
        }
    }
}

/// Two short names for two kinds would make kubectl choose.
#[tokio::test]
async fn the_api_server_takes_all_names() {
    let plane = cluster::serving().await;
    for crd in Api::<CustomResourceDefinition>::all(plane.admin()).list(&ListParams::default()).await.unwrap()
    {
        let status = crd.status.expect("an established definition has a status");
        let accepted = status.conditions.into_iter().flatten().find(|found| found.type_ == "NamesAccepted");
        assert_eq!(accepted.expect("names were judged").status, "True", "{}", crd.spec.names.kind);
    }
}

#[rstest]
#[case::component(fixtures::component(), "spec.application")]
#[case::snapshot(fixtures::snapshot(), "spec.application")]
#[case::binding(fixtures::binding(), "spec.application")]
#[case::binding(fixtures::binding(), "spec.environment")]
#[case::binding(fixtures::binding(), "spec.snapshot")]
#[case::promotion(fixtures::promotion(), "spec.application")]
#[case::promotion(fixtures::promotion(), "spec.snapshot")]
#[tokio::test]
async fn selects_by_field(#[case] object: Value, #[case] field: &str) {
    let plane = cluster::serving().await;
    let namespace = plane.namespace("fields").await.unwrap();
    let api = cluster::api_of(plane, &namespace, &object);
    api.create(&PostParams::default(), &cluster::object(&object)).await.unwrap();
    let pointer = format!("/{}", field.replace('.', "/"));
    let value = object.pointer(&pointer).and_then(Value::as_str).unwrap();
    for (value, expected) in [(value, 1), ("other", 0)] {
        let selected = ListParams::default().fields(&format!("{field}={value}"));
        assert_eq!(api.list(&selected).await.unwrap().items.len(), expected, "{field}={value}");
    }
}
