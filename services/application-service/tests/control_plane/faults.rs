//! Whatever happens to its requests, the service ends where it ends on a calm day, at a bearable cost.

use testkit::faults;

use crate::crash::{drill, shop};

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    eprintln!("{}", drill().survives_faults(shop, faults::every()).await?);
    Ok(())
}
