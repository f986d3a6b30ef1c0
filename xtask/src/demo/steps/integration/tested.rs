//! A build, and the Snapshot that was made of it, followed until its tests have ended.
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use integration_service_api::{annotations, labels, status::ScenarioStatus};
use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, ListParams},
};

use super::{LIMIT, NAMESPACE, TEST_LIMIT, component};
use crate::{demo::follow, deploy::Object, ui};

/// A Snapshot whose required tests have passed.
pub(super) struct Tested {
    pub(super) name: String,
    snapshot: DynamicObject,
}

/// From the run that an event starts at a commit to the end of all tests of its Snapshot. Every change of a condition is printed.
pub(super) async fn follow(
    client: &Client,
    event: &str,
    commit: &str,
    asked: Instant,
) -> anyhow::Result<Tested> {
    let run = component::run_of(client, commit, event).await?;
    ui::note(&format!("run {}", run.name_any()));
    let object = Object::parse(serde_json::to_value(&run)?)?;
    follow::until_within(client, &[&object], "Succeeded", asked, component::BUILD_LIMIT).await?;

    let built = Instant::now();
    let snapshot = snapshot_of(client, &run.name_any()).await?;
    let object = Object::parse(serde_json::to_value(&snapshot)?)?;
    let (live, _) =
        follow::until_within(client, &[&object], "AppStudioTestSucceeded", built, TEST_LIMIT).await?;
    let snapshot = live.into_iter().next().context("the Snapshot was followed")?;
    let tested = Tested { name: snapshot.name_any(), snapshot };
    for ScenarioStatus { scenario, status, .. } in tested.record()? {
        ui::note(&format!("  {scenario}: {}", serde_json::to_value(status)?.as_str().unwrap_or_default()));
    }
    Ok(tested)
}

/// Waits for the Snapshot of a build, which waits for the build's signature.
async fn snapshot_of(client: &Client, run: &str) -> anyhow::Result<DynamicObject> {
    let step = ui::step("signed, it becomes a Snapshot");
    let snapshots = component::api(client, "Snapshot");
    let meant = format!("{}={run}", labels::BUILD_PIPELINE_RUN.as_str());
    let until = Instant::now() + LIMIT;
    loop {
        let found = snapshots.list(&ListParams::default().labels(&meant)).await.context("list Snapshots")?;
        if let Some(mut snapshot) = found.items.into_iter().next() {
            // A list does not say of its items what they are.
            let kind = component::resource("Snapshot");
            snapshot.types = Some(kube::core::TypeMeta { api_version: kind.api_version, kind: kind.kind });
            step.done_with(&snapshot.name_any());
            return Ok(snapshot);
        }
        if Instant::now() > until {
            let run = component::api(client, "PipelineRun").get(run).await?;
            let status = run.annotations().get(annotations::CREATE_SNAPSHOT_STATUS.as_str());
            anyhow::bail!(
                "no Snapshot of PipelineRun {NAMESPACE}/{} ({status:?}): look at its Events and at the logs of chains and \
                 integration-service",
                run.name_any()
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

impl Tested {
    fn record(&self) -> anyhow::Result<Vec<ScenarioStatus>> {
        let text = self.snapshot.annotations().get(annotations::STATUS.as_str());
        let text =
            text.with_context(|| format!("Snapshot {NAMESPACE}/{} says nothing of its tests", self.name))?;
        serde_json::from_str(text)
            .with_context(|| format!("read what Snapshot {NAMESPACE}/{} says", self.name))
    }

    /// Of all that were run.
    pub(super) fn scenarios(&self) -> anyhow::Result<Vec<String>> {
        let scenarios: Vec<_> = self.record()?.into_iter().map(|entry| entry.scenario).collect();
        ensure!(!scenarios.is_empty(), "Snapshot {NAMESPACE}/{} was not tested by anything", self.name);
        Ok(scenarios)
    }

    /// For the summary.
    pub(super) fn told(&self) -> anyhow::Result<String> {
        Ok(format!("{} passed", self.scenarios()?.join(", ")))
    }

    /// The one image that it holds.
    pub(super) fn image(&self) -> anyhow::Result<&str> {
        let image = self.snapshot.data["spec"]["components"][0]["containerImage"].as_str();
        image.with_context(|| format!("Snapshot {NAMESPACE}/{} holds no image", self.name))
    }
}
