//! Whatever happens to its requests, the controller ends where it ends on a calm day, at a bearable cost.

use testkit::drill::Tenant;
use testkit::faults;

use crate::crash::Scene;

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    let scene = Scene::set().await?;
    let report = scene
        .drill()
        .survives_faults(async |tenant: &Tenant| scene.flow(tenant).await, faults::every())
        .await?;
    eprintln!("{report}");
    Ok(())
}
