//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, ReleasePlan};
use serde_json::json;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::rbac::Rare;

use crate::service::{PLAN, SNAPSHOT, Service, release, release_with};

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install_with_webhooks().await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    service.prepare().await?;
    let is_owned = |plan: &ReleasePlan| !plan.owner_references().is_empty();
    service.tenant.until(PLAN, "its owner", is_owned).await?;
    // One goes all the way, is deleted, and takes its run along.
    service.tenant.create(&release("good")).await?;
    service.has_reason("good", "Released", "Succeeded").await?;
    let run = service.managed_run("good").await?.name_any();
    service.managed.until(&run, "to be let go", |run: &PipelineRun| run.finalizers().is_empty()).await?;
    service.tenant.delete::<Release>("good").await?;
    service.tenant.gone::<Release>("good").await?;
    service.managed.gone::<PipelineRun>(&run).await?;
    // One fails, and why is looked for.
    let step = TaskScript::fails("Failed", "no disk left");
    service.engine.play(Runs::any(), RunScript::new().task("push", step));
    service.tenant.create(&release_with("bad", SNAPSHOT, PLAN, &json!({}))).await?;
    service.has_reason("bad", "Released", "Failed").await?;
    // One is refused, for which the plan is looked for where the store may be behind.
    service.tenant.create(&release_with("unplanned", SNAPSHOT, "none", &json!({}))).await?;
    service.has_reason("unplanned", "Released", "Failed").await?;
    service.stop().await?;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    service.installed.compare_rules(&calls, &rare())?.check()
}

fn rare() -> Vec<Rare> {
    let lists =
        ["pipelineruns", "releaseplanadmissions", "releaseplans", "releases", "releaseserviceconfigs"];
    let adopted = ["pipelineruns", "rolebindings", "roles"];
    let because = |because| move |(verb, resource)| Rare { verb, resource, because };
    let mut rare: Vec<Rare> = Vec::new();
    rare.extend(lists.map(|resource| ("list", resource)).map(because("API servers without streaming lists")));
    rare.extend(adopted.map(|resource| ("get", resource)).map(because("what was made before a crash")));
    let of_collectors = [("create", "roles"), ("delete", "roles")];
    rare.extend(of_collectors.map(because("collectors with Secrets have tests of their own")));
    rare.extend(
        ["rolebindings", "roles"].map(|resource| ("list", resource)).map(because("the sweep is rare")),
    );
    rare.extend([
        Rare {
            verb: "bind",
            resource: "clusterroles",
            because: "asked by the API server for each RoleBinding",
        },
        Rare { verb: "create", resource: "leases", because: "the lease is made once" },
        Rare { verb: "patch", resource: "secrets", because: "the certificate is renewed after months" },
        Rare { verb: "delete", resource: "releases", because: "expiry has tests of its own" },
        Rare { verb: "get", resource: "releases", because: "what the store leaves out, or has not heard of" },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
        Rare { verb: "get", resource: "pods/log", because: "played runs have no pods" },
    ]);
    rare
}
