//! Whatever happens to its requests, the service ends where it ends on a calm day, at a bearable cost. One API server is both clusters.

use testkit::faults;

use crate::crash::{drill, flow};

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    let drill = drill();
    let survived = drill.survives_faults(async |tenant| Box::pin(flow(tenant)).await, faults::every());
    eprintln!("{}", Box::pin(survived).await?);
    Ok(())
}
