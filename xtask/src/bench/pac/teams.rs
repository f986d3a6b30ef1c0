//! Teams with Repositories: few of them are pushed to, and many stand beside.
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{Api, api::PostParams};
use pipelines_as_code_api::{Repository, annotations::read};
use serde_json::json;
use testkit::builders;

use super::setup::{OWNER, PUSHER, Setup};
use crate::{bench::engine::runs, ui};

/// Each has a namespace, and the first of its Repositories is pushed to.
pub(super) const TEAMS: usize = 10;
/// Enough to keep an API server on two cores busy.
const CONCURRENCY: usize = 32;
/// The run that a push starts.
const RUN: &str = "on-push";

/// Creates so many Repositories.
pub(super) async fn create(setup: &Setup<'_>, repositories: usize) -> anyhow::Result<()> {
    let step = ui::step(format!("{repositories} Repositories exist"));
    let client = setup.plane.admin();
    for team in 0..TEAMS {
        let namespace = builders::namespace(&namespace(team));
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        begin(setup, &full_name(team))?;
    }
    let url = setup.github.url();
    let mut creations = futures::stream::iter(0..repositories.max(TEAMS))
        .map(|number| {
            let client = client.clone();
            async move {
                let namespace = namespace(number % TEAMS);
                let repository: Repository = serde_json::from_value(json!({
                    "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository",
                    "metadata": {"name": name(number), "namespace": namespace},
                    "spec": {"url": format!("{url}/{}", full_name(number))},
                }))?;
                Api::namespaced(client, &namespace).create(&PostParams::default(), &repository).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(CONCURRENCY);
    while creations.try_next().await?.is_some() {}
    step.done();
    Ok(())
}

pub(super) fn namespace(team: usize) -> String {
    format!("bench-{team}")
}

/// Of a Repository. Those below [`TEAMS`] exist at the forge as well.
pub(super) fn name(number: usize) -> String {
    format!("app-{number}")
}

pub(super) fn full_name(number: usize) -> String {
    format!("{OWNER}/{}", name(number))
}

/// A repository at the forge whose pushes start a run of 8 kB.
fn begin(setup: &Setup<'_>, full_name: &str) -> anyhow::Result<()> {
    let mut run = runs::large(RUN, "")?;
    run.metadata.namespace = None;
    run.metadata.annotations = Some(
        [(read::ON_EVENT, "[push]"), (read::ON_TARGET_BRANCH, "[main]")]
            .map(|(key, value)| (key.as_str().to_owned(), value.to_owned()))
            .into(),
    );
    let run = serde_json::to_string(&run)?;
    setup.github.edit(|model| {
        model.repository(full_name)?;
        let path = format!(".tekton/{RUN}.yaml");
        model.commit(full_name, "main", &format!("{PUSHER} adds a run"), &[(&path, Some(run.as_bytes()))])?;
        Ok(())
    })
}
