//! An Application and its Components, followed until each has its model.
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    runtime::wait::await_condition,
};
use serde_json::Value;

use crate::{
    demo::{Fact, Show, follow},
    deploy::{self, Applier, Object},
    paths, ui,
};

/// Folder of the example, in the checkout.
pub const EXAMPLE: &str = "examples/first-application";

/// How long a change may take to reach another object.
const LIMIT: Duration = Duration::from_secs(30);

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let example = example().await?.configuration;
    let applier = Applier::discover(client.clone(), true).await?;
    let asked = Instant::now();
    applier.apply_all(&example, |_| {}).await?;
    let objects: Vec<&Object> = example.iter().collect();
    let (live, mut facts) = follow::until(&client, &objects, "Created", asked).await?;

    for object in &live {
        let model = object.data.pointer("/status/devfile").and_then(Value::as_str).unwrap_or_default();
        ensure!(!model.is_empty(), "{} is Created without a model in status.devfile", object.name_any());
    }
    let server =
        live.iter().find(|object| object.name_any() == "server").context("the example has a server")?;
    ui::note("The model of Component server, which other services read:");
    for line in server.data["status"]["devfile"].as_str().unwrap_or_default().lines() {
        ui::note(&format!("  {line}"));
    }
    facts.push(nudged(&client, server, asked).await?);
    Ok(facts)
}

/// The example's objects, in the order to apply.
pub async fn example() -> anyhow::Result<deploy::Plan> {
    let objects = deploy::kustomize(&paths::repository()?.join(EXAMPLE)).await?;
    Ok(deploy::Plan::of(objects))
}

/// Waits until the nudged Component knows who nudges it: written by another controller than its condition.
async fn nudged(client: &Client, server: &DynamicObject, asked: Instant) -> anyhow::Result<Fact> {
    let resource = server.types.as_ref().context("a live object has a kind")?;
    let api: Api<DynamicObject> = Api::namespaced_with(
        client.clone(),
        &server.namespace().unwrap_or_default(),
        &ApiResource::from_gvk(&resource.try_into()?),
    );
    let knows = |live: Option<&DynamicObject>| {
        live.is_some_and(|live| live.data["status"]["build-nudged-by"] == serde_json::json!(["library"]))
    };
    let name = server.name_any();
    let step = ui::step("server knows that library nudges it");
    let waiting = await_condition(api, &name, knows);
    tokio::time::timeout(LIMIT, waiting)
        .await
        .context("status.build-nudged-by of Component server stays empty")??;
    step.done();
    Ok(Fact {
        object: "Component server".to_owned(),
        state: "nudged by library".to_owned(),
        after: asked.elapsed(),
    })
}
