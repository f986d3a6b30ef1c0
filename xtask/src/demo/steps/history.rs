//! A run that the cluster has forgotten: pruned as soon as it is archived, and read by people of its tenant alone.
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
};
use serde_json::{Value, json};

use super::{component, tenant::NAMESPACE};
use crate::{
    cluster::Cluster,
    demo::{Fact, Show, follow},
    deploy::Object,
    images, ui,
};

mod reader;

use reader::{Archive, Reader};

/// Asks the watcher of the dev overlay to delete the run when it is archived.
const PRUNE: (&str, &str) = ("results.fleet.konflux-ci.dev/prune", "soon");
/// What the run prints.
const WORDS: &str = "written down before it was deleted";
/// Its one step.
const STEP: &str = "note";

/// How long archive and pruner may take.
const LIMIT: Duration = Duration::from_mins(2);

/// What may be asked by whoever sees the tenant's runs and their logs, and by whoever may not.
const ROLE: &str = "appstudio-contributor-user-actions";

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let cluster = Cluster::load(&show.args.cluster)?;
    let Some(archive) = Archive::of(&cluster)? else {
        ui::note("this cluster is not ours: nobody can be shown the archive from here");
        return Ok(Vec::new());
    };
    let image = images::shell::push(&show.args.registry, &show.args.cluster).await?;

    let asked = Instant::now();
    let run = create(&client, &image).await?;
    follow::until(&client, &[&run], "Succeeded", asked).await?;
    let ended = Instant::now();
    pruned(&client, &run).await?;
    let mut facts = vec![fact(run.to_string(), "archived, then deleted by the pruner".to_owned(), ended)];

    let insider = Reader::make(&client, NAMESPACE, "history-reader", Some(ROLE)).await?;
    let stranger = Reader::make(&client, NAMESPACE, "history-stranger", None).await?;
    let asked = Instant::now();
    facts.push(by_rest(&archive, &insider, &stranger, run.name(), asked).await?);
    facts.extend(by_plugin(&archive, &cluster, &insider, &stranger, run.name(), asked).await?);
    Ok(facts)
}

fn fact(object: impl Into<String>, state: String, since: Instant) -> Fact {
    Fact { object: object.into(), state, after: since.elapsed() }
}

async fn create(client: &Client, image: &str) -> anyhow::Result<Object> {
    let (label, value) = PRUNE;
    let run: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "tekton.dev/v1",
        "kind": "PipelineRun",
        "metadata": {"generateName": "history-", "namespace": NAMESPACE, "labels": {label: value}},
        "spec": {"pipelineSpec": {"tasks": [{
            "name": "write",
            "taskSpec": {"steps": [{"name": STEP, "image": image, "script": format!("#!/bin/sh\necho {WORDS}\n")}]},
        }]}},
    }))?;
    let created = component::api(client, "PipelineRun").create(&PostParams::default(), &run).await;
    Object::parse(serde_json::to_value(created.context("create a PipelineRun to be pruned")?)?)
}

/// Waits until the run is gone, of itself.
async fn pruned(client: &Client, run: &Object) -> anyhow::Result<()> {
    let step = ui::step("the run is archived and deleted");
    let runs: Api<DynamicObject> = component::api(client, "PipelineRun");
    let until = Instant::now() + LIMIT;
    while let Some(live) = runs.get_opt(run.name()).await? {
        let said = live.metadata.annotations.unwrap_or_default();
        ensure!(
            Instant::now() < until,
            "{run} ended {} s ago and is still there; its annotations: {said:?}. The log of tekton-results-watcher in namespace \
             tekton-results says why",
            LIMIT.as_secs()
        );
        step.waiting(said.get("results.tekton.dev/record").map_or("not archived", |_| "archived"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    step.done();
    Ok(())
}

/// The run as it was, by plain HTTP; others are told that it is not for them, whether it is there or not.
async fn by_rest(
    archive: &Archive,
    insider: &Reader,
    stranger: &Reader,
    run: &str,
    asked: Instant,
) -> anyhow::Result<Fact> {
    let (status, answer) = archive.records(NAMESPACE, run, Some(insider)).await?;
    ensure!(status == 200, "the archive answers {status} to who may read it: {answer:#}");
    let records = answer["records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [record] = records else {
        anyhow::bail!("the archive has {} records of {run}, not one", records.len())
    };
    let kept = reader::document(record)?;
    let reason = kept["status"]["conditions"][0]["reason"].as_str().unwrap_or_default();
    ensure!(
        kept["metadata"]["name"] == run && ["Succeeded", "Completed"].contains(&reason),
        "the archived run is not as it ended: {kept:#}"
    );
    refused(archive.records(NAMESPACE, run, Some(stranger)).await?, 403)?;
    refused(archive.records(NAMESPACE, run, None).await?, 401)?;
    // The same answer where there is nothing to be seen.
    refused(archive.records("no-such-tenant", run, Some(insider)).await?, 403)?;
    Ok(fact(
        format!("PipelineRun {run}"),
        format!("read from the archive: {reason}; 403 for another account"),
        asked,
    ))
}

fn refused((status, answer): (u16, Value), expected: u16) -> anyhow::Result<()> {
    ensure!(status == expected, "the archive answers {status} and not {expected}: {answer:#}");
    let message = answer["message"].as_str().unwrap_or_default();
    ui::note(&format!("  {status}: {message}"));
    Ok(())
}

/// The same by `kubectl konflux`, with the log.
async fn by_plugin(
    archive: &Archive,
    cluster: &Cluster,
    insider: &Reader,
    stranger: &Reader,
    run: &str,
    asked: Instant,
) -> anyhow::Result<Vec<Fact>> {
    let list = archive.plugin(cluster, insider, &["results", "list", "-n", NAMESPACE]).await?.success()?;
    ensure!(list.contains(run), "`kubectl konflux results list` has no {run}:\n{list}");
    for line in list.lines().take(4) {
        ui::note(&format!("  {line}"));
    }
    let log = archive.plugin(cluster, insider, &["logs", run, "-n", NAMESPACE]).await?.success()?;
    ensure!(log.contains(WORDS), "the log of {run} in the archive is {log:?}");
    let refused = archive.plugin(cluster, stranger, &["results", "list", "-n", NAMESPACE]).await?;
    ensure!(!refused.status.success(), "`kubectl konflux` shows runs to an account that may not see them");
    let line = log.lines().find(|line| line.contains(WORDS)).unwrap_or_default();
    Ok(vec![fact(format!("log of {run}"), line.trim().to_owned(), asked)])
}
