//! What integration-service makes in a team's namespace, as it comes.
use std::time::Duration;

use anyhow::{Context as _, ensure};
use application_service_api::{Component, Snapshot};
use fleet_api::Truth;
use integration_service_api::{annotations, labels, status::ScenarioStatus};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use release_service_api::Release;
use testkit::{eventually, wait_for};

use crate::{LONG, component::team::Team};

/// For all tests of a Snapshot, on a machine that is busy with others.
const TESTS: Duration = Duration::from_mins(5);

/// The objects of a team.
pub(crate) struct Watched {
    components: Api<Component>,
    snapshots: Api<Snapshot>,
    releases: Api<Release>,
}

impl Watched {
    pub(crate) fn of(team: &Team<'_>) -> Self {
        let (client, namespace): (Client, &str) = (team.kube(), team.namespace());
        Self {
            components: Api::namespaced(client.clone(), namespace),
            snapshots: Api::namespaced(client.clone(), namespace),
            releases: Api::namespaced(client, namespace),
        }
    }

    /// Waits for the one Snapshot of a build.
    pub(crate) async fn snapshot_of(&self, run: &str) -> anyhow::Result<Snapshot> {
        let of_run = ListParams::default().labels(&format!("{}={run}", labels::BUILD_PIPELINE_RUN.as_str()));
        eventually(LONG, &format!("the Snapshot of {run}"), async || {
            let mut found = self.snapshots.list(&of_run).await?.items;
            ensure!(found.len() < 2, "there are {} Snapshots", found.len());
            found.pop().context("there is none")
        })
        .await
    }

    /// Waits until each scenario that is run for a Snapshot has ended, and says which these are.
    pub(crate) async fn all_ended(&self, name: &str, scenarios: &[&str]) -> anyhow::Result<Snapshot> {
        let has_ended = |snapshot: &Snapshot| {
            record(snapshot).is_ok_and(|record| {
                record.len() >= scenarios.len() && record.iter().all(|entry| entry.completion_time.is_some())
            })
        };
        let snapshot = wait_for(&self.snapshots, name, "the end of its tests", TESTS, has_ended).await?;
        let record = record(&snapshot)?;
        let found: Vec<_> = record.iter().map(|entry| entry.scenario.as_str()).collect();
        ensure!(found == scenarios, "{name} was tested by {found:?}");
        Ok(snapshot)
    }

    /// Waits for the verdict on a Snapshot: whether all required tests have passed.
    pub(crate) async fn passed(&self, name: &str) -> anyhow::Result<bool> {
        let verdict = |snapshot: &Snapshot| {
            let status = condition(snapshot, "AppStudioTestSucceeded")?;
            (status != Truth::Unknown.as_str()).then(|| status == Truth::True.as_str())
        };
        let what = "its verdict";
        let judged =
            wait_for(&self.snapshots, name, what, LONG, |snapshot| verdict(snapshot).is_some()).await?;
        Ok(verdict(&judged) == Some(true))
    }

    /// Waits until an image, and the commit that it was built from, are those that later Snapshots hold.
    pub(crate) async fn promoted(&self, component: &str, image: &str, commit: &str) -> anyhow::Result<()> {
        let is_promoted = |component: &Component| {
            component.status.as_ref().is_some_and(|status| {
                status.last_promoted_image.as_deref() == Some(image)
                    && status.last_built_commit.as_deref() == Some(commit)
            }) && component.spec.container_image.as_deref() == Some(image)
        };
        let what = format!("promotion of {image}");
        wait_for(&self.components, component, &what, LONG, is_promoted).await?;
        Ok(())
    }

    /// Waits for the one Release of a Snapshot, and until it says that a program has made it.
    pub(crate) async fn released(&self, snapshot: &str) -> anyhow::Result<Release> {
        eventually(LONG, &format!("a Release of {snapshot}"), async || {
            let mut found = self.releases_of(snapshot).await?;
            ensure!(found.len() < 2, "there are {} Releases", found.len());
            let release = found.pop().context("there is none")?;
            let label = release.labels().get(release_service_api::labels::AUTOMATED.as_str());
            ensure!(label.is_some_and(|label| label == "true"), "its labels: {:?}", release.labels());
            let status = release.status.as_ref().and_then(|status| status.automated);
            ensure!(status == Some(true), "status.automated is {status:?}");
            Ok(release)
        })
        .await
    }

    async fn releases_of(&self, snapshot: &str) -> anyhow::Result<Vec<Release>> {
        let of_snapshot = ListParams::default().fields(&format!("spec.snapshot={snapshot}"));
        Ok(self.releases.list(&of_snapshot).await?.items)
    }

    /// A Snapshot has moved nothing: no Component has its images but for one that was `promoted` since, by name and image, and no
    /// Release is of it.
    pub(crate) async fn is_not_passed_on(
        &self,
        name: &str,
        promoted: Option<(&str, &str)>,
    ) -> anyhow::Result<()> {
        let snapshot = self.snapshots.get(name).await?;
        for type_ in ["AddedToGlobalCandidateList", "AutoReleased", "DeployedToRootEnvironments"] {
            let found = condition(&snapshot, type_);
            ensure!(found != Some(Truth::True.as_str()), "{name} says {type_}={found:?}");
        }
        let releases = self.releases_of(name).await?;
        ensure!(
            releases.is_empty(),
            "it is released by {:?}",
            releases.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>()
        );
        for component in self.components.list(&ListParams::default()).await? {
            let of_component = component.name_any();
            let expected = promoted.filter(|(name, _)| *name == of_component).map(|(_, image)| image);
            let found = component.status.as_ref().and_then(|status| status.last_promoted_image.as_deref());
            ensure!(found == expected, "{of_component} has {found:?}, expected is {expected:?}");
        }
        Ok(())
    }
}

/// How far each scenario has come.
pub(crate) fn record(snapshot: &Snapshot) -> anyhow::Result<Vec<ScenarioStatus>> {
    let text =
        snapshot.annotations().get(annotations::STATUS.as_str()).context("it says nothing of its tests")?;
    Ok(serde_json::from_str(text)?)
}

/// The status of a condition.
fn condition<'a>(snapshot: &'a Snapshot, type_: &str) -> Option<&'a str> {
    let conditions = &snapshot.status.as_ref()?.conditions;
    conditions.iter().find(|condition| condition.type_ == type_).map(|condition| condition.status.as_str())
}
