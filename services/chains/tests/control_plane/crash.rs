//! Killed at any moment, the service ends where it ends on a calm day: no second layer, no run that is stuck or falsely marked.

use std::fs;

use anyhow::ensure;
use attest::PrivateKey;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::{PipelineRun, TaskRun};
use serde_json::Value;
use tempfile::TempDir;
use testkit::drill::{Drill, Tenant};
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;
use testkit::{DEADLINE, eventually};

use crate::runs::{child, end, image, pipeline_run, pipeline_status, task_run, task_status};
use crate::service::{Service, new_key, signed, wait_for, wait_gone};

/// A registry for all repetitions, each of which has a repository of its own in it.
pub(crate) struct Scene {
    registry: PlayedRegistry,
    folder: TempDir,
    _key: PrivateKey,
}

impl Scene {
    pub(crate) fn set() -> anyhow::Result<Self> {
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        fs::create_dir(folder.path().join("keys"))?;
        let key = new_key(folder.path())?;
        Ok(Self { registry: PlayedRegistry::start(&authority)?, folder, _key: key })
    }

    pub(crate) fn drill(&self) -> Drill {
        let folder = self.folder.path().display();
        let flags = [
            format!("--outbound-allow={}", self.registry.address()),
            format!("--ca-bundle={folder}/ca.crt"),
            format!("--signing-secrets={folder}/keys"),
            // Nobody would call it, and what it spares would not be drilled.
            "--enable-webhooks=false".to_owned(),
        ];
        Drill::of("chains", env!("CARGO_BIN_EXE_chains"))
            .beside(["pipelines-engine"])
            .flags(flags.iter().map(String::as_str))
    }

    /// Layers under a tag of an image.
    fn layers(&self, repository: &str, digest: &str, suffix: &str) -> usize {
        let tag = format!("{}.{suffix}", digest.replace(':', "-"));
        let manifest = self.registry.manifest(repository, &tag).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        manifest["layers"].as_array().map_or(0, Vec::len)
    }

    /// Runs end, are signed, and go.
    pub(crate) async fn flow(&self, tenant: &Tenant) -> anyhow::Result<()> {
        // On the heap: unoptimised they are larger than a test's stack together.
        Box::pin(self.pair(tenant)).await?;
        Box::pin(alone(&tenant.api())).await
    }

    /// A PipelineRun with one task.
    async fn pair(&self, tenant: &Tenant) -> anyhow::Result<()> {
        let (pipeline_runs, task_runs) = (tenant.api::<PipelineRun>(), tenant.api::<TaskRun>());
        let path = format!("{}/app", &**tenant);
        let digest = self.registry.push_image(&path, "v1", &[("linux/amd64", &["app"], &[])]);
        let repository = format!("{}/{path}", self.registry.address());
        let parent = pipeline_run(&pipeline_runs, "run").await?;
        wait_for(&pipeline_runs, "run", "its finalizer", |run: &PipelineRun| !run.finalizers().is_empty())
            .await?;
        child(&task_runs, &parent, "build").await?;
        wait_for(&task_runs, "run-build", "its finalizer", |run: &TaskRun| !run.finalizers().is_empty())
            .await?;
        let results = image(&repository, &digest);
        end(&task_runs, "run-build", &task_status(&results)).await?;
        wait_for(&task_runs, "run-build", "the mark", |run: &TaskRun| signed(run) == Some("true")).await?;
        end(&pipeline_runs, "run", &pipeline_status(&parent, &["build"], &results)).await?;
        wait_for(&pipeline_runs, "run", "the mark", |run: &PipelineRun| signed(run) == Some("true")).await?;
        let layers = (self.layers(&path, &digest, "sig"), self.layers(&path, &digest, "att"));
        ensure!(layers == (1, 2), "signatures and attestations: {layers:?}");
        pipeline_runs.delete("run", &DeleteParams::default()).await?;
        task_runs.delete("run-build", &DeleteParams::default()).await?;
        wait_gone(&pipeline_runs, "run").await?;
        wait_gone(&task_runs, "run-build").await
    }
}

/// A TaskRun by itself, and one that is deleted while it runs.
async fn alone(task_runs: &Api<TaskRun>) -> anyhow::Result<()> {
    for name in ["alone", "unwanted"] {
        task_run(task_runs, name).await?;
        wait_for(task_runs, name, "its finalizer", |run: &TaskRun| !run.finalizers().is_empty()).await?;
    }
    task_runs.delete("unwanted", &DeleteParams::default()).await?;
    wait_gone(task_runs, "unwanted").await?;
    end(task_runs, "alone", &task_status(&[])).await?;
    wait_for(task_runs, "alone", "the mark", |run: &TaskRun| signed(run) == Some("true")).await?;
    task_runs.delete("alone", &DeleteParams::default()).await?;
    wait_gone(task_runs, "alone").await
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

/// What the registry is asked while one is signed.
async fn sign(service: &mut Service, name: &str, killed_after: Option<usize>) -> anyhow::Result<usize> {
    let (repository, digest) = service.push_image(name);
    let before = service.registry.calls().len();
    let task_runs = service.task_runs();
    task_run(&task_runs, name).await?;
    service.registry.stall_after(killed_after);
    end(&task_runs, name, &task_status(&image(&repository, &digest))).await?;
    if let Some(calls) = killed_after {
        eventually(DEADLINE, "the call to come", async || {
            ensure!(service.registry.calls().len() - before > calls);
            Ok(())
        })
        .await?;
        service.kill();
        service.registry.stall_after(None);
        service.run().await?;
    }
    service.task_run_marked(name, "true").await?;
    let asked = service.registry.calls().len() - before;
    let consumer = service.consumer()?;
    for kind in [registry::Attached::Signature, registry::Attached::Attestation] {
        let layers = consumer.count(&repository, &digest, kind).await?;
        ensure!(layers == 1, "{name}: {layers} layers of {kind:?}");
    }
    Ok(asked)
}

#[tokio::test]
async fn killed_at_any_call_of_the_registry_it_appends_nothing_twice() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let calls = sign(&mut service, "calm", None).await?;
    ensure!((8..=24).contains(&calls), "{calls} calls");
    for killed_after in 0..calls {
        sign(&mut service, &format!("killed-after-{killed_after}"), Some(killed_after)).await?;
    }
    Ok(())
}
