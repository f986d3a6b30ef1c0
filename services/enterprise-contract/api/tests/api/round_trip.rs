//! Nothing is lost between a file, our types and the API server.

use enterprise_contract_api::EnterpriseContractPolicy;
use rstest::rstest;
use serde_json::json;
use testkit::crd::{self, through};

use crate::{KINDS, file};

#[rstest]
#[tokio::test]
async fn types_and_the_api_server_keep(
    #[values("examples", "tests/api/complete")] folder: &str,
) -> anyhow::Result<()> {
    let value = crd::read(file(folder).join("enterprise-contract-policy.yaml"))?;
    assert_eq!(through::<EnterpriseContractPolicy>(&value)?, value);
    let stored = KINDS.stored(&value).await?;
    assert_eq!((&stored["spec"], stored.get("status")), (&value["spec"], value.get("status")));
    Ok(())
}

#[test]
fn complete_object_uses_each_declared_field() -> anyhow::Result<()> {
    let value = crd::read(file("tests/api/complete/enterprise-contract-policy.yaml"))?;
    assert_eq!(KINDS.uncovered(&value, &[])?, Vec::<String>::new());
    Ok(())
}

/// What a newer version of the kind adds stays, at each level.
#[tokio::test]
async fn unknown_fields_are_kept() -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "EnterpriseContractPolicy",
        "metadata": {"name": "newer"},
        "spec": {
            "added": {"a": [null]},
            "sources": [{
                "added": 1,
                "config": {"added": 1},
                "volatileConfig": {"added": 1, "exclude": [{"value": "a", "componentNames": ["b"]}]},
            }],
            "configuration": {"added": 1},
            "identity": {"added": 1},
        },
        "status": {"added": 1, "resolvedSources": [{"url": "a", "added": 1}]},
    });
    let stored = KINDS.stored(&object).await?;
    assert_eq!((&stored["spec"], &stored["status"]), (&object["spec"], &object["status"]));
    Ok(())
}

#[test]
fn reads_what_lacks_a_field() -> anyhow::Result<()> {
    let sparse = json!({
        "metadata": {"name": "sparse"},
        "spec": {"sources": [{"volatileConfig": {"include": [{}]}}]},
        "status": {"resolvedSources": [{}]},
    });
    assert_eq!(through::<EnterpriseContractPolicy>(&sparse)?["metadata"]["name"], "sparse");
    Ok(())
}
