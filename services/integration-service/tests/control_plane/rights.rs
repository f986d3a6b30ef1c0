//! The rules of the base are what the code uses: nothing is missing, nothing is too much.

use application_service_api::{Component, Environment, Snapshot};
use integration_service_api::{IntegrationTestScenario, annotations};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use testkit::builders::{self, Build as _};
use testkit::gitops::PlayedGitops;
use testkit::rbac::Rare;

use crate::service::{Service, build_run, component, component_with_image, plan, pull_request_run, scenario};

const RUN: &str = "test.appstudio.openshift.io/run";

#[tokio::test]
async fn the_base_grants_exactly_what_is_used() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--integration-runner");
    let gitops = PlayedGitops::start(service.admin(), &service.tenant).await?;
    let ledger = service.plane.ledger()?;
    let mark = ledger.mark().await?;
    service.run().await?;
    prepare(&service).await?;
    // A push goes all the way.
    service.build(&build_run("push", "web"), 2).await?;
    let push = service.snapshot_of("push").await?.name_any();
    service.has_entry(&push, "deployed", "TestPassed").await?;
    service.has_reason(&push, "AutoReleased", "AutoReleased").await?;
    // A pull request is told, or it is written down why not.
    service.build(&pull_request_run("pull", "web", 3), 3).await?;
    let pull = service.snapshot_of("pull").await?.name_any();
    service.has_reason(&pull, "AppStudioTestSucceeded", "Passed").await?;
    let is_free = |run: &PipelineRun| run.finalizers().is_empty();
    for run in service.all::<PipelineRun>().await? {
        service.until(&run.name_any(), "to be let go", is_free).await?;
    }
    // Once more, though the store has only half of it.
    service.patch::<Snapshot>(&push, &json!({"metadata": {"labels": {RUN: "lint"}}})).await?;
    let is_heard = |snapshot: &Snapshot| !snapshot.labels().contains_key(RUN);
    service.until(&push, "its label to be gone", is_heard).await?;
    service.delete::<IntegrationTestScenario>("lint").await?;
    service.gone::<IntegrationTestScenario>("lint").await?;
    service.delete::<Component>("web").await?;
    service.gone::<Component>("web").await?;
    service.stop().await?;
    gitops.stop().await;

    let calls = ledger.since(&mark).await?.by(&service.installed.user()?);
    service.installed.compare_rules(&calls, &rare())?.check()
}

/// Two Components, one of which has an image, two scenarios, one of them with an Environment, a plan, and the repository of pull requests.
async fn prepare(service: &Service) -> anyhow::Result<()> {
    service.create(&component("web")).await?;
    service.create(&component_with_image("api", 1)).await?;
    let root = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Environment", "metadata": {"name": "root"},
        "spec": {"displayName": "root", "deploymentStrategy": "AppStudioAutomated"},
    });
    service.create::<Environment>(&serde_json::from_value(root)?).await?;
    service.create(&scenario("lint")).await?;
    let environment = json!({"name": "root", "type": "POC"}).to_string();
    service.create(&scenario("deployed").annotation(annotations::ENVIRONMENT.as_str(), environment)).await?;
    service.create(&plan("plan", "true")).await?;
    let token = builders::secret(&service.tenant, "token", [("token", "none")]);
    service.create::<Secret>(&token).await?;
    let repository = json!({
        "apiVersion": "pipelinesascode.tekton.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
        "spec": {
            "url": "https://git.example/acme/web",
            "git_provider": {"type": "github", "secret": {"name": "token", "key": "token"}},
        },
    });
    service.create::<Repository>(&serde_json::from_value(repository)?).await?;
    Ok(())
}

fn rare() -> Vec<Rare> {
    let lists = [
        "applications",
        "components",
        "deploymenttargetclaims",
        "deploymenttargets",
        "environments",
        "integrationtestscenarios",
        "pipelineruns",
        "releaseplans",
        "releases",
        "repositories",
        "rolebindings",
        "serviceaccounts",
        "snapshotenvironmentbindings",
    ];
    // Of what was made before a crash, and whether it is ours.
    let adopted = [
        "deploymenttargetclaims",
        "environments",
        "pipelineruns",
        "releases",
        "rolebindings",
        "serviceaccounts",
        "snapshotenvironmentbindings",
    ];
    let collector =
        [("list", "namespaces"), ("delete", "snapshots"), ("list", "snapshots"), ("get", "snapshots")];
    let webhooks = [
        ("get", "mutatingwebhookconfigurations"),
        ("patch", "mutatingwebhookconfigurations"),
        ("get", "validatingwebhookconfigurations"),
        ("patch", "validatingwebhookconfigurations"),
        ("get", "customresourcedefinitions"),
        ("patch", "customresourcedefinitions"),
        ("patch", "customresourcedefinitions/status"),
        ("create", "secrets"),
        ("patch", "secrets"),
    ];
    let because = |because| move |(verb, resource)| Rare { verb, resource, because };
    let mut rare: Vec<Rare> = Vec::new();
    rare.extend(lists.map(|resource| ("list", resource)).map(because("API servers without streaming lists")));
    rare.extend(adopted.map(|resource| ("get", resource)).map(because("what was made before a crash")));
    rare.extend(collector.map(because("the collector has tests of its own")));
    rare.extend(webhooks.map(because("the webhooks have tests of their own")));
    rare.extend(["applications", "components"].map(|resource| Rare {
        verb: "get",
        resource,
        because: "whether what a Snapshot names is gone indeed",
    }));
    rare.extend(["create", "delete", "get"].map(|verb| Rare {
        verb,
        resource: "resolutionrequests",
        because: "scenarios that refer to a whole PipelineRun have tests of their own",
    }));
    rare.extend(["rolebindings", "serviceaccounts"].map(|resource| Rare {
        verb: "patch",
        resource,
        because: "an account that somebody made, and that lacks something",
    }));
    rare.extend([
        Rare {
            verb: "bind",
            resource: "clusterroles",
            because: "asked by the API server for each RoleBinding",
        },
        Rare {
            verb: "patch",
            resource: "snapshotenvironmentbindings",
            because: "another Snapshot for the same Environment",
        },
        Rare { verb: "create", resource: "leases", because: "the lease is made once" },
        Rare { verb: "patch", resource: "events", because: "the same Event twice" },
        Rare { verb: "get", resource: "secrets", because: "the GitHub App, of which reports have tests" },
    ]);
    rare
}
