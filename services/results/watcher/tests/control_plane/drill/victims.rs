//! Who is killed, and started again.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::ensure;
use results_api::v1alpha2::ListRecordsRequest;
use testkit::eventually;
use tokio::time::{Instant, sleep, sleep_until};

use super::archive::NOTES;
use super::chance::Chance;
use super::world::World;

/// Between two looks whether everybody still runs.
const LOOK: Duration = Duration::from_millis(100);
/// From one kill to the next, in milliseconds.
const BETWEEN: (u64, u64) = (1000, 3000);
/// From a kill to the new start, in milliseconds.
const DOWN: (u64, u64) = (0, 700);
/// How long a start may take: the API server waits for its database.
const START: Duration = Duration::from_mins(1);
/// More than the store of logs leaves a broken upload alone for.
const LONG_AGO: Duration = Duration::from_hours(25);

/// What nobody may say, whoever dies: a panic, or that a run went before it was archived or without its log.
const NEVER: [&str; 3] = ["panicked", "Let go before it was archived", "LogLost"];

#[derive(Clone, Copy)]
enum Victim {
    Database,
    Api,
    Watcher,
}

pub(super) struct Victims<'a> {
    world: &'a World,
    api: super::process::Process,
    watcher: super::process::Process,
    database_kills: usize,
}

impl<'a> Victims<'a> {
    /// On return all run, and the database notes what is written.
    pub(super) async fn start(world: &'a World) -> anyhow::Result<Self> {
        let mut victims =
            Self { world, api: world.api_server()?, watcher: world.watcher(), database_kills: 0 };
        victims.api.start()?;
        eventually(START, "the tables", async || {
            victims.api.look_after(false)?;
            let there = world.query(
                "SELECT to_regclass('records') IS NOT NULL AND to_regclass('results_keys') IS NOT NULL",
            );
            ensure!(there.await?.trim() == "t");
            Ok(())
        })
        .await
        .map_err(|error| error.context(victims.api.last_words()))?;
        eventually(START, "the notes", async || world.query(NOTES).await).await?;
        victims.watcher.start()?;
        Ok(victims)
    }

    /// Kills one after the other, each of them once before one of them dies again, until the time is up; then looks after them for
    /// as long as it is asked. Ends only with an error.
    pub(super) async fn kill_until(&mut self, until: Instant, mut chance: Chance) -> anyhow::Error {
        let killed = async {
            let mut next = Vec::new();
            while Instant::now() < until {
                self.look_after(chance.millis(BETWEEN.0, BETWEEN.1)).await?;
                if next.is_empty() {
                    next = chance.shuffle(&[Victim::Database, Victim::Api, Victim::Watcher]);
                }
                if let Some(victim) = next.pop() {
                    self.kill(victim, &mut chance).await?;
                }
            }
            loop {
                self.look_after(LOOK).await?;
            }
        };
        let killed: anyhow::Result<std::convert::Infallible> = killed.await;
        match killed {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn kill(&mut self, victim: Victim, chance: &mut Chance) -> anyhow::Result<()> {
        match victim {
            Victim::Database => {
                self.world.postgres.kill();
                self.database_kills += 1;
            }
            Victim::Api => self.api.kill()?,
            Victim::Watcher => self.watcher.kill()?,
        }
        sleep(chance.millis(DOWN.0, DOWN.1)).await;
        self.start_all().await
    }

    /// Whoever is down.
    pub(super) async fn start_all(&mut self) -> anyhow::Result<()> {
        self.world.postgres.start_again().await?;
        self.api.start()?;
        self.watcher.start()
    }

    async fn look_after(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            // One that starts just when its database dies ends, and is started again.
            self.api.look_after(self.database_kills > 0)?;
            self.watcher.look_after(false)?;
            sleep_until(until.min(Instant::now() + LOOK)).await;
        }
        Ok(())
    }

    /// Whether each of them was killed.
    pub(super) fn all_were_killed(&self) -> bool {
        self.database_kills.min(self.api.kills).min(self.watcher.kills) > 0
    }

    /// Has what dead API servers left of uploads look a day old, and one more start. Answers how much that was.
    pub(super) async fn start_api_a_day_later(&mut self) -> anyhow::Result<usize> {
        self.api.end()?;
        let left: Vec<PathBuf> = std::fs::read_dir(self.world.logs().join(".uploads"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<anyhow::Result<_>>()?;
        for file in &left {
            File::options().write(true).open(file)?.set_modified(SystemTime::now() - LONG_AGO)?;
        }
        self.api.start()?;
        let transport = self.world.transport()?;
        eventually(START, "the API server", async || {
            let parent = format!("{}/results/-", &*self.world.tenant);
            let request = ListRecordsRequest { parent, ..ListRecordsRequest::default() };
            match transport.results().list_records(request).await {
                Ok(_) => Ok(()),
                // The watcher has no use for lists: the answer of a server that serves.
                Err(status) if status.code() == tonic::Code::PermissionDenied => Ok(()),
                Err(status) => Err(status.into()),
            }
        })
        .await?;
        Ok(left.len())
    }

    pub(super) fn check_output(&self) -> anyhow::Result<()> {
        self.api.check_output(&NEVER)?;
        self.watcher.check_output(&NEVER)
    }

    pub(super) fn last_words(&self) -> String {
        format!("{self}\n{}{}", self.api.last_words(), self.watcher.last_words())
    }
}

impl fmt::Display for Victims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api, watcher, database_kills, .. } = self;
        write!(
            f,
            "killed PostgreSQL {database_kills}, the API server {}, the watcher {} times; the API server ended by itself {} times",
            api.kills, watcher.kills, api.ends
        )
    }
}
