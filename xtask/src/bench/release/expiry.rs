//! Many Releases whose time has come while the service was away.
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{Api, api::ListParams};
use release_service_api::Release;

use super::{
    setup::Setup,
    standing,
    teams::{CONCURRENCY, Team},
};
use crate::{
    bench::{
        table::Table,
        tally::Tally,
        units::{count, mebibytes, time},
    },
    ui,
};

/// Deleted in a second. The default would take long for nothing.
const RATE: u32 = 50;
const EXPIRED: &str = "2024-04-08T10:00:00Z";
/// How often it is looked whether they are gone.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn measure(
    setup: &Setup<'_>,
    teams: &[Team],
    expired: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let step = ui::step(format!("{expired} Releases expire"));
    let client = setup.plane.admin();
    let before = number_of_releases(setup).await?;
    let mut creations = futures::stream::iter(0..expired)
        .map(|number| {
            let (client, team) = (client.clone(), &teams[number % teams.len()]);
            async move { standing::over(&client, team, format!("expired-{number}"), EXPIRED, false).await }
        })
        .buffer_unordered(CONCURRENCY);
    while creations.try_next().await?.is_some() {}

    let (ledger, user) = (setup.plane.ledger()?, setup.user()?);
    let mark = ledger.mark().await?;
    let service = setup.start_with(&[format!("--expiration-rate={RATE}")]).await?;
    let began = Instant::now();
    let patience = Duration::from_mins(5) + Duration::from_secs(u64::try_from(expired)?) / RATE * 4;
    loop {
        let left = number_of_releases(setup).await?.saturating_sub(before);
        if left == 0 {
            break;
        }
        ensure!(began.elapsed() < patience, "{left} of {expired} are still there");
        step.waiting(&format!("{left} are left"));
        tokio::time::sleep(LOOK).await;
    }
    let took = began.elapsed();
    service.settle(standing::CALM, |at| step.waiting(at)).await?;
    let calls = ledger.since(&mark).await?.by(&user).except("leases");
    let lists = calls.iter().filter(|call| call.verb == "list").count();
    let rate = count(expired) / took.as_secs_f64().max(f64::EPSILON);
    table.row(
        format!("{expired} Releases expire at once, --expiration-rate={RATE}: until all are gone"),
        &format!("≤ {RATE} a second"),
        format!("{}, {rate:.0} a second", time(took)),
    );
    table.row("… API writes per Release", "2", Tally::of_writes(&calls).per(expired).to_string());
    table.row("… API reads per Release", "", Tally::of_reads(&calls).per(expired).to_string());
    table.row("… lists, those of the start included", "those of the start", lists.to_string());
    table.row("… most memory", "", mebibytes(service.peak_memory()?));
    service.stop().await?;
    step.done();
    Ok(())
}

async fn number_of_releases(setup: &Setup<'_>) -> anyhow::Result<usize> {
    let all = Api::<Release>::all(setup.plane.admin());
    let one = all.list_metadata(&ListParams::default().limit(1)).await?;
    let left = usize::try_from(one.metadata.remaining_item_count.unwrap_or(0))?;
    Ok(one.items.len() + left)
}
