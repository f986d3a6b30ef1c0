//! Scenario 25, and what a restart costs.

use application_service_api::Component;
use fleet_api::Truth;
use futures::StreamExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{DEADLINE, eventually, has_condition, wait_for};

use crate::service::{Service, application, git_component};

const COMPONENTS: usize = 1000;

#[tokio::test]
async fn scenario_25_touching_one_of_a_thousand_costs_one_write() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    applications
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    let created =
        futures::stream::iter(0..COMPONENTS).map(|i| {
            let components = components.clone();
            async move {
                components.create(&PostParams::default(), &git_component(&format!("c{i}"), "shop")).await
            }
        });
    for result in created.buffer_unordered(16).collect::<Vec<_>>().await {
        result?;
    }
    let ledger = service.plane.ledger()?;
    let user = service.installed.user()?;
    eventually(DEADLINE * 4, "all Components to be created", async || {
        let list = components.list(&Default::default()).await?;
        let is_created = has_condition::<Component>("Created", Truth::True);
        let done = list.iter().filter(|component| is_created(component)).count();
        anyhow::ensure!(done == COMPONENTS, "{done} of {COMPONENTS}");
        let shop = applications.get("shop").await?;
        let devfile = shop.status.and_then(|status| status.devfile).unwrap_or_default();
        let projects = devfile.matches("origin:").count();
        anyhow::ensure!(projects == COMPONENTS, "{projects} projects");
        Ok(())
    })
    .await?;

    let mark = ledger.mark().await?;
    let touch = json!({"spec": {"replicas": 2}});
    let touched = components.patch("c7", &PatchParams::default(), &Patch::Merge(&touch)).await?;
    wait_for(&components, "c7", "the new generation", DEADLINE, |c7| {
        c7.status
            .as_ref()
            .is_some_and(|status| status.conditions[0].observed_generation == touched.metadata.generation)
    })
    .await?;
    let calls = ledger.since(&mark).await?.by(&user).except("leases");
    assert_eq!((calls.writes(), calls.reads()), (1, 0), "{calls}");

    // And a restart, when nothing has changed, costs none.
    service.stop().await?;
    let mark = ledger.mark().await?;
    service.run().await?;
    components.create(&PostParams::default(), &git_component("marker", "shop")).await?;
    wait_for(&components, "marker", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    let calls = ledger.since(&mark).await?.by(&user).about("components");
    let of_others = calls.filter(|call| {
        let name = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        call.is_write() && !["marker", "probe"].contains(&name)
    });
    assert_eq!(of_others.len(), 0, "{of_others}");
    Ok(())
}
