//! Scenario 15: many runs at once, and what one costs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::ListParams;
use pipelines_engine_api::PipelineRun;
use testkit::{DEADLINE, eventually};

use crate::runs::{child, end, image, pipeline_run, pipeline_status, task_status};
use crate::service::{Service, signed};

/// Repository and digest.
type Image = (String, String);

/// Pairs of a PipelineRun and its TaskRun.
const PAIRS: usize = 60;

/// Makes a PipelineRun with one TaskRun, neither of which has ended.
async fn begin(service: &Service, name: &str) -> anyhow::Result<PipelineRun> {
    let parent = pipeline_run(&service.pipeline_runs(), name).await?;
    child(&service.task_runs(), &parent, "build").await?;
    Ok(parent)
}

/// Ends both; the TaskRun has built an image.
async fn finish(service: &Service, parent: &PipelineRun, (repository, digest): &Image) -> anyhow::Result<()> {
    let (pipeline_runs, task_runs, name) = (service.pipeline_runs(), service.task_runs(), parent.name_any());
    let results = image(&format!("{repository}:v1"), digest);
    end(&task_runs, &format!("{name}-build"), &task_status(&results)).await?;
    end(&pipeline_runs, &name, &pipeline_status(parent, &["build"], &results)).await?;
    Ok(())
}

async fn all_are_signed(service: &Service, count: usize, deadline: Duration) -> anyhow::Result<()> {
    eventually(deadline, "all runs to be signed", async || {
        let runs = service.pipeline_runs().list(&ListParams::default()).await?.items;
        let mut marks: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for run in &runs {
            *marks.entry(signed(run)).or_default() += 1;
        }
        ensure!(marks.get(&Some("true")) == Some(&count), "{marks:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn scenario_15_a_pair_costs_two_writes_and_no_read() -> anyhow::Result<()> {
    let service = Service::start().await?;
    // What the first run of a namespace reads, and the first signature in a repository writes.
    finish(&service, &begin(&service, "first").await?, &service.push_image("first")).await?;
    all_are_signed(&service, 1, DEADLINE).await?;

    let pairs = stream::iter(0..PAIRS)
        .map(|i| {
            let service = &service;
            async move {
                let parent = begin(service, &format!("run-{i}")).await?;
                anyhow::Ok((parent, service.push_image(&format!("app-{i}"))))
            }
        })
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;

    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let calls_before = service.registry.calls().len();
    let began = Instant::now();
    stream::iter(&pairs)
        .map(|(parent, image)| finish(&service, parent, image))
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    all_are_signed(&service, PAIRS + 1, DEADLINE * 4).await?;
    let took = began.elapsed();

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases");
    // The logins of an account are read once a minute.
    let runs = calls.filter(|call| {
        call.target
            .as_ref()
            .is_some_and(|target| ["pipelineruns", "taskruns"].contains(&target.resource.as_str()))
    });
    ensure!(runs.writes() == 2 * PAIRS && runs.reads() == 0, "{PAIRS} pairs: {calls}");
    ensure!(calls.reads() <= 2, "{calls}");
    let asked = service.registry.calls().len() - calls_before;
    ensure!(asked <= PAIRS * 24, "{asked} registry requests for {PAIRS} pairs");
    eprintln!("{PAIRS} pairs in {took:?}, {asked} registry requests");
    Ok(())
}
