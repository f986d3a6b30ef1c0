//! The rules of the token endpoint are what it uses: nothing is missing, nothing is too much.

use image_controller_api::Visibility;
use testkit::rbac::Rare;
use testkit::{ControlPlane, DEADLINE, eventually};

use crate::tokens::{ORGANIZATION, Tenants};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let ledger = ControlPlane::shared().await.ledger()?;
    let mark = ledger.mark().await?;
    let tenants = Tenants::start().await?;
    tenants.backend.create("team/web", Visibility::Public, "").await?;
    eventually(DEADLINE, "the repository to be known", async || {
        let token = tenants.docker.token(&format!("{ORGANIZATION}/team/web"), "pull", None).await?;
        let status = tenants.docker.pull_with(&format!("{ORGANIZATION}/team/web"), "v1", &token).await?;
        anyhow::ensure!(status == reqwest::StatusCode::NOT_FOUND, "{status}");
        Ok(())
    })
    .await?;
    let calls = ledger.since(&mark).await?.by(&tenants.installed.user()?);
    let rare = [Rare { verb: "list", resource: "secrets", because: "API servers without streaming lists" }];
    tenants.installed.compare_rules(&calls, &rare)?.check()
}
