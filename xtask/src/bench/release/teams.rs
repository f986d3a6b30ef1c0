//! Tenants and the namespaces that release for them, as a cluster of many teams has them.
use application_service_api::{Application, Snapshot};
use enterprise_contract_api::EnterpriseContractPolicy;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client, api::PostParams};
use release_service_api::{Release, ReleasePlan, ReleasePlanAdmission, labels};
use serde_json::json;
use testkit::builders;

use crate::ui;

/// Enough to keep an API server on two cores busy.
pub(super) const CONCURRENCY: usize = 32;
const APPLICATION: &str = "shop";
pub(super) const SNAPSHOT: &str = "shop-1";
pub(super) const PLAN: &str = "plan";
pub(super) const ACCOUNT: &str = "release-bot";

/// A tenant's namespace, and the one that releases for it.
pub(super) struct Team {
    pub(super) tenant: String,
    pub(super) managed: String,
}

/// Creates so many, each with an Application, a Snapshot, a plan, and what admits it.
pub(super) async fn create(client: &Client, teams: usize) -> anyhow::Result<Vec<Team>> {
    let step = ui::step(format!("{teams} teams exist"));
    let mut creations =
        futures::stream::iter(0..teams).map(|number| team(client, number)).buffered(CONCURRENCY);
    let mut created = Vec::new();
    while let Some(team) = creations.try_next().await? {
        created.push(team);
        step.waiting(&format!("{} of {teams}", created.len()));
    }
    step.done();
    Ok(created)
}

async fn team(client: &Client, number: usize) -> anyhow::Result<Team> {
    let params = PostParams::default();
    let (tenant, managed) = (format!("bench-{number}"), format!("bench-{number}-managed"));
    for namespace in [&tenant, &managed] {
        Api::all(client.clone()).create(&params, &builders::namespace(namespace)).await?;
    }
    let application: Application = serde_json::from_value(json!({
        "metadata": {"name": APPLICATION}, "spec": {"displayName": "Shop"},
    }))?;
    Api::namespaced(client.clone(), &tenant).create(&params, &application).await?;
    let image = format!("registry.example.com/shop/web@sha256:{number:064x}");
    let snapshot: Snapshot = serde_json::from_value(json!({
        "metadata": {"name": SNAPSHOT},
        "spec": {"application": APPLICATION, "components": [{"name": "web", "containerImage": image}]},
    }))?;
    Api::namespaced(client.clone(), &tenant).create(&params, &snapshot).await?;
    let policy: EnterpriseContractPolicy = serde_json::from_value(json!({
        "metadata": {"name": "strict"},
        "spec": {"publicKey": "k8s://keys/public", "sources": [{"policy": ["oci::images.example/rules:1"]}]},
    }))?;
    Api::namespaced(client.clone(), &managed).create(&params, &policy).await?;
    let account: ServiceAccount = builders::service_account(&managed, ACCOUNT);
    Api::namespaced(client.clone(), &managed).create(&params, &account).await?;
    let admission: ReleasePlanAdmission = serde_json::from_value(json!({
        "metadata": {"name": "admission"},
        "spec": {
            "applications": [APPLICATION], "origin": tenant, "policy": "strict",
            "pipeline": {"serviceAccountName": ACCOUNT, "pipelineRef": {"resolver": "bundles", "params": [
                {"name": "bundle", "value": "registry.example.com/pipelines:1"},
                {"name": "name", "value": "push-to-external-registry"},
                {"name": "kind", "value": "pipeline"},
            ]}},
            "data": {"mapping": {"components": [{"name": "web", "repository": "registry.example.com/out/web"}]}},
        },
    }))?;
    Api::namespaced(client.clone(), &managed).create(&params, &admission).await?;
    let plan: ReleasePlan = serde_json::from_value(json!({
        "metadata": {"name": PLAN}, "spec": {"application": APPLICATION, "target": managed},
    }))?;
    Api::namespaced(client.clone(), &tenant).create(&params, &plan).await?;
    Ok(Team { tenant, managed })
}

/// A Release of the team's Snapshot by its plan, of somebody.
pub(super) fn release(name: &str) -> serde_json::Result<Release> {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {labels::AUTHOR.as_str(): "jane"}},
        "spec": {"snapshot": SNAPSHOT, "releasePlan": PLAN, "gracePeriodDays": 7},
    }))
}
