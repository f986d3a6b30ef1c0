//! The namespace of a team, as `cargo xtask tenant` makes it.
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _, api::DeleteParams};

use super::application::example;
use crate::{
    demo::{Fact, Show},
    deploy::{Applier, Object},
    tenant::{self, Kind, Member, Role, Tenant, Who, Writing},
    ui,
};

const WORKSPACE: &str = "example";
/// The tenant of examples/first-application.
pub const NAMESPACE: &str = "example-tenant";
/// Who owns the tenant, and who may look.
const ADMIN: &str = "alice";
const VIEWER: &str = "bob";

/// How long deleted objects of an earlier run may take to vanish.
const LIMIT: Duration = Duration::from_mins(1);

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let asked = Instant::now();
    let example = example().await?;
    let target = show.target()?;
    if !show.args.keep && Api::<Namespace>::all(target.client.clone()).get_opt(NAMESPACE).await?.is_some() {
        let applier = Applier::discover(target.client.clone(), true).await?;
        clear(&applier, &example.configuration).await?;
    }
    let writing = Writing { authorities: target.certificate_authority.as_deref(), force: true };
    tenant::make(&tenant()?, &target.client, writing).await?;
    Ok(vec![Fact {
        object: format!("Namespace {NAMESPACE}"),
        state: "ready".to_owned(),
        after: asked.elapsed(),
    }])
}

fn tenant() -> anyhow::Result<Tenant> {
    let workspace = WORKSPACE.parse().map_err(anyhow::Error::msg)?;
    let members = [(Role::Admin, ADMIN), (Role::Viewer, VIEWER)];
    let member = |(role, user): (Role, &str)| Member { role, who: Who::User(user.to_owned()) };
    Ok(Tenant { workspace, kind: Kind::Development, members: members.map(member).into() })
}

/// Deletes what an earlier run left, and waits until it is gone: finalizers and owners are part of the show.
async fn clear(applier: &Applier, objects: &[Object]) -> anyhow::Result<()> {
    let step = ui::step("objects of an earlier run are gone");
    for object in objects {
        match applier.api(object)?.delete(object.name(), &DeleteParams::default()).await {
            // Never there, or gone with its owner already.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            outcome => drop(outcome.with_context(|| format!("delete {object}"))?),
        }
    }
    let until = Instant::now() + LIMIT;
    for object in objects {
        let api = applier.api(object)?;
        while let Some(live) = api.get_opt(object.name()).await? {
            step.waiting(object.name());
            if Instant::now() > until {
                bail!(
                    "{object} was deleted but is still there; its finalizers: {}",
                    live.finalizers().join(", ")
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    step.done();
    Ok(())
}
