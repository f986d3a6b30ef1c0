//! Scenario 16: Secrets on the accounts of runs; and accounts of single Components.

use application_service_api::Component;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use testkit::{DEADLINE, builders, wait_for, wait_gone};

use crate::service::Service;

const FINALIZER: &str = "image-registry-secret-sa-link.component.appstudio.openshift.io/finalizer";
const IMAGE: &str = "image.redhat.com/image";

/// Names in both lists of an account.
fn linked(account: &ServiceAccount) -> (Vec<String>, Vec<String>) {
    let secrets = account.secrets.iter().flatten().filter_map(|entry| entry.name.clone());
    (secrets.collect(), account.image_pull_secrets.iter().flatten().map(|entry| entry.name.clone()).collect())
}

fn generated(service: &Service, name: &str) -> Component {
    let mut component = service.component(name);
    let answer = json!({"image": format!("images.example/shop/{name}"), "secret": name}).to_string();
    component.annotations_mut().insert(IMAGE.to_owned(), answer);
    component
}

#[tokio::test]
async fn scenario_16_the_secret_of_the_image_is_linked_beside_others_and_taken_off_again()
-> anyhow::Result<()> {
    let service = Service::start().await?;
    let accounts = service.api::<ServiceAccount>();
    let mut account = builders::service_account(&service.tenant, "appstudio-pipeline");
    account.secrets = serde_json::from_value(json!([{"name": "other"}, {"name": "web"}]))?;
    account.image_pull_secrets = serde_json::from_value(json!([{"name": "pull"}, {"name": "web"}]))?;
    accounts.create(&PostParams::default(), &account).await?;
    service.create(&generated(&service, "api")).await?;
    let has_finalizer = |component: &Component| component.finalizers().iter().any(|name| name == FINALIZER);
    let components = service.api::<Component>();
    wait_for(&components, "api", "the finalizer", DEADLINE, has_finalizer).await?;
    service.handled("api").await?;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let after = accounts.get("appstudio-pipeline").await?;
    assert_eq!(linked(&after), (names(&["other", "web", "api"]), names(&["pull", "web", "api"])));

    // Linked already: the account is not written.
    service.create(&generated(&service, "web")).await?;
    wait_for(&components, "web", "the finalizer", DEADLINE, has_finalizer).await?;
    service.handled("web").await?;
    let same = accounts.get("appstudio-pipeline").await?;
    assert_eq!(same.resource_version(), after.resource_version());

    components.delete("api", &DeleteParams::default()).await?;
    wait_gone(&components, "api", DEADLINE).await?;
    let after = accounts.get("appstudio-pipeline").await?;
    assert_eq!(linked(&after), (names(&["other", "web"]), names(&["pull", "web"])));
    // An account that is gone keeps no Component.
    accounts.delete("appstudio-pipeline", &DeleteParams::default()).await?;
    components.delete("web", &DeleteParams::default()).await?;
    wait_gone(&components, "web", DEADLINE).await?;
    Ok(())
}

#[tokio::test]
async fn with_the_switch_each_component_has_an_account_with_what_is_common_to_all() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    let mut common = builders::secret(&service.tenant, "common", [("a", "b")]);
    common.labels_mut().insert("build.appstudio.openshift.io/common-secret".to_owned(), "true".to_owned());
    service.api::<Secret>().create(&PostParams::default(), &common).await?;
    service.flags.push("--service-account=per-component".to_owned());
    service.run().await?;
    service.create(&generated(&service, "api")).await?;
    service.handled("api").await?;
    let runs = service.has_runs(1).await?;
    assert_eq!(runs[0].spec.task_run_template.service_account_name, "build-pipeline-api");
    let accounts = service.api::<ServiceAccount>();
    let has_both = |account: &ServiceAccount| {
        let (mut secrets, mut pull) = linked(account);
        secrets.sort();
        pull.sort();
        secrets == ["api", "common"] && pull == secrets
    };
    let account = wait_for(&accounts, "build-pipeline-api", "both Secrets", DEADLINE, has_both).await?;
    let component = service.api::<Component>().get("api").await?;
    assert_eq!(account.owner_references()[0].uid, component.uid().unwrap_or_default());
    let bindings = service.api::<RoleBinding>();
    let subjects = |binding: &RoleBinding| -> Vec<String> {
        binding.subjects.iter().flatten().map(|subject| subject.name.clone()).collect()
    };
    let binding = bindings.get("konflux-pipelines-runner-bindings").await?;
    assert_eq!(subjects(&binding), ["build-pipeline-api"]);
    assert_eq!(binding.role_ref.name, "appstudio-pipelines-runner");

    service.create(&service.component("web")).await?;
    service.handled("web").await?;
    service.api::<Component>().delete("api", &DeleteParams::default()).await?;
    let is_only = |binding: &RoleBinding| subjects(binding) == ["build-pipeline-web"];
    wait_for(&bindings, "konflux-pipelines-runner-bindings", "one subject", DEADLINE, is_only).await?;
    Ok(())
}
