//! Many deliveries at once: what they cost, and that none is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ListParams;
use pipelines_engine_api::PipelineRun;
use reqwest::StatusCode;
use testkit::engine::{RunScript, Runs};
use testkit::forge::github::event::Event;
use testkit::{DEADLINE, eventually};

use crate::service::{ON_PUSH, REPOSITORY, Service, WEBHOOK_SECRET, definition, label};

const BURST: usize = 200;

/// Runs that are to be there when the service is killed.
const SOME: usize = 20;

/// Much more than a burst takes on a busy machine of two cores.
const PATIENCE: Duration = DEADLINE.saturating_mul(4);

/// What a run was started for.
fn cause(run: &PipelineRun) -> &str {
    run.annotations().get("fleet.konflux-ci.dev/cause").map_or("", String::as_str)
}

/// A service whose runs nobody works on, and so many pushes to `main`.
async fn with_pushes(count: usize) -> anyhow::Result<(Service, Vec<Event>)> {
    let service = Service::start().await?;
    service.engine.play(Runs::any(), RunScript::never_starts());
    service.commit("main", &[(".tekton/push.yaml", &definition("on-push", &ON_PUSH))])?;
    let push = |number: usize| Ok(service.commit("main", &[("number", &number.to_string())])?.1);
    let events = (0..count).map(push).collect::<anyhow::Result<_>>()?;
    Ok((service, events))
}

/// Sends those of the events that are named by their places, all at once, and returns the places of those that were not
/// accepted.
async fn send(http: &reqwest::Client, url: &str, events: &[Event], which: &[usize]) -> Vec<usize> {
    let answers = join_all(which.iter().map(|&at| async move {
        let answer = events[at].signed(WEBHOOK_SECRET).send(http, url).await;
        (at, answer.is_ok_and(|answer| answer.status() == StatusCode::ACCEPTED))
    }));
    answers.await.into_iter().filter(|(_, is_accepted)| !is_accepted).map(|(at, _)| at).collect()
}

/// Waits until all of the events were worked on: each has its check run.
async fn all_told(service: &Service, count: usize) -> anyhow::Result<()> {
    eventually(PATIENCE, &format!("{count} check runs"), async || {
        let checks =
            service.github.edit(|model| Ok::<_, anyhow::Error>(model.repo(REPOSITORY)?.check_runs.len()))?;
        ensure!(checks >= count, "there are {checks}");
        let runs = service.runs().await?;
        let told = runs.iter().filter(|run| !label(run, "check-run-id").is_empty()).count();
        ensure!(told >= count, "{told} of {} runs know theirs", runs.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_that_is_killed_in_a_burst_starts_each_run_once() -> anyhow::Result<()> {
    let (mut service, events) = with_pushes(BURST).await?;
    let (all, url) = ((0..BURST).collect::<Vec<_>>(), service.listener());
    let (first, rest) = all.split_at(BURST / 2);
    let unaccepted: Vec<usize> = send(&service.http, &url, &events, first).await;
    ensure!(unaccepted.is_empty(), "{unaccepted:?} were not accepted");
    eventually(PATIENCE, "some runs", async || {
        let count = service.runs().await?.len();
        ensure!(count >= SOME, "there are {count}");
        Ok(())
    })
    .await?;
    // What is sent meanwhile meets the crash, before or after it is accepted.
    let sending = tokio::spawn({
        let (http, url, events, rest) = (service.http.clone(), url.clone(), events.clone(), rest.to_vec());
        async move { send(&http, &url, &events, &rest).await }
    });
    service.kill().await?;
    let before = service.runs().await?.len();
    ensure!(before < first.len(), "it was killed too late: there are {before} runs");
    let lost = sending.await?;

    service.run().await?;
    // Forges try again what was not accepted, and somebody presses their button for no reason.
    for again in [&lost, first] {
        let unaccepted = send(&service.http, &url, &events, again).await;
        ensure!(unaccepted.is_empty(), "{unaccepted:?} were not accepted");
    }
    all_told(&service, BURST).await?;
    let runs = service.runs().await?;
    let causes: BTreeSet<&str> = runs.iter().map(cause).collect();
    let sent: BTreeSet<&str> = events.iter().map(|event| &*event.delivery).collect();
    assert_eq!((runs.len(), causes), (BURST, sent));
    let secrets = service.api::<Secret>().list(&ListParams::default()).await?.items;
    let owners: BTreeSet<_> =
        secrets.iter().flat_map(ResourceExt::owner_references).map(|owner| &owner.uid).collect();
    assert_eq!((secrets.len(), owners.len()), (BURST, BURST));
    let checks =
        service.github.edit(|model| Ok::<_, anyhow::Error>(model.repo(REPOSITORY)?.check_runs.clone()))?;
    let told: BTreeSet<_> = checks.iter().map(|check| &check.external_id).collect();
    assert_eq!((checks.len(), told.len()), (BURST, BURST), "a run is told of once");
    Ok(())
}

#[tokio::test]
async fn one_event_that_is_sent_again_and_again_starts_one_run() -> anyhow::Result<()> {
    let (service, events) = with_pushes(1).await?;
    let unaccepted = send(&service.http, &service.listener(), &events, &[0; 20]).await;
    ensure!(unaccepted.is_empty(), "{unaccepted:?} were not accepted");
    all_told(&service, 1).await?;
    // Whatever was still to come of the others comes before this.
    let (_, last) = service.commit("main", &[("number", "last")])?;
    service.deliver(&last).await?;
    all_told(&service, 2).await?;
    assert_eq!(service.runs().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_delivery_costs_three_writes_no_read_and_three_calls_of_the_forge() -> anyhow::Result<()> {
    const COUNT: usize = 20;
    let (service, events) = with_pushes(COUNT + 1).await?;
    // Whatever is asked for once.
    service.deliver(&events[COUNT]).await?;
    all_told(&service, 1).await?;
    let (ledger, traffic) = (service.plane.ledger()?, service.github.traffic());
    let mark = ledger.mark().await?;
    traffic.forget();
    let unaccepted =
        send(&service.http, &service.listener(), &events[..COUNT], &(0..COUNT).collect::<Vec<_>>()).await;
    ensure!(unaccepted.is_empty(), "{unaccepted:?} were not accepted");
    all_told(&service, COUNT + 1).await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases");
    assert_eq!(calls.reads(), 0, "{calls}");
    ensure!(calls.writes() <= 3 * COUNT, "{} writes\n{calls}", calls.writes());
    let tokens = traffic.count("POST /app/installations/{installation_id}/access_tokens");
    let asked = traffic.count("*");
    ensure!(
        asked - tokens <= 3 * COUNT && tokens <= 1,
        "{asked} calls, {tokens} of them for tokens\n{traffic}"
    );
    Ok(())
}
