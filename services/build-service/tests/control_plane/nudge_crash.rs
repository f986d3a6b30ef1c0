//! Killed at any moment while an image is proposed, the service ends where it ends on a calm day: no run, no token and no
//! failure more or less.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use application_service_api::Component;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::PostParams;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use tempfile::TempDir;
use testkit::drill::{Drill, Tenant};
use testkit::engine::{RunScript, Runs};
use testkit::faults;
use testkit::forge::{Access, GitHub};
use testkit::pki::Authority;
use testkit::{PlayedEngine, builders, eventually, wait_for};

use crate::nudge::{build, builds, is_processed, nudges};
use crate::service::host;

/// While requests fail, pauses between tries grow.
const PATIENCE: Duration = Duration::from_mins(3);

/// A GitHub for all repetitions.
struct Scene {
    github: GitHub,
    token: String,
    folder: TempDir,
}

impl Scene {
    fn set() -> anyhow::Result<Self> {
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let github = GitHub::start(&authority)?;
        github.edit(|model| -> anyhow::Result<()> {
            model.organization("acme");
            model.member("acme", "jane", Access::Admin)?;
            for name in ["acme/app", "acme/cli"] {
                model.repository(name)?;
            }
            Ok(())
        })?;
        let token = github.token("jane", &["repo"]);
        Ok(Self { github, token, folder })
    }

    fn drill(&self) -> Drill {
        let host = self.github.url().trim_start_matches("https://");
        let flags = [
            format!("--outbound-allow={host}"),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
            format!("--github-app-server={}", self.github.url()),
            // So long credentials may be out of reach, as they are while the API server fails.
            "--nudge-retry-after=5s".to_owned(),
        ];
        Drill::of("build-service", env!("CARGO_BIN_EXE_build-service"))
            .beside(["application-service", "pipelines-as-code", "pipelines-engine", "release-service"])
            .flags(flags.iter().map(String::as_str))
    }

    /// `lib` is built twice; the newer image is proposed to two Components, and the older build that still runs is let go.
    async fn flow(&self, tenant: &Tenant) -> anyhow::Result<()> {
        let engine = PlayedEngine::start(tenant.admin(), tenant).await?;
        let mut secret = builders::secret(tenant, "github", [("password", self.token.as_str())]);
        secret.type_ = Some("kubernetes.io/basic-auth".to_owned());
        let host = host(self.github.url());
        let host = host.split(':').next().unwrap_or_default();
        let labels = [("appstudio.redhat.com/credentials", "scm"), ("appstudio.redhat.com/scm.host", host)];
        secret.labels_mut().extend(labels.map(|(key, value)| (key.to_owned(), value.to_owned())));
        tenant.api::<Secret>().create(&PostParams::default(), &secret).await?;
        for (name, nudges) in [("lib", vec!["app", "cli"]), ("app", vec![]), ("cli", vec![])] {
            let component: Component = serde_json::from_value(json!({
                "apiVersion": "appstudio.redhat.com/v1alpha1",
                "kind": "Component",
                "metadata": {"name": name, "annotations": {"git-provider": "github"}},
                "spec": {
                    "componentName": name, "application": "shop", "build-nudges-ref": nudges,
                    "source": {"git": {"url": format!("{}/acme/{name}", self.github.url())}},
                },
            }))?;
            tenant.api::<Component>().create(&PostParams::default(), &component).await?;
        }
        let runs = tenant.api::<PipelineRun>();
        engine.play(Runs::named("lib-1"), RunScript::never_ends());
        build(&runs, "lib-1").await?;
        let is_held = |run: &PipelineRun| run.finalizers().len() == 2;
        wait_for(&runs, "lib-1", "to be held", PATIENCE, is_held).await?;
        engine.play(Runs::named("lib-2"), builds());
        build(&runs, "lib-2").await?;
        wait_for(&runs, "lib-2", "to be processed", PATIENCE, is_processed).await?;
        wait_for(&runs, "lib-1", "to be processed", PATIENCE, is_processed).await?;
        eventually(PATIENCE, "the runs of the updater to be over", async || {
            let nudges = nudges(&runs).await?;
            ensure!(nudges.len() == 2, "there are {}", nudges.len());
            ensure!(nudges.iter().all(is_processed), "some have their tokens");
            Ok(())
        })
        .await?;
        engine.stop().await;
        Ok(())
    }
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let scene = Scene::set()?;
    let crashes =
        scene.drill().crash_after_each_write(async |tenant| Box::pin(scene.flow(tenant)).await).await?;
    eprintln!("crash drill of nudging: {crashes}");
    Ok(())
}

#[tokio::test]
async fn it_survives_every_fault_of_its_api_server() -> anyhow::Result<()> {
    let scene = Scene::set()?;
    let survived = scene
        .drill()
        .survives_faults(async |tenant| Box::pin(scene.flow(tenant)).await, faults::every())
        .await?;
    eprintln!("{survived}");
    Ok(())
}
