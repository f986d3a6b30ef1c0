//! Scenario 21: five hundred Components at once, at a forge that takes its time.

use std::time::{Duration, Instant};

use application_service_api::Component;
use build_service_api::build_status::PacState;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::ListParams;
use pipelines_as_code_api::Repository;
use serde_json::json;
use testkit::eventually;
use testkit::forge::Fault;

use crate::service::{REQUEST, Service, status};

const COMPONENTS: usize = 500;

/// How long the forge takes for each answer.
const SLOW: Duration = Duration::from_secs(1);

/// Calls of the API server for each Component, at most: claim, finalizer, account, Repository, Event and end, and what is read
/// for them.
const CALLS: usize = 25;

#[tokio::test]
async fn scenario_21_five_hundred_at_once_are_all_set_up_and_nothing_is_there_twice() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    // As in the base.
    service.flags.extend(["--concurrency=128".to_owned(), "--outbound-calls-per-host=100".to_owned()]);
    service.github.edit(|model| -> anyhow::Result<()> {
        for number in 0..COMPONENTS {
            model.repository(&format!("acme/r{number}"))?;
        }
        Ok(())
    })?;
    let created = futures::stream::iter(0..COMPONENTS).map(async |number| {
        let url = service.url_of(&format!("acme/r{number}"));
        let mut component = service.component_of(&format!("c{number}"), &url);
        component.annotations_mut().insert(REQUEST.to_owned(), "configure-pac".to_owned());
        service.create(&component).await
    });
    for result in created.buffer_unordered(16).collect::<Vec<_>>().await {
        result?;
    }
    service.github.traffic().fail("*", usize::MAX, Fault::Delay(SLOW));
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let began = Instant::now();
    service.run().await?;
    eventually(Duration::from_mins(4), "all to be set up", async || {
        let components = service.api::<Component>().list(&ListParams::default()).await?.items;
        let done = components.iter().filter(|component| {
            let pac = status(component).pac.unwrap_or_default();
            pac.state == Some(PacState::Enabled) && !component.annotations().contains_key(REQUEST)
        });
        let done = done.count();
        let failed: Vec<_> = components
            .iter()
            .filter_map(|component| status(component).pac.and_then(|pac| pac.error.detail))
            .take(3)
            .collect();
        anyhow::ensure!(done == COMPONENTS, "{done} of {COMPONENTS} after {:?}: {failed:?}", began.elapsed());
        Ok(())
    })
    .await?;
    let took = began.elapsed();
    eprintln!(
        "{COMPONENTS} Components were set up in {took:?}, with {} calls of GitHub",
        service.github.traffic().calls().len()
    );

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases");
    eprintln!("{} writes and {} reads of the API server", calls.writes(), calls.reads());
    assert!(calls.len() <= COMPONENTS * CALLS, "{} calls", calls.len());
    let repositories = service.api::<Repository>().list(&ListParams::default()).await?.items;
    assert_eq!(repositories.len(), COMPONENTS);
    let pulls: Vec<usize> = service.github.edit(|model| {
        let of =
            |number| model.repo(&format!("acme/r{number}")).map_or(0, |repository| repository.pulls.len());
        (0..COMPONENTS).map(of).collect()
    });
    assert!(pulls.iter().all(|count| *count == 1), "{pulls:?}");
    let refused =
        service.github.traffic().calls().iter().filter(|call| [403, 429].contains(&call.status)).count();
    assert_eq!(refused, 0, "no storm");
    Ok(())
}
