//! What costs nothing.

use serde_json::json;

use crate::service::Service;

#[tokio::test]
async fn a_restart_and_a_look_that_finds_nothing_new_write_nothing() -> anyhow::Result<()> {
    let mut service = Service::start(&["--resolve-interval=1"]).await?;
    for name in ["one", "two"] {
        service.create(name, &service.spec()).await?;
    }
    service.create("bad", &json!({"sources": [{"policy": ["file::x"]}]})).await?;
    service.until("one", "Valid").await?;
    service.until("two", "Valid").await?;
    service.until("bad", "InvalidSpec").await?;
    service.stop().await?;

    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    // Its turn comes after the others', which were there before.
    service.create("marker", &service.spec()).await?;
    service.until("marker", "Valid").await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).about("enterprisecontractpolicies");
    let of_others = calls.filter(|call| {
        let name = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        call.is_write() && name != "marker"
    });
    assert_eq!(of_others.len(), 0, "{of_others}");
    service.stop().await
}
