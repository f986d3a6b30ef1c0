//! Killed at any moment, the service ends where it ends on a calm day: no run, no Secret and no status more or less.

use std::fs;

use anyhow::ensure;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use tempfile::TempDir;
use testkit::drill::{Drill, Tenant};
use testkit::engine::{RunScript, Runs};
use testkit::forge::{Access, GitHub};
use testkit::pki::Authority;
use testkit::{DEADLINE, PlayedEngine, builders, eventually};

use crate::service::{ON_PUSH, REPOSITORY, definition, label};

/// A GitHub for all repetitions: the same commit, whenever it is run.
pub(crate) struct Scene {
    github: GitHub,
    token: String,
    folder: TempDir,
}

impl Scene {
    pub(crate) fn set() -> anyhow::Result<Self> {
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let github = GitHub::start(&authority)?;
        let annotations = [ON_PUSH[0], ON_PUSH[1], ("max-keep-runs", "1")];
        let (first, second) = (definition("first", &annotations), definition("second", &annotations));
        github.edit(|model| -> anyhow::Result<()> {
            model.organization("acme");
            model.member("acme", "jane", Access::Admin)?;
            model.repository(REPOSITORY)?;
            let files: [(&str, Option<&[u8]>); 2] =
                [(".tekton/1.yaml", Some(first.as_bytes())), (".tekton/2.yaml", Some(second.as_bytes()))];
            model.commit(REPOSITORY, "main", "Begin", &files)?;
            Ok(())
        })?;
        let token = github.token("jane", &["repo"]);
        Ok(Self { github, token, folder })
    }

    pub(crate) fn drill(&self) -> Drill {
        let host = self.github.url().trim_start_matches("https://");
        let flags = [
            "--port=0".to_owned(),
            "--spool-dir={folder}/spool".to_owned(),
            "--enable-webhooks=false".to_owned(),
            format!("--outbound-allow={host}"),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
        ];
        Drill::of("pipelines-as-code", env!("CARGO_BIN_EXE_pipelines-as-code"))
            .beside(["pipelines-engine"])
            .flags(flags.iter().map(String::as_str))
    }

    /// Two runs are asked for, of which one waits for the other; both end, and one more takes the place of the first in what is kept.
    pub(crate) async fn flow(&self, tenant: &Tenant) -> anyhow::Result<()> {
        let engine = PlayedEngine::start(tenant.admin(), tenant).await?;
        let secret = builders::secret(tenant, "github", [("provider.token", self.token.as_str())]);
        tenant.api::<Secret>().create(&PostParams::default(), &secret).await?;
        let github = self.github.url();
        let repository = serde_json::from_value(json!({
            "metadata": {"name": "app"},
            "spec": {
                "url": format!("{github}/{REPOSITORY}"),
                "concurrency_limit": 1,
                "git_provider": {"type": "github", "url": github, "secret": {"name": "github"}},
            },
        }))?;
        tenant.api::<Repository>().create(&PostParams::default(), &repository).await?;
        // One after another, so that each repetition takes the same way.
        engine.play(Runs::any(), RunScript::never_ends());
        ask(tenant, "a", "first").await?;
        is_there(tenant, "first", "started").await?;
        ask(tenant, "b", "second").await?;
        is_there(tenant, "second", "queued").await?;
        let original = "pipelinesascode.tekton.dev/original-prname";
        engine.play(Runs::labelled(original, "first"), RunScript::new());
        ended(tenant, 1, 2).await?;
        engine.play(Runs::any(), RunScript::new());
        ended(tenant, 2, 2).await?;
        ask(tenant, "c", "first").await?;
        ended(tenant, 3, 2).await?;
        engine.stop().await;
        Ok(())
    }
}

/// Asks for a run as build-service does, by its name in `.tekton/`.
async fn ask(tenant: &Tenant, id: &str, run: &str) -> anyhow::Result<()> {
    let text = json!([{"id": id, "branch": "main", "pipelineRun": run}]).to_string();
    let body = json!({"metadata": {"annotations": {"fleet.konflux-ci.dev/incoming": text}}});
    tenant.api::<Repository>().patch("app", &PatchParams::default(), &Patch::Merge(&body)).await?;
    Ok(())
}

/// Name in `.tekton/` and state of each run.
async fn states(tenant: &Tenant) -> anyhow::Result<Vec<(String, String)>> {
    let runs = tenant.api::<PipelineRun>().list(&ListParams::default()).await?.items;
    let shown =
        |run: &PipelineRun| (label(run, "original-prname").to_owned(), label(run, "state").to_owned());
    Ok(runs.iter().map(shown).collect())
}

/// What is asked for by annotation, and nobody has answered to yet.
fn asked(repository: &Repository) -> &str {
    let annotations = repository.metadata.annotations.as_ref();
    annotations.and_then(|all| all.get("fleet.konflux-ci.dev/incoming")).map_or("[]", String::as_str)
}

async fn is_there(tenant: &Tenant, original: &str, state: &str) -> anyhow::Result<()> {
    eventually(DEADLINE, &format!("{original} to be {state}"), async || {
        let states = states(tenant).await?;
        ensure!(states.contains(&(original.to_owned(), state.to_owned())), "{states:?}");
        let repository = tenant.api::<Repository>().get("app").await?;
        ensure!(asked(&repository) == "[]", "it is still asked for {}", asked(&repository));
        Ok(())
    })
    .await
}

/// Waits until so many runs are over and `left` are there: of each name the last that has ended is kept.
async fn ended(tenant: &Tenant, count: usize, left: usize) -> anyhow::Result<()> {
    eventually(DEADLINE, &format!("{count} runs to end"), async || {
        let repository = tenant.api::<Repository>().get("app").await?;
        let history = repository.spec.pipelinerun_status.len();
        ensure!(history == count, "the history has {history} runs");
        ensure!(asked(&repository) == "[]", "it is still asked for {}", asked(&repository));
        let states = states(tenant).await?;
        let completed = states.iter().filter(|(_, state)| state == "completed").count();
        ensure!(states.len() == left && completed == count.min(left), "{states:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let scene = Scene::set()?;
    eprintln!(
        "crash drill: {}",
        scene.drill().crash_after_each_write(async |tenant| scene.flow(tenant).await).await?
    );
    Ok(())
}
