//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use serde_json::json;
use testkit::rbac::Rare;

use crate::service::Service;

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install(&[]).await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    service.key("public-key").await?;
    let mut spec = service.spec();
    spec["publicKey"] = json!(format!("k8s://{}/public-key", service.tenant));
    service.create("release", &spec).await?;
    service.until("release", "Valid").await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let rare = [
        Rare {
            verb: "list",
            resource: "enterprisecontractpolicies",
            because: "API servers without streaming lists",
        },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
    ];
    service.installed.compare_rules(&calls, &rare)?.check()
}
