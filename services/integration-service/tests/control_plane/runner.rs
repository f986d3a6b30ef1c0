//! The account that runs of tests run as (annex, L8).

use application_service_api::Application;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use pipelines_engine_api::PipelineRun;
use serde_json::json;

use crate::service::{SHOP, Service, scenario, snapshot};

const NAME: &str = "konflux-integration-runner";
const SCENARIO: &str = "test.appstudio.openshift.io/scenario";

#[tokio::test]
async fn each_namespace_gets_an_account_for_its_tests() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.flag("--integration-runner");
    // Somebody else made it, and put something in.
    let account = json!({"metadata": {"name": NAME}, "imagePullSecrets": [{"name": "shop-pull"}]});
    service.create::<ServiceAccount>(&serde_json::from_value(account)?).await?;
    service.run().await?;
    let pulls = |account: &ServiceAccount| {
        let secrets = account.image_pull_secrets.iter().flatten();
        secrets.map(|secret| secret.name.as_str()).eq(["shop-pull", "components-namespace-pull"])
    };
    service.until(NAME, "its Secrets", pulls).await?;
    let binding: RoleBinding = service.until(NAME, "the binding", |_| true).await?;
    assert_eq!((binding.role_ref.kind.as_str(), binding.role_ref.name.as_str()), ("ClusterRole", NAME));

    service.create(&scenario("lint")).await?;
    service.create(&snapshot("one", &[("web", 1)])).await?;
    service.has_entry("one", "lint", "TestPassed").await?;
    let runs = service.all::<PipelineRun>().await?;
    let test = runs.iter().find(|run| run.labels().contains_key(SCENARIO));
    let account = test.map(|run| run.spec.task_run_template.service_account_name.as_str());
    assert_eq!(account, Some(NAME));

    // What is deleted comes back, as long as there is an Application.
    service.delete::<ServiceAccount>(NAME).await?;
    let is_new =
        |account: &ServiceAccount| account.image_pull_secrets.as_ref().is_some_and(|all| all.len() == 1);
    service.until(NAME, "another account", is_new).await?;
    service.delete::<Application>(SHOP).await?;
    service.gone::<Application>(SHOP).await?;
    Ok(())
}
