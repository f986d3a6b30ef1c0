//! A forge that does not answer one team, and what another team notices of it.
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kube::{Api, api::PostParams};
use pipelines_as_code_api::Repository;
use serde_json::json;
use testkit::{
    builders,
    forge::{Fault, GitHub, NewPull},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::{
    Load,
    builds::{self, Build},
    flow::sign,
    setup::{OWNER, PUSHER},
    standing::CALM,
    teams::{self, Team},
};
use crate::{
    bench::{
        table::Table,
        units::{percentile, time},
    },
    ui,
};

/// Pull requests whose builds are signed in a second.
const RATE: u32 = 2;
/// How long the forge leaves everybody waiting.
const HANGS: Duration = Duration::from_secs(30);
/// How long a report may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How exactly the time of a report is known.
const LOOK: Duration = Duration::from_millis(2);
const REPOSITORY: &str = "acme/app";
const SECRET: &str = "forge";

/// A team whose pull requests are reported to a forge.
struct Reporting<'a> {
    github: &'a GitHub,
    teams: [Team; 1],
    /// Of pull requests that were opened.
    opened: usize,
}

/// A pull request, its commit, and its build.
struct Opened {
    build: Build,
    commit: String,
}

pub(super) async fn measure(load: &Load<'_>, number: usize, table: &mut Table) -> anyhow::Result<()> {
    let step = ui::step("a forge that hangs for one team");
    let mut well = Reporting::create(load, &load.setup.quick, "bench-well").await?;
    let mut waiting = Reporting::create(load, &load.setup.hanging, "bench-waiting").await?;
    let (first, second) = (well.open(load, number).await?, well.open(load, number).await?);
    let stuck = waiting.open(load, number).await?;
    load.service.settle(CALM, |at| step.waiting(at)).await?;

    let alone = well.reported(load, &first).await?;
    load.setup.hanging.traffic().fail("*", usize::MAX, Fault::Delay(HANGS));
    load.setup.hanging.traffic().forget();
    let keys: Vec<_> = stuck.iter().map(|opened| opened.build.key.clone()).collect();
    sign(load, &keys, None).await?;
    let until = Instant::now() + PATIENCE;
    while load.setup.hanging.traffic().calls().is_empty() {
        ensure!(Instant::now() < until, "nothing is reported to the forge that hangs");
        sleep(LOOK).await;
    }
    let beside = well.reported(load, &second).await?;
    load.setup.hanging.traffic().heal();

    let shown = |times: &[Duration]| {
        format!("p50 {}, p99 {}, n = {number}", time(percentile(times, 50)), time(percentile(times, 99)))
    };
    table.row("pull request: build signed → the forge shows its Snapshot", "", shown(&alone));
    table.row(
        format!(
            "… while the forge of another team leaves {number} reports waiting for {} s",
            HANGS.as_secs()
        ),
        "the same",
        shown(&beside),
    );
    step.done();
    Ok(())
}

impl<'a> Reporting<'a> {
    async fn create(load: &Load<'_>, github: &'a GitHub, namespace: &str) -> anyhow::Result<Self> {
        let client = load.setup.plane.admin();
        let team = teams::team(&client, namespace.to_owned()).await?;
        github.edit(|model| model.repository(REPOSITORY).map(drop))?;
        let token = github.token(PUSHER, &["repo"]);
        let secret = builders::secret(namespace, SECRET, [("token", token.as_str())]);
        Api::namespaced(client.clone(), namespace).create(&PostParams::default(), &secret).await?;
        let url = github.url();
        let repository: Repository = serde_json::from_value(json!({
            "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository",
            "metadata": {"name": "app", "namespace": namespace},
            "spec": {
                "url": format!("{url}/{REPOSITORY}"),
                "git_provider": {"type": "github", "url": url, "secret": {"name": SECRET, "key": "token"}},
            },
        }))?;
        Api::namespaced(client, namespace).create(&PostParams::default(), &repository).await?;
        Ok(Self { github, teams: [team], opened: 0 })
    }

    /// Opens pull requests, whose builds have succeeded and are not signed.
    async fn open(&mut self, load: &Load<'_>, number: usize) -> anyhow::Result<Vec<Opened>> {
        let mut opened = Vec::new();
        for _ in 0..number {
            self.opened += 1;
            let branch = format!("change-{}", self.opened);
            let (commit, pull) = self.github.edit(|model| {
                let commit = model.commit(
                    REPOSITORY,
                    &branch,
                    "Change it",
                    &[("README.md", Some(branch.as_bytes()))],
                )?;
                let new = NewPull {
                    title: "Change it",
                    body: "",
                    author: PUSHER,
                    from: REPOSITORY,
                    head: &branch,
                    base: "main",
                    draft: false,
                };
                anyhow::Ok((commit, model.open_pull(REPOSITORY, new)?))
            })?;
            let labels = json!({
                "event-type": "pull_request", "git-provider": "github", "sha": commit,
                "url-org": OWNER, "url-repository": "app", "pull-request": pull.to_string(),
            });
            let annotations = json!({
                "repo-url": format!("{}/{REPOSITORY}", self.github.url()), "pull-request": pull.to_string(),
                "source-branch": branch, "branch": "main",
            });
            // Of another Component than the one before: both are reported.
            let build = Build::of_push("pull", self.opened, &self.teams).saying(labels, annotations);
            opened.push(Opened { build, commit });
        }
        let builds: Vec<_> = opened.iter().map(|opened| &opened.build).collect();
        builds::make(&load.setup.plane.admin(), &builds).await?;
        Ok(opened)
    }

    /// Signs the builds of pull requests one after another, and takes the time until the forge shows more of each than before.
    async fn reported(&self, load: &Load<'_>, opened: &[Opened]) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        let mut ticks = interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for Opened { build, commit } in opened {
            ticks.tick().await;
            let before = self.statuses(commit)?;
            let signed = builds::sign(load.setup.plane.admin(), build.key.clone()).await?;
            while self.statuses(commit)? == before {
                ensure!(signed.elapsed() < PATIENCE, "the forge shows nothing of {}", build.key.1);
                sleep(LOOK).await;
            }
            times.push(signed.elapsed());
        }
        Ok(times)
    }

    /// How many statuses a commit has got so far.
    fn statuses(&self, commit: &str) -> anyhow::Result<usize> {
        self.github.edit(|model| {
            let repository = model.find_repo(REPOSITORY).context("the repository is there")?;
            Ok(repository.statuses.iter().filter(|status| status.sha == commit).count())
        })
    }
}
