//! A Pipeline of several tasks, followed until its run has ended: results, a volume, a sidecar, a task that fails at first, and
//! one that runs in the end.
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    demo::{Fact, Show, follow},
    deploy::{self, Applier, Object},
    images, paths, ui,
};

/// Folder of the example, in the checkout.
const EXAMPLE: &str = "examples/first-pipeline";

/// The tasks, in the order in which they end.
const TASKS: [&str; 5] = ["fetch", "build", "test", "scan", "report"];

/// How long a run of an earlier demo may take to vanish.
const LIMIT: Duration = Duration::from_mins(1);

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let image = images::shell::push(&show.args.registry, &show.args.cluster).await?;
    let mut objects = deploy::kustomize(&paths::repository()?.join(EXAMPLE)).await?;
    let position = objects.iter().position(|object| object.kind() == "PipelineRun");
    let mut run = objects.remove(position.with_context(|| format!("{EXAMPLE} has no PipelineRun"))?);
    set_param(&mut run, "image", &image)?;
    let applier = Applier::discover(client.clone(), true).await?;
    clear(&applier, &run).await?;
    applier.apply_all(&objects, |_| {}).await?;

    let asked = Instant::now();
    let created = serde_json::from_value(run.content.clone())?;
    applier
        .api(&run)?
        .create(&PostParams::default(), &created)
        .await
        .with_context(|| format!("create {run}"))?;
    let children = TASKS.map(|task| task_run(&run, task)).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let followed: Vec<&Object> = children.iter().chain([&run]).collect();
    let (live, mut facts) = follow::until(&client, &followed, "Succeeded", asked).await?;

    let of = |name: &str| live.iter().find(|object| object.name_any() == format!("{}{name}", run.name()));
    let status = |name: &str| of(name).map(|object| object.data["status"].clone()).unwrap_or_default();
    let results = results(&status(""));
    ensure!(results.contains(&"version=1.2.3".to_owned()), "results of {run} are {results:?}");
    let attempts = status("-scan")["retriesStatus"].as_array().map_or(0, Vec::len) + 1;
    ensure!(attempts == 2, "task scan took {attempts} attempts, and should have failed once");
    let claims = claims(&client, &run).await?;
    ensure!(claims == 1, "the run has {claims} claims for its one workspace");
    let after = asked.elapsed();
    let fact = |object: &str, state: String| Fact { object: object.to_owned(), state, after };
    facts.push(fact("results of the run", results.join(" ")));
    facts.push(fact("task scan", format!("{attempts} attempts")));
    Ok(facts)
}

fn set_param(run: &mut Object, name: &str, value: &str) -> anyhow::Result<()> {
    let params = run.content.pointer_mut("/spec/params").and_then(Value::as_array_mut);
    let param = params.into_iter().flatten().find(|param| param["name"] == name);
    param.with_context(|| format!("{EXAMPLE} gives its run no param {name}"))?["value"] = value.into();
    Ok(())
}

/// Deletes the run of an earlier demo, with all that it owns.
async fn clear(applier: &Applier, run: &Object) -> anyhow::Result<()> {
    let api = applier.api(run)?;
    match api.delete(run.name(), &DeleteParams::foreground()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        outcome => drop(outcome.with_context(|| format!("delete {run}"))?),
    }
    let step = ui::step("the run of an earlier demo is gone");
    let until = Instant::now() + LIMIT;
    while let Some(live) = api.get_opt(run.name()).await? {
        let finalizers = live.finalizers().join(", ");
        ensure!(Instant::now() < until, "{run} was deleted but is still there; its finalizers: {finalizers}");
        step.waiting(&finalizers);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    step.done();
    Ok(())
}

/// What a task of the run will be, by the name that it gets.
fn task_run(run: &Object, task: &str) -> anyhow::Result<Object> {
    Object::parse(json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "TaskRun",
        "metadata": {"name": format!("{}-{task}", run.name()), "namespace": run.namespace()},
    }))
}

/// `name=value` of each result.
fn results(status: &Value) -> Vec<String> {
    let results = status["results"].as_array().into_iter().flatten();
    let text = |result: &Value, field: &str| result[field].as_str().unwrap_or_default().to_owned();
    results.map(|result| format!("{}={}", text(result, "name"), text(result, "value"))).collect()
}

/// How many claims the run owns.
async fn claims(client: &Client, run: &Object) -> anyhow::Result<usize> {
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(client.clone(), run.namespace().unwrap_or_default());
    let listed = claims.list(&ListParams::default()).await.context("list the claims of the tenant")?;
    let is_of_run = |claim: &&PersistentVolumeClaim| {
        claim.owner_references().iter().any(|owner| owner.kind == "PipelineRun" && owner.name == run.name())
    };
    Ok(listed.iter().filter(is_of_run).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn example_is_as_the_demo_needs_it() {
        let objects = deploy::kustomize(&paths::repository().unwrap().join(EXAMPLE)).await.unwrap();
        let of_kind = |kind: &str| objects.iter().find(|object| object.kind() == kind).unwrap().clone();
        let pipeline = of_kind("Pipeline").content;
        let names = ["tasks", "finally"].map(|list| pipeline["spec"][list].as_array().unwrap().clone());
        let mut names: Vec<_> = names.iter().flatten().map(|task| task["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        let mut followed = TASKS;
        followed.sort_unstable();
        assert_eq!(names, followed);
        let mut run = of_kind("PipelineRun");
        set_param(&mut run, "image", "shell").unwrap();
        assert_eq!(run.content["spec"]["params"][0]["value"], "shell");
        assert!(set_param(&mut run, "absent", "x").is_err());
    }
}
