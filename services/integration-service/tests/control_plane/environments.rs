//! Where Snapshots are deployed (section 4.8), beside a gitops-service that is played.

use std::ops::Deref;

use application_service_api::snapshot_environment_binding::BindingComponent;
use application_service_api::{Environment, Snapshot, SnapshotEnvironmentBinding};
use gitops_service_api::{DeploymentTarget, DeploymentTargetClaim};
use integration_service_api::IntegrationTestScenario;
use integration_service_api::annotations::ENVIRONMENT;
use jiff::SignedDuration;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::engine::{RunScript, Runs, TaskScript};
use testkit::gitops::{Claiming, Deployment, Objects, PlayedGitops};

use crate::service::{SHOP, Service, component_with_image, label, scenario, snapshot, statuses};

const SCENARIO: &str = "test.appstudio.openshift.io/scenario";

/// The service and a gitops-service that is played.
struct Deployed {
    service: Service,
    gitops: PlayedGitops,
}

impl Deref for Deployed {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl Deployed {
    async fn start() -> anyhow::Result<Self> {
        let service = Service::start().await?;
        let gitops = PlayedGitops::start(service.admin(), &service.tenant).await?;
        Ok(Self { service, gitops })
    }

    /// Environment `dev`, and scenario `lint`, which needs a copy of it.
    async fn needs_environment(&self) -> anyhow::Result<()> {
        let variables = json!([{"name": "LEVEL", "value": "info"}, {"name": "REGION", "value": "eu"}]);
        self.create(&environment("dev", &json!({"configuration": {"env": variables}}))).await?;
        self.create(&lint()).await?;
        Ok(())
    }

    /// A Snapshot by hand, once its only scenario has this status.
    async fn ends(&self, name: &str, status: &str) -> anyhow::Result<String> {
        self.create(&snapshot(name, &[("a", 1)])).await?;
        let snapshot = self.has_entry(name, "lint", status).await?;
        Ok(statuses(&snapshot).remove(0).details)
    }

    /// Nothing is left of what was made for tests.
    async fn is_clean(&self) -> anyhow::Result<()> {
        self.has::<DeploymentTargetClaim>(0).await?;
        self.has::<DeploymentTarget>(0).await?;
        self.has::<Environment>(1).await?;
        Ok(())
    }
}

/// A scenario that needs a copy of `dev`.
fn lint() -> IntegrationTestScenario {
    let needs = json!({
        "name": "dev", "type": "POC",
        "configuration": {"env": [{"name": "LEVEL", "value": "debug"}, {"name": "TRACE", "value": "1"}]},
    });
    scenario("lint").annotation(ENVIRONMENT.as_str(), needs.to_string())
}

fn environment(name: &str, fields: &Value) -> Environment {
    let mut spec = json!({"displayName": name, "deploymentStrategy": "AppStudioAutomated"});
    for (field, value) in fields.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    object("Environment", name, &spec)
}

fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> K {
    let object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    serde_json::from_value(object).expect("test objects have the type that they are made for")
}

fn names(components: &[BindingComponent]) -> Vec<&str> {
    components.iter().map(|component| component.name.as_str()).collect()
}

/// Root, child and ephemeral Environments: only the root gets a binding, naming all components; the next promotion patches it.
#[tokio::test]
async fn scenario_15_only_root_environments_are_bound() -> anyhow::Result<()> {
    let service = Deployed::start().await?;
    for name in ["a", "b"] {
        service.create(&component_with_image(name, 1)).await?;
    }
    service.create(&environment("stage", &json!({}))).await?;
    service.create(&environment("prod", &json!({"parentEnvironment": "stage"}))).await?;
    service.create(&environment("copy", &json!({"tags": ["ephemeral"]}))).await?;

    service.create(&snapshot("first", &[("a", 1), ("b", 1)])).await?;
    service.has_reason("first", "DeployedToRootEnvironments", "Deployed").await?;
    let bindings = service.all::<SnapshotEnvironmentBinding>().await?;
    let [binding] = bindings.as_slice() else { panic!("{bindings:#?}") };
    assert_eq!(binding.name_any(), "shop-stage-generated-binding");
    let spec = &binding.spec;
    assert_eq!((spec.application.as_str(), spec.environment.as_str()), (SHOP, "stage"));
    assert_eq!((spec.snapshot.as_str(), names(&spec.components)), ("first", vec!["a", "b"]));
    assert_eq!(binding.owner_references()[0].kind, "Application");

    let scaled = json!({"spec": {"components": [
        {"name": "a", "configuration": {"replicas": 3}}, {"name": "b"},
    ]}});
    service.patch::<SnapshotEnvironmentBinding>(&binding.name_any(), &scaled).await?;
    service.create(&snapshot("second", &[("a", 2)])).await?;
    service.has_reason("second", "DeployedToRootEnvironments", "Deployed").await?;
    let [binding] = <[_; 1]>::try_from(service.all::<SnapshotEnvironmentBinding>().await?).unwrap();
    assert_eq!((binding.spec.snapshot.as_str(), names(&binding.spec.components)), ("second", vec!["a"]));
    let configuration = binding.spec.components[0].configuration.as_ref();
    assert_eq!(
        configuration.and_then(|configuration| configuration.replicas),
        Some(3),
        "what users set stays"
    );
    Ok(())
}

/// Claim, Environment and binding once, variables merged; deployed: the run starts there; done: all is deleted.
#[tokio::test]
async fn scenario_16_a_test_runs_in_an_environment_of_its_own() -> anyhow::Result<()> {
    let service = Deployed::start().await?;
    service.gitops.deploys(Objects::any(), Deployment::Never);
    service.engine.play(
        Runs::labelled(SCENARIO, "lint"),
        RunScript::never_ends().task("test", TaskScript::never_ends()),
    );
    service.needs_environment().await?;

    service.create(&snapshot("first", &[("a", 1)])).await?;
    let [binding] = <[_; 1]>::try_from(service.has::<SnapshotEnvironmentBinding>(1).await?).unwrap();
    let [claim] = <[_; 1]>::try_from(service.all::<DeploymentTargetClaim>().await?).unwrap();
    let copy: Environment = service.api().get(&binding.spec.environment).await?;
    assert_eq!(label(&copy, SCENARIO), Some("lint"));
    assert_eq!(label(&binding, SCENARIO), Some("lint"));
    assert_eq!(copy.spec.tags, ["ephemeral"]);
    let configuration = json!({
        "env": [
            {"name": "LEVEL", "value": "debug"}, {"name": "REGION", "value": "eu"}, {"name": "TRACE", "value": "1"},
        ],
        "target": {"deploymentTargetClaim": {"claimName": claim.name_any()}},
    });
    assert_eq!(json!(copy.spec.configuration), configuration);
    assert_eq!(service.all::<PipelineRun>().await?.len(), 0, "nothing is deployed yet");
    service.has_entry("first", "lint", "InProgress").await?;

    service.gitops.deploys(Objects::any(), Deployment::Succeeds);
    let run = service.engine.sees(&Runs::labelled(SCENARIO, "lint")).await?;
    let target: DeploymentTarget = service.api().get(&format!("{}-dt", claim.name_any())).await?;
    let credentials = &target.spec.kubernetes_credentials;
    assert_eq!(run.param("NAMESPACE"), Some(json!(credentials.default_namespace)).as_ref());
    let run: PipelineRun = service.api().get(&run.name_any()).await?;
    let workspaces = json!(run.spec)["workspaces"].clone();
    let secret = json!({"secretName": credentials.cluster_credentials_secret});
    assert_eq!(workspaces, json!([{"name": "cluster-credentials", "secret": secret}]));
    assert_eq!(label(&run, "appstudio.openshift.io/environment"), Some(copy.name_any().as_str()));

    service
        .engine
        .play(Runs::labelled(SCENARIO, "lint"), RunScript::new().task("test", TaskScript::succeeds()));
    service.has_entry("first", "lint", "TestPassed").await?;
    service.is_clean().await?;
    assert_eq!(service.all::<PipelineRun>().await?.len(), 1);
    assert!(service.sum("integration_svc_seb_ephemeral_deployments_total") > 0.0);
    Ok(())
}

/// An error of the binding that lasts for 300 s ends the test, and what was made for it goes.
#[tokio::test]
async fn scenario_16_a_deployment_that_fails_ends_the_test() -> anyhow::Result<()> {
    let service = Deployed::start().await?;
    let since = fleet::Clock::system().now() - SignedDuration::from_secs(301);
    service.gitops.deploys(Objects::any(), Deployment::failed_at("no such image", since));
    service.needs_environment().await?;
    let details = service.ends("first", "DeploymentError").await?;
    assert!(details.contains("ErrorOccurred: no such image"), "{details}");
    service.has_reason("first", "AppStudioTestSucceeded", "Failed").await?;
    service.is_clean().await?;
    assert_eq!(service.all::<PipelineRun>().await?.len(), 0);
    Ok(())
}

/// The entry tells people for what it waits.
#[tokio::test]
async fn an_entry_says_what_its_environment_waits_for() -> anyhow::Result<()> {
    let service = Deployed::start().await?;
    service.gitops.claims(Objects::any(), Claiming::Never);
    service.needs_environment().await?;
    service.create(&snapshot("first", &[("a", 1)])).await?;
    let waits = |snapshot: &Snapshot| {
        statuses(snapshot)
            .iter()
            .any(|entry| entry.details.contains("a target for DeploymentTargetClaim dtc-"))
    };
    service.until("first", "the claim to be waited for", waits).await?;

    service.gitops.claims(Objects::any(), Claiming::Binds);
    service.has_entry("first", "lint", "TestPassed").await?;
    service.is_clean().await
}

/// A scenario that goes takes along what was made for its runs.
#[tokio::test]
async fn a_scenario_that_is_deleted_takes_its_environments_along() -> anyhow::Result<()> {
    let service = Deployed::start().await?;
    service.gitops.deploys(Objects::any(), Deployment::Never);
    service.needs_environment().await?;
    service.create(&snapshot("first", &[("a", 1)])).await?;
    service.has::<SnapshotEnvironmentBinding>(1).await?;
    service.delete::<IntegrationTestScenario>("lint").await?;
    service.gone::<IntegrationTestScenario>("lint").await?;
    service.is_clean().await
}
