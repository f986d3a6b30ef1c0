//! The namespace of a team.
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _, api::DeleteParams};

use super::application::example;
use crate::{
    demo::{Fact, Show},
    deploy::{Applier, Object},
    ui,
};

/// The tenant of examples/first-application.
pub const NAMESPACE: &str = "example-tenant";

/// How long deleted objects of an earlier run may take to vanish.
const LIMIT: Duration = Duration::from_mins(1);

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let asked = Instant::now();
    let example = example().await?;
    let client = show.target()?.client.clone();
    let applier = Applier::discover(client.clone(), true).await?;
    if !show.args.keep && Api::<Namespace>::all(client).get_opt(NAMESPACE).await?.is_some() {
        clear(&applier, &example.configuration).await?;
    }
    let step = ui::step(format!("namespace {NAMESPACE}"));
    applier.apply_all(&example.namespaces, |_| {}).await?;
    let tally = applier.apply_all(&example.services, |_| {}).await?;
    step.done_with(&tally.to_string());
    Ok(vec![Fact {
        object: format!("Namespace {NAMESPACE}"),
        state: "ready".to_owned(),
        after: asked.elapsed(),
    }])
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
