//! Builds that have succeeded, and are signed when it is time.
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    seen::Key,
    teams::{APPLICATION, CONCURRENCY, Team, commit, component, digest, image_repository, repository},
};
use crate::bench::engine::runs;

pub(super) const SIGNED: &str = "chains.tekton.dev/signed";

/// A build to be: of which team's Component, and what Pipelines-as-Code says of it.
pub(super) struct Build {
    pub(super) key: Key,
    number: usize,
    labels: Value,
    annotations: Value,
}

impl Build {
    /// Of a push, to a Component of one team after another.
    pub(super) fn of_push(name: &str, number: usize, teams: &[Team]) -> Self {
        let team = &teams[number % teams.len()];
        Self {
            key: (team.namespace.clone(), format!("{name}-{number}")),
            number,
            labels: json!({"event-type": "push", "git-provider": "github", "sha": commit(number)}),
            annotations: json!({"repo-url": repository(&component(number)), "branch": "main"}),
        }
    }

    /// With other words of Pipelines-as-Code.
    pub(super) fn saying(self, labels: Value, annotations: Value) -> Self {
        Self { labels, annotations, ..self }
    }

    /// Of 8 kB, and not ended.
    pub(super) fn run(&self) -> anyhow::Result<PipelineRun> {
        let (namespace, name) = &self.key;
        let mut run = runs::large(name, namespace)?;
        let labels = run.metadata.labels.get_or_insert_default();
        labels.extend([
            ("pipelines.appstudio.openshift.io/type".to_owned(), "build".to_owned()),
            ("appstudio.openshift.io/application".to_owned(), APPLICATION.to_owned()),
            ("appstudio.openshift.io/component".to_owned(), component(self.number)),
        ]);
        labels.extend(keyed(&self.labels));
        run.metadata.annotations.get_or_insert_default().extend(keyed(&self.annotations));
        Ok(run)
    }

    /// What it has made.
    pub(super) fn results(&self) -> Value {
        let component = component(self.number);
        json!([
            {"name": "IMAGE_URL", "value": format!("{}:latest", image_repository(&component))},
            {"name": "IMAGE_DIGEST", "value": digest(self.number)},
            {"name": "CHAINS-GIT_URL", "value": repository(&component)},
            {"name": "CHAINS-GIT_COMMIT", "value": commit(self.number)},
        ])
    }
}

/// With the prefix of Pipelines-as-Code.
fn keyed(words: &Value) -> impl Iterator<Item = (String, String)> {
    let words = words.as_object().into_iter().flatten();
    words.map(|(key, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (format!("pipelinesascode.tekton.dev/{key}"), value)
    })
}

/// Creates builds, and lets them succeed. None is signed.
pub(super) async fn make(client: &Client, builds: &[&Build]) -> anyhow::Result<()> {
    let mut creations = futures::stream::iter(builds)
        .map(|build| async move {
            let api = Api::<PipelineRun>::namespaced(client.clone(), &build.key.0);
            api.create(&PostParams::default(), &build.run()?).await?;
            let status = json!({"status": super::teams::succeeded(&build.results())});
            api.patch_status(&build.key.1, &PatchParams::default(), &Patch::Merge(&status)).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY);
    while creations.try_next().await?.is_some() {}
    Ok(())
}

/// Signs a build. The moment before that.
pub(super) async fn sign(client: Client, (namespace, name): Key) -> anyhow::Result<Instant> {
    let patch = json!({"metadata": {"annotations": {SIGNED: "true"}}});
    let api = Api::<PipelineRun>::namespaced(client, &namespace);
    let at = Instant::now();
    api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    Ok(at)
}
