//! PostgreSQL, the API server and the watcher are killed at random while runs come and go: no record and no line of a log is lost or
//! there twice.
//!
//! ```text
//! lanes ── runs, pods ──▶ kube-apiserver ◀── watch, logs, marks, deletions ── results-watcher
//!                                                                                   │ gRPC, TLS, its own token
//!                         PostgreSQL, which notes each write ◀── results-api ◀──────┘
//!                                          logs in a folder ◀──┘
//! ```
//! Every second or third second one of the three on the right gets a SIGKILL and is started again on what it has left. When the time is
//! up the lanes end what they began; then everything that they made is compared with what is archived.
//!
//! `DRILL_SECONDS` says how long (20), `DRILL_SEED` what chance does; it is printed. Chance decides what is done, not when the machine
//! does it, so the same seed makes the same runs and kills, but no two drills are the same.

mod archive;
mod chance;
mod check;
mod load;
mod process;
mod victims;
mod world;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use archive::Archive;
use chance::Chance;
use victims::Victims;
use world::World;

/// Of a drill that nobody asked to be longer.
const SECONDS: u64 = 20;

fn number(name: &str) -> anyhow::Result<Option<u64>> {
    let Some(text) = std::env::var_os(name) else { return Ok(None) };
    let text = text.to_string_lossy();
    Ok(Some(text.parse().with_context(|| format!("{name}={text}: expected a number"))?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_under_load_it_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let length = Duration::from_secs(number("DRILL_SECONDS")?.unwrap_or(SECONDS));
    let seed = number("DRILL_SEED")?.unwrap_or(world::now().subsec_nanosecond().unsigned_abs().into());
    eprintln!("drill: {} s with DRILL_SEED={seed}", length.as_secs());
    let mut chance = Chance::new(seed);
    let world = World::start().await?;
    let mut victims = Victims::start(&world).await?;
    let until = Instant::now() + length;
    let runs = tokio::select! {
        runs = load::run(&world, chance.fork(), until) => runs,
        error = victims.kill_until(until, chance.fork()) => Err(error.context("the victims")),
    };
    let runs = match runs {
        Ok(runs) => runs,
        Err(error) => return Err(error.context(victims.last_words())),
    };
    victims.start_all().await?;
    ensure!(victims.all_were_killed(), "nothing was shown: {victims}");
    let archive = Archive::quiet(&world).await?;
    eprintln!("drill: {victims}; {archive}");
    let left = victims.start_api_a_day_later().await?;
    let checked = check::check(&world, &runs, &archive).await;
    let checked = checked.map_err(|error| error.context(victims.last_words()))?;
    victims.check_output()?;
    eprintln!("drill: {checked}, {left} uploads broken off by a death and cleared");
    Ok(())
}
