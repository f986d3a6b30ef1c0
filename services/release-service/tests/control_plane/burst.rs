//! Scenario 11: many Releases at once.

use std::time::Duration;

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::PostParams;
use pipelines_engine_api::PipelineRun;
use release_service_api::Release;
use testkit::eventually;
use testkit::faults::{Fault, Plan, Requests, WatchFault};

use crate::service::{Service, reason, release};

const RELEASES: usize = 200;
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread")]
async fn scenario_11_each_of_many_releases_has_one_run() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.prepare().await?;
    // What was made is heard of late, and some of it is not even answered.
    let stall = WatchFault::Stall { after: 100, lasting: Duration::from_secs(3) };
    service
        .meets(Plan::new(
            11,
            [
                Requests::watches().of("pipelineruns").always(Fault::Watch(stall)),
                Requests::verbs(&["create"]).of("pipelineruns").percent(10, Fault::LoseReply),
                Requests::verbs(&["create"]).of("rolebindings").percent(10, Fault::LoseReply),
            ],
        ))
        .await?;
    service.run().await?;
    stream::iter(0..RELEASES)
        .map(|number| {
            let api = service.tenant.api::<Release>();
            async move { api.create(&PostParams::default(), &release(&format!("r-{number}"))).await.map(drop) }
        })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await?;
    eventually(PATIENCE, "all to be released", async || {
        let all = service.tenant.all::<Release>().await?;
        let over = all.iter().filter(|release| reason(*release, "Released").as_deref() == Some("Succeeded"));
        let count = over.count();
        ensure!(count == RELEASES, "{count} are");
        Ok(())
    })
    .await?;
    service.managed.has::<PipelineRun>(RELEASES).await?;
    service.tenant.has::<RoleBinding>(0).await?;

    service.touch("end").await?;
    let calls = service.plane.ledger()?.everything().await?.by(&service.installed.user()?);
    let made = |resource: &str| {
        calls.about(resource).filter(|call| call.verb == "create" && call.is_ok() && call.is_write()).len()
    };
    ensure!(made("pipelineruns") == RELEASES, "{} runs were made", made("pipelineruns"));
    ensure!(made("rolebindings") == RELEASES, "{} bindings were made", made("rolebindings"));
    Ok(())
}
