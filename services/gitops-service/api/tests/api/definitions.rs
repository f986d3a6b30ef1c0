//! What the definitions say besides schemas.

use rstest::rstest;
use serde_json::Value;

use crate::{KINDS, claim, class, target};

#[test]
fn checked_in_definitions_are_generated_from_these_types() {
    assert_eq!(KINDS.stale().unwrap(), Vec::<String>::new());
}

#[rstest]
#[case(target(), "deploymenttargets", "Namespaced")]
#[case(claim(), "deploymenttargetclaims", "Namespaced")]
#[case(class("a"), "deploymenttargetclasses", "Cluster")]
fn names(#[case] object: Value, #[case] plural: &str, #[case] scope: &str) {
    let crd = KINDS.definition(object["kind"].as_str().unwrap()).unwrap();
    let version = KINDS.version(&object).unwrap();
    assert_eq!((crd.spec.scope.as_str(), version.served, version.storage), (scope, true, true));
    assert!(version.subresources.is_some_and(|all| all.status.is_some()), "status is a subresource");
    assert_eq!(crd.spec.names.plural, plural);
}

#[tokio::test]
async fn the_api_server_takes_all_names() {
    assert_eq!(KINDS.refused_names().await.unwrap(), Vec::<String>::new());
}

#[rstest]
#[case(target(), "spec.deploymentTargetClassName")]
#[case(target(), "spec.claimRef")]
#[case(claim(), "spec.deploymentTargetClassName")]
#[case(claim(), "spec.targetName")]
#[tokio::test]
async fn selects_by_field(#[case] object: Value, #[case] field: &str) {
    KINDS.selects(&object, field).await.unwrap();
}
