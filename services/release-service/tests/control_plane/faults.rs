//! Whatever happens to its requests, the service ends where it ends on a calm day, at a bearable cost.

use anyhow::ensure;
use testkit::faults::{self, Fault, Plan, Requests};

use crate::crash::{drill, flow};
use crate::service::{Service, reason, release};

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    let drill = drill();
    let survived = drill.survives_faults(async |tenant| Box::pin(flow(tenant)).await, faults::every());
    eprintln!("{}", Box::pin(survived).await?);
    Ok(())
}

#[tokio::test]
async fn scenario_22_a_policy_that_cannot_be_read_is_asked_for_again() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let policies = Requests::verbs(&["get"]).of("enterprisecontractpolicies");
    service.meets(Plan::new(1, [policies.first(3, Fault::Answer(500))])).await?;
    service.prepare().await?;
    service.run().await?;
    service.tenant.create(&release("r")).await?;
    let released = service.is_over("r").await?;
    ensure!(reason(&released, "Released").as_deref() == Some("Succeeded"), "{released:?}");
    let faults = service.proxy.as_ref().map(faults::Proxy::faults);
    ensure!(faults == Some(3), "{faults:?}");
    let events = service.tenant.all::<k8s_openapi::api::events::v1::Event>().await?;
    let refused = events.iter().any(|event| event.reason.as_deref() == Some("ValidationFailed"));
    ensure!(!refused, "it was called invalid in between");
    Ok(())
}
