//! The same with a registry that is no Quay: accounts are records in the service's own namespace (contracts.md, decision 22).

use std::collections::BTreeMap;

use image_controller_api::ImageRepository;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use testkit::docker_registry::DockerRegistry;
use testkit::{DEADLINE, wait_gone};

use crate::service::{Service, image_repository, message, of_component, state, status};

const UPDATE: &str = "image-controller.appstudio.redhat.com/update-component-image";
const HEALTH: &str = "konflux+robot_konflux_api_healthcheck";

/// The records of one kind by name, but for the robot that shows whether it works.
async fn records(
    service: &Service,
    kind: &str,
) -> anyhow::Result<BTreeMap<String, BTreeMap<String, String>>> {
    let secrets: Api<Secret> = Api::namespaced(service.admin(), service.installed.namespace());
    let label = format!("image-controller.appstudio.redhat.com/registry-record={kind}");
    let mut all = BTreeMap::new();
    for secret in secrets.list(&ListParams::default().labels(&label)).await?.items {
        let mut fields = BTreeMap::new();
        for (key, value) in secret.data.unwrap_or_default() {
            fields.insert(key, String::from_utf8(value.0)?);
        }
        all.insert(fields.get("name").cloned().unwrap_or_default(), fields);
    }
    all.remove(HEALTH);
    Ok(all)
}

fn url(service: &Service, registry: &DockerRegistry, path: &str) -> String {
    format!("{}/konflux/{}/{path}", registry.address(), &*service.tenant)
}

/// Whether a Secret logs in with the token that the account of this name has now.
async fn logs_in(service: &Service, secret: &str, url: &str, robot: &str) -> anyhow::Result<String> {
    let (name, token) = service.login(secret, url).await?;
    assert_eq!(name, robot);
    let accounts = records(service, "robot").await?;
    assert_eq!(accounts[&format!("konflux+{robot}")]["token"], token, "{secret}");
    Ok(token)
}

#[tokio::test]
async fn scenario_1_a_plain_one_gets_a_public_repository_and_an_account_to_push() -> anyhow::Result<()> {
    let (service, registry) = Service::start_on_distribution().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    let ready = service.ready("web").await?;
    let (url, shown) = (url(&service, &registry, "web"), status(&ready));
    assert_eq!(shown["image"], json!({"url": url, "visibility": "public"}));
    let robot = shown["credentials"]["push-robot-account"].as_str().unwrap_or_default();
    logs_in(&service, "web-image-push", &url, robot).await?;
    assert_eq!(records(&service, "robot").await?.len(), 1);
    let repositories = records(&service, "repository").await?;
    let repository = &repositories[&format!("konflux/{}", service.repository("web"))];
    assert_eq!(repository["visibility"], "public");
    let grants: Value = serde_json::from_str(&repository["grants"])?;
    assert_eq!(grants[format!("konflux+{robot}")]["role"], "write");
    service.linked("appstudio-pipeline", &["web-image-push"], &[]).await
}

#[tokio::test]
async fn scenarios_2_3_9_and_13_the_life_of_a_component_s_repository() -> anyhow::Result<()> {
    let (service, registry) = Service::start_on_distribution().await?;
    service.component("web", &json!({})).await?;
    service.create(&of_component("images", &json!({UPDATE: "true"}))).await?;
    service
        .until("images", "the annotation to go", |object| {
            let notes = object.metadata.annotations.as_ref();
            state(object) == Some("ready")
                && message(object).is_empty()
                && notes.is_some_and(|notes| !notes.contains_key(UPDATE))
        })
        .await?;
    let url = url(&service, &registry, "shop/web");
    let component = service.api::<application_service_api::Component>().get("web").await?;
    assert_eq!(component.spec.container_image.as_deref(), Some(&*url));

    let shown = status(&service.ready("images").await?);
    let account = |key: &str| shown["credentials"][key].as_str().unwrap_or_default().to_owned();
    let (push, pull) = (account("push-robot-account"), account("pull-robot-account"));
    let repositories = records(&service, "repository").await?;
    let [repository] = repositories.values().collect::<Vec<_>>()[..] else {
        anyhow::bail!("{repositories:?}")
    };
    let grants: Value = serde_json::from_str(&repository["grants"])?;
    assert_eq!(grants[format!("konflux+{push}")]["role"], "write");
    assert_eq!(grants[format!("konflux+{pull}")]["role"], "read");
    let before = [
        logs_in(&service, "images-image-push", &url, &push).await?,
        logs_in(&service, "images-image-pull", &url, &pull).await?,
    ];
    service.linked("appstudio-pipeline", &["images-image-push"], &[]).await?;
    service.linked("default", &[], &["images-image-pull"]).await?;

    service.patch("images", &json!({"spec": {"credentials": {"regenerate-token": true}}})).await?;
    service.until("images", "the request to go", |object| object.spec.credentials.is_none()).await?;
    let after = [
        logs_in(&service, "images-image-push", &url, &push).await?,
        logs_in(&service, "images-image-pull", &url, &pull).await?,
    ];
    assert!(before[0] != after[0] && before[1] != after[1], "the tokens are the old ones");

    service.patch("images", &json!({"spec": {"image": {"visibility": "private"}}})).await?;
    service.until("images", "private", |object| status(object)["image"]["visibility"] == "private").await?;
    let repositories = records(&service, "repository").await?;
    assert!(
        repositories.values().all(|repository| repository["visibility"] == "private"),
        "{repositories:?}"
    );

    let objects = service.api::<ImageRepository>();
    objects.delete("images", &DeleteParams::default()).await?;
    wait_gone(&objects, "images", DEADLINE).await?;
    assert_eq!(records(&service, "robot").await?.len(), 0);
    assert_eq!(records(&service, "repository").await?.len(), 0);
    service.linked("default", &[], &[]).await
}

#[tokio::test]
async fn scenario_13_a_repository_of_two_stays_for_the_other() -> anyhow::Result<()> {
    let (service, registry) = Service::start_on_distribution().await?;
    let spec = json!({"image": {"name": "shared"}});
    service.create(&image_repository("a", &spec)).await?;
    service.create(&image_repository("b", &spec)).await?;
    service.ready("a").await?;
    let b = status(&service.ready("b").await?);
    let objects = service.api::<ImageRepository>();
    objects.delete("a", &DeleteParams::default()).await?;
    wait_gone(&objects, "a", DEADLINE).await?;
    assert_eq!(records(&service, "repository").await?.len(), 1);
    let robot = b["credentials"]["push-robot-account"].as_str().unwrap_or_default();
    logs_in(&service, "b-image-push", &url(&service, &registry, "shared"), robot).await?;
    Ok(())
}
