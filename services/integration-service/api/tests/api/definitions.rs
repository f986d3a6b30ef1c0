//! What the definition says besides schemas.

use integration_service_api::{CONVERSION_PATH, crds};

use crate::{KINDS, scenario};

#[test]
fn checked_in_definitions_are_generated_from_these_types() {
    assert_eq!(KINDS.stale().unwrap(), Vec::<String>::new());
}

#[test]
fn versions_names_and_columns() {
    let [crd] = <[_; 1]>::try_from(crds()).unwrap();
    let webhook = crd.spec.conversion.unwrap().webhook.unwrap();
    assert_eq!(webhook.conversion_review_versions, ["v1"]);
    let service = webhook.client_config.unwrap().service.unwrap();
    assert_eq!(
        (service.namespace.as_str(), service.name.as_str()),
        ("integration-service", "integration-service")
    );
    assert_eq!(service.path.as_deref(), Some(CONVERSION_PATH));
    assert_eq!(crd.spec.names.plural, "integrationtestscenarios");
    assert_eq!(crd.spec.names.short_names.unwrap(), ["its"]);
    assert_eq!(crd.spec.scope, "Namespaced");
    let versions: Vec<_> = crd
        .spec
        .versions
        .iter()
        .map(|version| {
            (version.name.as_str(), version.served, version.storage, version.deprecated == Some(true))
        })
        .collect();
    assert_eq!(
        versions,
        [("v1beta2", true, true, false), ("v1beta1", true, false, true), ("v1alpha1", true, false, true)]
    );
    for version in crd.spec.versions {
        assert!(version.subresources.is_some_and(|all| all.status.is_some()), "status is a subresource");
        let shown: Vec<_> = version.additional_printer_columns.into_iter().flatten().collect();
        let shown: Vec<_> =
            shown.iter().map(|column| (column.name.as_str(), column.json_path.as_str())).collect();
        assert_eq!(shown, [("Application", ".spec.application")]);
    }
}

#[tokio::test]
async fn the_api_server_takes_all_names() {
    assert_eq!(KINDS.refused_names().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn selects_by_application() {
    KINDS.selects(&scenario(), "spec.application").await.unwrap();
}
