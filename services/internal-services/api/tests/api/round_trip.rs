//! Nothing is lost between a file, our types and the API server.

use internal_services_api as api;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::crd::with;

use crate::{KINDS, config};

/// One of two fields can be there: the example has the one, the complete object the other.
#[tokio::test]
async fn requests_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::InternalRequest>("internal-request.yaml", &[]).await
}

#[tokio::test]
async fn configurations_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::InternalServicesConfig>("internal-services-config.yaml", &[]).await
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}

#[rstest]
#[case::no_volume(json!({}), json!({"name": "workspace", "size": "1Gi"}))]
#[case::no_size(json!({"spec": {"volumeClaim": {"name": "data"}}}), json!({"name": "data", "size": "1Gi"}))]
#[tokio::test]
async fn the_volume_has_defaults(#[case] patch: Value, #[case] expected: Value) {
    let stored = KINDS.stored(&with(config(), &patch)).await.unwrap();
    assert_eq!(stored["spec"]["volumeClaim"], expected);
}
