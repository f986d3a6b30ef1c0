//! The rules of the base are what the code uses, in either cluster: nothing is missing, nothing is too much.

use serde_json::json;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::faults::Plan;
use testkit::rbac::Rare;

use crate::service::{NAME, Service};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install(Plan::calm()).await?;
    service.flag("--request-ttl=1s");
    let (local, remote) = (testkit::ControlPlane::shared().await.ledger()?, service.remote_plane.ledger()?);
    let (local_mark, remote_mark) = (local.mark().await?, remote.mark().await?);
    service.serve_managed().await?;
    service.run().await?;
    service
        .engine
        .play(Runs::labelled(NAME, "two"), RunScript::never_ends().task("sign", TaskScript::never_ends()));
    service.ask("one", json!({"request": "sign"})).await?;
    service.gone("one").await?;
    service.ask("two", json!({"request": "sign"})).await?;
    service.has("two", "Running").await?;
    service.delete("two").await?;
    service.gone("two").await?;
    service.stop().await?;

    let calls = local.since(&local_mark).await?.by(&service.installed.user()?);
    service.installed.compare_rules(&calls, &rare_in_local())?.check()?;
    let calls = remote.since(&remote_mark).await?.by(&service.account.user()?);
    service.account.compare_rules(&calls, &rare_in_remote())?.check()
}

fn rare(verb: &'static str, resource: &'static str, because: &'static str) -> Rare {
    Rare { verb, resource, because }
}

const NO_STREAMS: &str = "API servers without streaming lists";

fn rare_in_local() -> Vec<Rare> {
    vec![
        rare("list", "internalservicesconfigs", NO_STREAMS),
        rare("list", "pipelineruns", NO_STREAMS),
        rare("get", "pipelineruns", "what was made before a crash, or is gone"),
        rare("create", "leases", "the lease is made once"),
    ]
}

fn rare_in_remote() -> Vec<Rare> {
    vec![
        rare("list", "internalrequests", NO_STREAMS),
        rare("get", "internalrequests", "whether the request of a run is gone indeed"),
        rare("patch", "events", "the same Event twice"),
    ]
}
