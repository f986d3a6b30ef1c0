//! Very many at once.

use std::time::Instant;

use futures::StreamExt as _;
use image_controller_api::ImageRepository;
use serde_json::json;
use testkit::{DEADLINE, eventually};

use crate::service::{Service, image_repository, state};

const MANY: usize = 1000;

#[tokio::test]
async fn scenario_18_a_thousand_at_once_are_a_queue_and_not_a_storm() -> anyhow::Result<()> {
    let mut service = Service::start_with(&["--registry-calls-per-second=1000"]).await?;
    let objects = service.api::<ImageRepository>();
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    let began = Instant::now();
    let created = futures::stream::iter(0..MANY)
        .map(|i| {
            let objects = objects.clone();
            async move {
                objects.create(&Default::default(), &image_repository(&format!("r{i}"), &json!({}))).await
            }
        })
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await;
    for result in created {
        result?;
    }
    eventually(DEADLINE * 8, "all to be ready", async || {
        let list = objects.list(&Default::default()).await?;
        let ready = list.iter().filter(|object| state(object) == Some("ready")).count();
        anyhow::ensure!(ready == MANY, "{ready} of {MANY}");
        Ok(())
    })
    .await?;
    eventually(DEADLINE, "all to be linked", async || {
        let (linked, _) = service.links("appstudio-pipeline").await?;
        anyhow::ensure!(linked.len() == MANY, "{} of {MANY}", linked.len());
        Ok(())
    })
    .await?;
    let took = began.elapsed();

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?).except("leases");
    let events = calls.about("events").writes();
    let writes = calls.writes() - events;
    eprintln!(
        "{MANY} in {:.1} s: {writes} writes and {events} Events, {} calls to the registry, at most {} at once",
        took.as_secs_f64(),
        service.quay.traffic().calls().len(),
        service.quay.most_at_once(),
    );
    assert!(writes <= 4 * MANY, "{writes}");
    assert!(service.quay.most_at_once() <= 4, "{}", service.quay.most_at_once());
    let refused = service.quay.traffic().calls().iter().filter(|call| call.status == 429).count();
    assert_eq!((refused, service.robots().len()), (0, MANY));

    // A restart writes nothing, and asks the registry for nothing.
    service.stop().await?;
    service.quay.traffic().forget();
    let mark = ledger.mark().await?;
    service.run().await?;
    service.create(&image_repository("marker", &json!({}))).await?;
    service.ready("marker").await?;
    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    let of_others = calls.filter(|call| {
        let name = call.target.as_ref().and_then(|target| target.name.as_deref()).unwrap_or_default();
        call.is_write() && name.starts_with('r') && name[1..].parse::<usize>().is_ok()
    });
    assert_eq!(of_others.len(), 0, "{of_others}");
    assert!(service.quay.traffic().calls().len() < 12, "{}", service.quay.traffic());
    Ok(())
}
