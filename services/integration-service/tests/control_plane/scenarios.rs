//! What is said of scenarios (section 4.10), and their versions as the API server shows them.

use application_service_api::{Environment, Snapshot};
use clap::Parser as _;
use fleet::Fleet;
use integration_service::Args;
use integration_service_api::{IntegrationTestScenario, annotations};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{CustomResourceExt as _, ResourceExt as _};
use prometheus::Registry;
use serde_json::{Value, json};
use testkit::builders::Build as _;
use testkit::wait::conditions;
use testkit::{ControlPlane, DEADLINE, Installed, Options, Webhooks, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::service::{NEIGHBOURS, SHOP, Service, application, label, reason, scenario, snapshot};

const VALID: &str = "IntegrationTestScenarioValid";

fn is(expected: &'static str) -> impl Fn(&IntegrationTestScenario) -> bool {
    move |scenario| reason(scenario, VALID).as_deref() == Some(expected)
}

#[tokio::test]
async fn a_scenario_is_valid_once_its_application_and_environment_are_there() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let mut early =
        scenario("early").annotation(annotations::ENVIRONMENT.as_str(), r#"{"name": "dev", "type": "POC"}"#);
    "later".clone_into(&mut early.spec.application);
    service.create(&early).await?;
    let invalid = service.until("early", "Invalid", is("Invalid")).await?;
    let message = conditions(&invalid).remove(0).message;
    assert!(message.contains("Application later") && message.contains("Environment dev"), "{message}");
    assert_eq!(invalid.owner_references(), []);

    service.create(&application("later")).await?;
    let without_application = |scenario: &IntegrationTestScenario| {
        conditions(scenario).iter().all(|condition| !condition.message.contains("Application"))
    };
    let owned = service.until("early", "its Application", without_application).await?;
    let owners: Vec<_> =
        owned.owner_references().iter().map(|owner| (owner.name.as_str(), owner.controller)).collect();
    assert_eq!(owners, [("later", Some(true))]);

    let dev: Environment = serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Environment", "metadata": {"name": "dev"},
        "spec": {"displayName": "dev", "deploymentStrategy": "Manual"},
    }))?;
    service.create(&dev).await?;
    service.until("early", "Valid", is("Valid")).await?;

    service.delete::<Environment>("dev").await?;
    service.until("early", "Invalid", is("Invalid")).await?;
    service.delete::<IntegrationTestScenario>("early").await?;
    service.gone::<IntegrationTestScenario>("early").await
}

/// Which rules the definition has, its own tests say; here, that a name is one of them though nobody serves a webhook.
#[tokio::test]
async fn scenario_21_a_name_that_is_no_label_is_refused() -> anyhow::Result<()> {
    let service = Service::install().await?;
    for name in ["1-bad".to_owned(), "a".repeat(64)] {
        let refused = service.create(&scenario(&name)).await.unwrap_err().to_string();
        assert!(refused.contains("metadata.name must be a DNS-1035 label"), "{refused}");
    }
    service.create(&scenario(&"a".repeat(63))).await?;
    Ok(())
}

/// The service with its webhooks, on a control plane of its own: there is one webhook for conversions in a cluster.
async fn run(
    installed: &Installed<'_>,
    port: u16,
    registry: &Registry,
    stop: &CancellationToken,
) -> anyhow::Result<JoinHandle<Result<(), fleet::Error>>> {
    let args = Args::try_parse_from([
        "integration-service",
        "--metrics-addr=127.0.0.1:0",
        "--health-addr=127.0.0.1:0",
        &format!("--webhook-addr=127.0.0.1:{port}"),
        "--webhook-names=127.0.0.1",
        &format!("--webhook-configuration={}", installed.name_of("integration-service")),
        "--watch-namespaces=default",
        &format!("--namespace={}", installed.namespace()),
        "--identity=test",
    ])?;
    let client = fleet::client::build(installed.config().await?, registry)?;
    let fleet =
        Fleet::new("integration-service", args.fleet.clone(), client, registry.clone(), stop.clone())?;
    Ok(tokio::spawn(integration_service::run(args, fleet)))
}

fn scenarios(plane: &ControlPlane, version: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("appstudio.redhat.com", version, "IntegrationTestScenario");
    Api::default_namespaced_with(plane.admin(), &ApiResource::from_gvk(&kind))
}

fn old(name: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "IntegrationTestScenario", "metadata": {"name": name},
        "spec": {
            "application": SHOP, "pipeline": "test", "bundle": "images.example/tests:v1",
            "environment": {"name": "dev", "type": "POC", "configuration": {"env": [{"name": "A", "value": "b"}]}},
        },
    }))
    .expect("a scenario")
}

/// Written in the oldest version, read in each, and in the oldest again: nothing is lost. What an older program stored will be stored
/// in the newest version.
#[tokio::test]
async fn scenario_20_versions_are_converted_without_loss_and_what_is_stored_moves() -> anyhow::Result<()> {
    let plane = ControlPlane::start(Options::default()).await?;
    for neighbour in NEIGHBOURS {
        plane.install_kinds(neighbour).await?;
    }
    let port = testkit::free_port()?;
    let webhooks = Webhooks { port, ca_pem: None, namespaces: &["default"] };
    let installed = plane.install("integration-service", Some(webhooks)).await?;
    // As an older program left it.
    let crds = Api::<CustomResourceDefinition>::all(plane.admin());
    let name = IntegrationTestScenario::crd_name();
    let stored = json!({"status": {"storedVersions": ["v1beta1", "v1beta2"]}});
    crds.patch_status(name, &PatchParams::default(), &Patch::Merge(stored)).await?;
    let (registry, stop) = (Registry::new(), CancellationToken::new());
    let ended = run(&installed, port, &registry, &stop).await?;

    let before = old("old");
    let create =
        async || Ok(scenarios(&plane, "v1alpha1").create(&PostParams::default(), &before).await.map(drop)?);
    eventually(DEADLINE, "the webhook to convert", create).await?;
    let resolver = json!({
        "resolver": "bundles", "resourceKind": "pipeline",
        "params": [
            {"name": "bundle", "value": "images.example/tests:v1"}, {"name": "name", "value": "test"},
            {"name": "kind", "value": "pipeline"},
        ],
    });
    let environment = before.data["spec"]["environment"].clone();
    let middle = scenarios(&plane, "v1beta1").get("old").await?;
    let spec = json!({"application": SHOP, "resolverRef": resolver, "environment": environment});
    assert_eq!(middle.data["spec"], spec);
    let newest = scenarios(&plane, "v1beta2").get("old").await?;
    assert_eq!(newest.data["spec"], json!({"application": SHOP, "resolverRef": resolver}));
    let kept = newest.annotations().get(annotations::ENVIRONMENT.as_str()).expect("the environment is kept");
    assert_eq!(serde_json::from_str::<Value>(kept)?, environment);
    assert_eq!(scenarios(&plane, "v1alpha1").get("old").await?.data["spec"], before.data["spec"]);

    snapshots_are_checked(&plane).await?;

    stored_versions_are_looked_after(&installed, &registry).await?;
    stop.cancel();
    ended.await??;
    Ok(())
}

/// The kit waits half a minute before it moves anything, and has tests of its own; here, that it was told of this definition, and may do
/// all that it does then.
async fn stored_versions_are_looked_after(
    installed: &Installed<'_>,
    registry: &Registry,
) -> anyhow::Result<()> {
    eventually(DEADLINE, "older versions to be found", async || {
        let families = registry.gather();
        let pending = families.iter().find(|family| family.name() == "fleet_storage_migration_pending");
        let pending = pending.map_or(0.0, |family| family.get_metric()[0].get_gauge().get_value());
        anyhow::ensure!(pending > 0.0, "none are");
        Ok(())
    })
    .await?;
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let (client, nothing) = (installed.client().await?, json!({}));
    let scenarios = Api::<IntegrationTestScenario>::namespaced(client.clone(), "default");
    scenarios.patch("old", &dry, &Patch::Merge(&nothing)).await?;
    let crds = Api::<CustomResourceDefinition>::all(client);
    crds.patch_status(IntegrationTestScenario::crd_name(), &dry, &Patch::Merge(&nothing)).await?;
    Ok(())
}

/// One made by hand is labelled with its Application; one whose name is no label value is refused.
async fn snapshots_are_checked(plane: &ControlPlane) -> anyhow::Result<()> {
    let snapshots = Api::<Snapshot>::default_namespaced(plane.admin());
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    // The API server learns of a webhook a moment after it is there.
    eventually(DEADLINE, "the label", async || {
        let made = snapshots.create(&dry, &snapshot("by-hand", &[("a", 1)])).await?;
        anyhow::ensure!(label(&made, "appstudio.openshift.io/application") == Some(SHOP), "there is none");
        Ok(())
    })
    .await?;
    eventually(DEADLINE, "the refusal", async || {
        let refused = snapshots.create(&dry, &snapshot(&"a".repeat(64), &[("a", 1)])).await.err();
        let text = refused.map(|refused| refused.to_string()).unwrap_or_default();
        anyhow::ensure!(text.contains("metadata.name") && text.contains("has 64 characters"), "{text:?}");
        Ok(())
    })
    .await
}
