//! Killed at any moment, the service ends where it ends on a calm day: no run, Repository, webhook or pull request more or less.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use application_service_api::Component;
use build_service_api::BuildPipelineSelector;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::drill::{Drill, Tenant};
use testkit::forge::{Access, GitHub};
use testkit::pki::Authority;
use testkit::registry::PlayedRegistry;
use testkit::{builders, eventually, wait_for, wait_gone};

use crate::service::{
    DEVFILE, REQUEST, STATUS, WEBHOOK_TARGET, host, pipeline, pipeline_layer, pipeline_ref, status,
};

/// The pauses of the kit grow while requests fail, and a request of a user takes several of them.
const PATIENCE: Duration = Duration::from_mins(3);

/// A GitHub and a registry for all repetitions, each of which has a repository of its own.
pub(crate) struct Scene {
    github: GitHub,
    registry: PlayedRegistry,
    token: String,
    folder: TempDir,
}

impl Scene {
    pub(crate) fn set() -> anyhow::Result<Self> {
        let authority = Authority::new("everything in this test")?;
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("ca.crt"), authority.cert_pem())?;
        let github = GitHub::start(&authority)?;
        github.edit(|model| {
            model.organization("acme");
            model.member("acme", "jane", Access::Admin).map(drop)
        })?;
        let registry = PlayedRegistry::start(&authority)?;
        registry.push_bundle("pipelines/docker-build", "v1", &[pipeline_layer("docker-build", &pipeline())]);
        let token = github.token("jane", &["repo", "admin:repo_hook"]);
        Ok(Self { github, registry, token, folder })
    }

    pub(crate) fn drill(&self) -> Drill {
        let flags = [
            format!("--github-app-server={}", self.github.url()),
            format!("--pac-webhook-url={WEBHOOK_TARGET}"),
            format!("--outbound-allow={},{}", host(self.github.url()), self.registry.address()),
            format!("--ca-bundle={}/ca.crt", self.folder.path().display()),
        ];
        Drill::of("build-service", env!("CARGO_BIN_EXE_build-service"))
            .beside(["application-service", "pipelines-as-code", "pipelines-engine", "release-service"])
            .flags(flags.iter().map(String::as_str))
    }

    /// A Component is built, set up, built by Pipelines-as-Code, and deleted, which takes down what was set up.
    pub(crate) async fn flow(&self, tenant: &Tenant) -> anyhow::Result<()> {
        let repository = format!("acme/{}", &**tenant);
        self.github.edit(|model| model.repository(&repository).map(drop))?;
        self.prepare(tenant).await?;
        let components = tenant.api::<Component>();
        let image = json!({"image": "images.example/shop/api", "secret": "push"}).to_string();
        let component: Component = serde_json::from_value(json!({
            "metadata": {
                "name": "api", "annotations": {"git-provider": "github", "image.redhat.com/image": image},
            },
            "spec": {
                "componentName": "api", "application": "shop",
                "source": {"git": {"url": format!("{}/{repository}", self.github.url())}},
            },
        }))?;
        components.create(&PostParams::default(), &component).await?;
        let model = json!({"status": {"devfile": DEVFILE}});
        components.patch_status("api", &PatchParams::default(), &Patch::Merge(&model)).await?;
        handled(tenant, "the first build").await?;
        // What links its Secret works beside.
        wait_for(&components, "api", "its Secret to be linked", PATIENCE, |api| !api.finalizers().is_empty())
            .await?;
        let runs = tenant.api::<PipelineRun>().list(&ListParams::default()).await?.items.len();
        ensure!(runs == 1, "there are {runs} runs");

        ask(tenant, "configure-pac").await?;
        let first = [("appstudio-api".to_owned(), true)];
        ensure!(self.made(&repository)? == (1, first.to_vec()), "{:?}", self.made(&repository)?);
        let repositories = tenant.api::<Repository>().list(&ListParams::default()).await?.items.len();
        ensure!(repositories == 1, "there are {repositories} Repositories");

        ask(tenant, "trigger-pac-build").await?;
        let found = tenant.api::<Repository>().get("api").await?;
        let asked: Vec<Value> = serde_json::from_str(&found.annotations()["fleet.konflux-ci.dev/incoming"])?;
        ensure!(asked.len() == 1, "it was asked for {asked:?}");

        self.github.edit(|model| model.merge_pull(&repository, 1, "Merge it").map(drop))?;
        components.delete("api", &DeleteParams::default()).await?;
        wait_gone(&components, "api", PATIENCE).await?;
        let second = [("appstudio-api".to_owned(), false), ("appstudio-purge-api".to_owned(), true)];
        ensure!(self.made(&repository)? == (0, second.to_vec()), "{:?}", self.made(&repository)?);
        eventually(PATIENCE, "its runs to be gone", async || {
            let left = tenant.api::<PipelineRun>().list(&ListParams::default()).await?.items.len();
            ensure!(left == 0, "there are {left}");
            Ok(())
        })
        .await?;
        forget_chance(tenant).await
    }

    /// What the tenant has before.
    async fn prepare(&self, tenant: &Tenant) -> anyhow::Result<()> {
        let mut secret = builders::secret(tenant, "git", [("password", self.token.as_str())]);
        secret.type_ = Some("kubernetes.io/basic-auth".to_owned());
        secret.labels_mut().insert("appstudio.redhat.com/credentials".to_owned(), "scm".to_owned());
        let forge = host(self.github.url()).split(':').next().unwrap_or_default().to_owned();
        secret.labels_mut().insert("appstudio.redhat.com/scm.host".to_owned(), forge);
        tenant.api::<Secret>().create(&PostParams::default(), &secret).await?;
        let bundle = format!("{}/pipelines/docker-build:v1", self.registry.address());
        let selectors = json!([{"pipelineRef": pipeline_ref("docker-build", &bundle)}]);
        let selector: BuildPipelineSelector = serde_json::from_value(
            json!({"metadata": {"name": "build-pipeline-selector"}, "spec": {"selectors": selectors}}),
        )?;
        tenant.api().create(&PostParams::default(), &selector).await?;
        Ok(())
    }

    /// How many webhooks there are; source branch of each pull request, and whether it is open.
    fn made(&self, repository: &str) -> anyhow::Result<(usize, Vec<(String, bool)>)> {
        self.github.edit(|model| {
            let repository = model.repo(repository)?;
            let pulls = repository.pulls.iter().map(|pull| (pull.head_branch.clone(), pull.is_open()));
            Ok((repository.hooks.len(), pulls.collect()))
        })
    }
}

/// Asks for something, and waits until that has been dealt with.
async fn ask(tenant: &Tenant, request: &str) -> anyhow::Result<()> {
    let body = json!({"metadata": {"annotations": {REQUEST: request}}});
    tenant.api::<Component>().patch("api", &PatchParams::default(), &Patch::Merge(&body)).await?;
    handled(tenant, request).await
}

async fn handled(tenant: &Tenant, what: &str) -> anyhow::Result<()> {
    let is_handled = |component: &Component| {
        let annotations = component.annotations();
        annotations.contains_key(STATUS) && !annotations.contains_key(REQUEST)
    };
    let what = format!("the end of {what}");
    let component = wait_for(&tenant.api::<Component>(), "api", &what, PATIENCE, is_handled).await?;
    let status = status(&component);
    let is_wrong = status.pac.as_ref().is_some_and(|pac| pac.error.id.is_some())
        || status.simple.as_ref().is_some_and(|simple| simple.error.id.is_some());
    ensure!(!is_wrong && status.message.as_deref() == Some("done"), "{what}: {status:?}");
    Ok(())
}

/// Secrets and ids are other ones each time.
async fn forget_chance(tenant: &Tenant) -> anyhow::Result<()> {
    let name = "pipelines-as-code-webhooks-secret";
    let secrets = tenant.api::<Secret>();
    let data = secrets.get(name).await?.data.unwrap_or_default();
    ensure!(data.len() == 1 && data.values().all(|value| value.0.len() == 40), "{:?}", data.keys());
    let mut values: serde_json::Map<String, Value> =
        data.keys().map(|key| (key.clone(), Value::Null)).collect();
    values.insert("of-the-repository".to_owned(), json!("eA=="));
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(&json!({"data": values}))).await?;
    // It goes with its last owner, sooner or later: whoever collects garbage is not what is tried here.
    let repositories = tenant.api::<Repository>();
    match repositories.delete("api", &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        outcome => drop(outcome?),
    }
    wait_gone(&repositories, "api", PATIENCE).await?;
    // As does what belongs to the Repository, where the service could not take it away in time.
    if let Some(left) = secrets.get_opt("api-incoming").await? {
        ensure!(left.owner_references().iter().any(|owner| owner.kind == "Repository"), "{left:?}");
        match secrets.delete("api-incoming", &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            outcome => drop(outcome?),
        }
    }
    Ok(())
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    let scene = Scene::set()?;
    let drill = scene.drill();
    let crashes = drill.crash_after_each_write(async |tenant| Box::pin(scene.flow(tenant)).await);
    let crashes = Box::pin(crashes).await?;
    eprintln!("crash drill: {crashes}");
    Ok(())
}
