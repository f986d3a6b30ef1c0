//! Whatever happens to its requests, the engine ends where it ends on a calm day, at a bearable cost.

use testkit::faults;

use crate::crash::{drill, release};

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    let (drill, _entrypoint) = drill()?;
    eprintln!("{}", drill.survives_faults(release, faults::every()).await?);
    Ok(())
}
