//! Nothing is lost between a file, our types and the API server.

use enterprise_contract_api as api;

use crate::KINDS;

#[tokio::test]
async fn policies_are_kept() -> anyhow::Result<()> {
    KINDS.nothing_is_lost::<api::EnterpriseContractPolicy>("enterprise-contract-policy.yaml", &[]).await
}

#[tokio::test]
async fn the_worst_objects_can_be_edited_and_deleted() -> anyhow::Result<()> {
    KINDS.worst_objects_can_go().await
}
