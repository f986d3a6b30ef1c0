//! What the definitions say besides schemas.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use rstest::rstest;
use serde_json::Value;

use crate::{KINDS, fixtures};

#[test]
fn checked_in_definitions_are_generated_from_these_types() {
    assert_eq!(KINDS.stale().unwrap(), Vec::<String>::new());
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
    let crd = KINDS.definition(kind).unwrap();
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
    for crd in application_service_api::crds() {
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

#[tokio::test]
async fn the_api_server_takes_all_names() {
    assert_eq!(KINDS.refused_names().await.unwrap(), Vec::<String>::new());
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
    KINDS.selects(&object, field).await.unwrap();
}
