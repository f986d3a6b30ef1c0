//! `results-watcher` over runs that end: the whole way into the database, over TLS.
//!
//! Runs are played, without pods, so there are no logs to be stored.
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api as Objects, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::{Value, json};
use testkit::builders;

use super::{
    setup::{Api, Setup, WATCHER_ACCOUNT},
    shared,
};
use crate::{
    bench::{
        process::Service,
        table::Table,
        units::{mebibytes, time},
    },
    ui,
};

const STORED: &str = "results.tekton.dev/stored";
const TASK: &str = "build";
/// Writes of the load at once.
const TOGETHER: usize = 16;
/// Without another archived run for so long, something is wrong.
const PATIENCE: Duration = Duration::from_mins(2);
/// Quiet for this long is idle.
const CALM: Duration = Duration::from_secs(3);

/// With an API that serves by TLS.
pub(super) async fn measure(
    setup: &Setup<'_>,
    api: &Api,
    binary: &Path,
    count: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let step = ui::step(format!("{count} PipelineRuns archived by the watcher"));
    let service = start(setup, api, binary).await?;
    service.settle(CALM, |at| step.waiting(at)).await?;
    table.row("watcher: memory, idle", "≤ 30 MiB", shared(service.memory()?, service.file_memory()?));
    let client = setup.plane.admin();
    let pipeline_runs: Objects<PipelineRun> = Objects::namespaced(client.clone(), &setup.tenant);
    let task_runs: Objects<TaskRun> = Objects::namespaced(client, &setup.tenant);
    let began = Instant::now();
    stream::iter(0..count)
        .map(|number| play(&pipeline_runs, &task_runs, number))
        .buffer_unordered(TOGETHER)
        .try_collect::<Vec<()>>()
        .await?;
    archived(&pipeline_runs, count, |at| step.waiting(at)).await?;
    let took = began.elapsed();
    service.settle(CALM, |at| step.waiting(at)).await?;
    table.row(
        format!("watcher: {count} PipelineRuns with a TaskRun each, created → ended → archived"),
        "",
        time(took),
    );
    let now = shared(service.memory()?, service.file_memory()?);
    let memory = format!("{now}, {}", mebibytes(service.peak_memory()?));
    table.row("watcher: memory afterwards, and at most", "≤ 30 MiB", memory);
    service.stop().await?;
    step.done();
    Ok(())
}

async fn start(setup: &Setup<'_>, api: &Api, binary: &Path) -> anyhow::Result<Service> {
    let folder = setup.folder.path();
    let (kubeconfig, token) = (folder.join("watcher.kubeconfig"), folder.join("watcher.token"));
    let namespace = setup.installed.namespace();
    crate::bench::account::write_kubeconfig(setup.plane, namespace, WATCHER_ACCOUNT, &kubeconfig).await?;
    fs::write(&token, setup.plane.token_of(namespace, WATCHER_ACCOUNT, &[]).await?)
        .context("write the watcher's token")?;
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--namespace={namespace}"),
        format!("--api-addr=localhost:{}", api.address.port()),
        format!("--api-ca={}", setup.authority.display()),
        format!("--token-file={}", token.display()),
        "--logs-api=false".to_owned(),
        "--identity=bench".to_owned(),
        "--log-filter=warn".to_owned(),
    ];
    Service::start(binary, &arguments, &folder.join("watcher.log")).await
}

/// A PipelineRun with a TaskRun, from its beginning to its end.
async fn play(
    pipeline_runs: &Objects<PipelineRun>,
    task_runs: &Objects<TaskRun>,
    number: usize,
) -> anyhow::Result<()> {
    let (create, patch) = (PostParams::default(), PatchParams::default());
    let (name, child) = (format!("run-{number}"), format!("run-{number}-{TASK}"));
    let script = "make --output-sync all\n".repeat(100);
    let task = json!({"steps": [{"name": TASK, "image": "registry.example/tool", "script": script}]});
    let spec = json!({"pipelineSpec": {"tasks": [{"name": TASK, "taskSpec": task}]}});
    let run = json!({"metadata": {"name": name}, "spec": spec});
    let parent = pipeline_runs.create(&create, &serde_json::from_value(run)?).await?;
    let run = json!({
        "metadata": {
            "name": child, "ownerReferences": [builders::controller_reference(&parent)],
            "labels": {"tekton.dev/pipelineRun": name, "tekton.dev/pipelineTask": TASK},
        },
        "spec": {"taskSpec": task},
    });
    task_runs.create(&create, &serde_json::from_value(run)?).await?;
    let mut status = ended();
    status["taskSpec"] = task;
    task_runs.patch_status(&child, &patch, &Patch::Merge(&json!({ "status": status }))).await?;
    let mut status = ended();
    status["pipelineSpec"] = spec["pipelineSpec"].clone();
    status["childReferences"] =
        json!([{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": child, "pipelineTaskName": TASK}]);
    pipeline_runs.patch_status(&name, &patch, &Patch::Merge(&json!({ "status": status }))).await?;
    Ok(())
}

fn ended() -> Value {
    json!({
        "conditions": [{"type": "Succeeded", "status": "True", "reason": "Succeeded"}],
        "startTime": "2025-04-01T10:00:00Z", "completionTime": "2025-04-01T10:05:00Z",
    })
}

/// Waits until all of them are marked as archived.
async fn archived(runs: &Objects<PipelineRun>, count: usize, progress: impl Fn(&str)) -> anyhow::Result<()> {
    let (mut before, mut since) = (0, Instant::now());
    loop {
        let listed = runs.list_metadata(&ListParams::default()).await?;
        let is_stored =
            |run: &&_| ResourceExt::annotations(*run).get(STORED).is_some_and(|mark| mark == "true");
        let now = listed.items.iter().filter(is_stored).count();
        if now >= count {
            return Ok(());
        }
        if now > before {
            (before, since) = (now, Instant::now());
        }
        anyhow::ensure!(since.elapsed() < PATIENCE, "{now} of {count} runs are archived, and no more");
        progress(&format!("{now} of {count}"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
