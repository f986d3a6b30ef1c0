//! Whatever happens to its requests, the service ends where it ends on a calm day, at a bearable cost.

use testkit::faults;

use crate::crash::Scene;

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    let scene = Scene::set()?;
    let survived =
        scene.drill().survives_faults(async |tenant| scene.flow(tenant).await, faults::every()).await?;
    eprintln!("{survived}");
    Ok(())
}
