//! What the definitions say besides schemas.

use rstest::rstest;
use serde_json::Value;

use crate::{KINDS, config, request};

#[test]
fn checked_in_definitions_are_generated_from_these_types() {
    assert_eq!(KINDS.stale().unwrap(), Vec::<String>::new());
}

#[rstest]
#[case(request(), "internalrequests", "internalrequest", &[
    ("Succeeded", ".status.conditions[?(@.type==\"Succeeded\")].status"),
    ("Reason", ".status.conditions[?(@.type==\"Succeeded\")].reason"),
])]
#[case(config(), "internalservicesconfigs", "internalservicesconfig", &[])]
fn names_and_columns(
    #[case] object: Value,
    #[case] plural: &str,
    #[case] singular: &str,
    #[case] columns: &[(&str, &str)],
) {
    let crd = KINDS.definition(object["kind"].as_str().unwrap()).unwrap();
    let version = KINDS.version(&object).unwrap();
    assert_eq!((crd.spec.scope.as_str(), version.served, version.storage), ("Namespaced", true, true));
    assert!(version.subresources.is_some_and(|all| all.status.is_some()), "status is a subresource");
    let names = crd.spec.names;
    assert_eq!((names.plural.as_str(), names.singular.as_deref()), (plural, Some(singular)));
    assert_eq!(names.short_names.unwrap_or_default(), Vec::<String>::new());
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
