//! Pages of 50, one after the other.
use std::time::{Duration, Instant};

use rand::Rng as _;

use super::{
    client::{Client, List},
    database, milliseconds, runs,
    setup::Setup,
};
use crate::bench::{table::Table, units::count};

/// Pages of a row.
const PAGES: usize = 300;
/// Pages before them.
const WARM_UP: usize = 10;
/// What a page holds.
const PAGE: usize = 50;
const NEWEST: &str = "create_time desc";

/// Which page is asked for.
#[derive(Clone, Copy)]
enum Asked {
    /// PipelineRuns of an application, of which there are [`runs::APPLICATIONS`].
    Application,
    /// The one PipelineRun of this name.
    Run,
    All,
}

/// With so many records in the archive, all of one namespace.
pub(super) async fn measure(
    setup: &Setup<'_>,
    client: &mut Client,
    records: usize,
    table: &mut Table,
) -> anyhow::Result<()> {
    let at = if records <= 100_000 { "p99 ≤ 12 ms" } else { "p99 ≤ 20 ms" };
    let newest = "p99 ≤ 6 ms";
    for (what, asked, order, aim) in [
        ("page of 50, filter by label and type", Asked::Application, "", at),
        ("page of 50, filter by label and type, newest first", Asked::Application, NEWEST, at),
        ("the one run of a name, filter by label and type", Asked::Run, "", at),
        ("newest 50, no filter", Asked::All, NEWEST, newest),
    ] {
        let before = database::connections(&setup.postgres, &setup.database).await?;
        let times = pages(client, &setup.tenant, records, asked, order).await?;
        // One was psql's, which asked.
        let opened =
            database::connections(&setup.postgres, &setup.database).await?.saturating_sub(before + 1);
        let (p50, p99) = (milliseconds(&times, 50), milliseconds(&times, 99));
        let measured = format!("p50 {p50}, p99 {p99}, n = {PAGES}");
        table.row(format!("{records} records: {what}"), aim, measured);
        let opened = format!("{:.1}", count(opened) / count(WARM_UP + PAGES));
        table.row("… connections to the database opened for a page", "", opened);
    }
    Ok(())
}

async fn pages(
    client: &mut Client,
    namespace: &str,
    records: usize,
    asked: Asked,
    order: &str,
) -> anyhow::Result<Vec<Duration>> {
    let parent = format!("{namespace}/results/-");
    let type_is = format!("data_type == \"{}\"", runs::PIPELINE_RUN);
    let mut times = Vec::new();
    for _ in 0..WARM_UP + PAGES {
        let any = rand::rng().random_range(0..records / runs::OF_A_RESULT);
        let label_is =
            |label: &str, value: String| format!("data.metadata.labels[\"{label}\"] == \"{value}\"");
        let (filter, expected) = match asked {
            Asked::Application => {
                let label = label_is(runs::APPLICATION, format!("app-{}", any % runs::APPLICATIONS));
                (format!("{type_is} && {label}"), PAGE)
            }
            Asked::Run => (format!("{type_is} && {}", label_is(runs::RUN, format!("run-{any}"))), 1),
            Asked::All => (String::new(), PAGE),
        };
        let began = Instant::now();
        let (found, has_more) = client.list_records(&parent, List { filter: &filter, order }).await?;
        times.push(began.elapsed());
        anyhow::ensure!(found == expected, "{filter}: {found} records instead of {expected}");
        anyhow::ensure!(has_more == (expected == PAGE), "{filter}: wrong about whether there are more");
    }
    Ok(times.split_off(WARM_UP))
}
