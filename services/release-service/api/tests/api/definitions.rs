//! What the definitions say besides schemas.

use rstest::rstest;
use serde_json::Value;

use crate::{KINDS, admission, config, plan, release};

#[test]
fn checked_in_definitions_are_generated_from_these_types() {
    assert_eq!(KINDS.stale().unwrap(), Vec::<String>::new());
}

#[rstest]
#[case(release(), "releases", &["rel"], &[
    ("Snapshot", ".spec.snapshot"),
    ("ReleasePlan", ".spec.releasePlan"),
    ("Release status", ".status.conditions[?(@.type==\"Released\")].reason"),
    ("Age", ".metadata.creationTimestamp"),
])]
#[case(plan(), "releaseplans", &["rp"], &[("Application", ".spec.application"), ("Target", ".spec.target")])]
#[case(
    admission(), "releaseplanadmissions", &["rpa"], &[("Environment", ".spec.environment"), ("Origin", ".spec.origin")]
)]
#[case(config(), "releaseserviceconfigs", &["rsc"], &[])]
fn names_and_columns(
    #[case] object: Value,
    #[case] plural: &str,
    #[case] short_names: &[&str],
    #[case] columns: &[(&str, &str)],
) {
    let crd = KINDS.definition(object["kind"].as_str().unwrap()).unwrap();
    let version = KINDS.version(&object).unwrap();
    assert_eq!((crd.spec.scope.as_str(), version.served, version.storage), ("Namespaced", true, true));
    assert!(version.subresources.is_some_and(|all| all.status.is_some()), "status is a subresource");
    assert_eq!(crd.spec.names.plural, plural);
    assert_eq!(crd.spec.names.short_names.as_deref().unwrap_or_default(), short_names);
    let shown: Vec<_> = version.additional_printer_columns.into_iter().flatten().collect();
    assert_eq!(
        shown.iter().map(|column| (column.name.as_str(), column.json_path.as_str())).collect::<Vec<_>>(),
        columns
    );
}

#[tokio::test]
async fn the_api_server_takes_all_names() {
    assert_eq!(KINDS.refused_names().await.unwrap(), Vec::<String>::new());
}

#[rstest]
#[case(release(), "spec.snapshot")]
#[case(release(), "spec.releasePlan")]
#[case(plan(), "spec.application")]
#[case(plan(), "spec.target")]
#[case(admission(), "spec.origin")]
#[tokio::test]
async fn selects_by_field(#[case] object: Value, #[case] field: &str) {
    KINDS.selects(&object, field).await.unwrap();
}
