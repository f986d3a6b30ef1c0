//! Requests by annotation of a Component.

use application_service_api::Component;
use image_controller_api::ImageRepository;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testkit::forge::Fault;
use testkit::quay::{Repository, Robot};
use testkit::{DEADLINE, wait_for, wait_gone};

use crate::service::{Service, component, status};

const REQUEST: &str = "image.redhat.com/generate";
const ANSWER: &str = "image.redhat.com/image";
const MADE: &str = "imagerepository-for-shop-web";

fn note(component: &Component, key: &str) -> Option<Value> {
    component.annotations().get(key).map(|text| serde_json::from_str(text).unwrap_or(json!(text)))
}

/// Waits until the request is gone, and the answer is this.
async fn answered(service: &Service, answer: &Value) -> anyhow::Result<()> {
    let components = service.api::<Component>();
    let is_so = |component: &Component| {
        note(component, REQUEST).is_none() && note(component, ANSWER).as_ref() == Some(answer)
    };
    wait_for(&components, "web", &answer.to_string(), DEADLINE, is_so).await?;
    Ok(())
}

async fn ask(service: &Service, request: &str) -> anyhow::Result<()> {
    annotate(service, &json!({ REQUEST: request })).await
}

async fn annotate(service: &Service, annotations: &Value) -> anyhow::Result<()> {
    let body = json!({"metadata": {"annotations": annotations}});
    service.api::<Component>().patch("web", &PatchParams::default(), &Patch::Merge(&body)).await?;
    Ok(())
}

fn answer(service: &Service, visibility: &str) -> Value {
    let secret = format!("{MADE}-image-push");
    json!({"image": service.url("shop/web"), "visibility": visibility, "secret": secret})
}

#[tokio::test]
async fn scenario_14_a_request_is_met_and_changed() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.component("web", &json!({ REQUEST: "true" })).await?;
    answered(&service, &answer(&service, "public")).await?;
    let image = |component: &Component| component.spec.container_image.clone();
    let components = service.api::<Component>();
    let url = service.url("shop/web");
    wait_for(&components, "web", "the image", DEADLINE, |web| image(web).as_deref() == Some(&url)).await?;

    // The same again changes nothing.
    service.quay.traffic().forget();
    ask(&service, r#"{"visibility":"public"}"#).await?;
    answered(&service, &answer(&service, "public")).await?;
    assert!(service.quay.traffic().calls().is_empty(), "{}", service.quay.traffic());

    ask(&service, r#"{"visibility":"private"}"#).await?;
    answered(&service, &answer(&service, "private")).await?;
    assert!(!service.quay.edit(|model| model.repositories[&service.repository("shop/web")].is_public));

    service.quay.edit(|model| model.private_limit = Some(0));
    ask(&service, "true").await?;
    answered(&service, &answer(&service, "public")).await?;
    ask(&service, r#"{"visibility":"private"}"#).await?;
    let mut refused = answer(&service, "public");
    refused["message"] = json!("Quay organization plan doesn't allow private image repositories");
    answered(&service, &refused).await?;

    components.delete("web", &DeleteParams::default()).await?;
    wait_gone(&service.api::<ImageRepository>(), MADE, DEADLINE).await?;
    assert_eq!(service.robots(), Vec::<String>::new());
    assert!(service.quay.edit(|model| model.repositories.is_empty()));
    Ok(())
}

#[tokio::test]
async fn scenario_14_what_cannot_be_read_is_told() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.component("web", &json!({ REQUEST: "{" })).await?;
    answered(&service, &json!({"message": "invalid JSON in image.redhat.com/generate annotation"})).await?;
    ask(&service, r#"{"visibility":"secret"}"#).await?;
    let message = "invalid value: secret in visibility field in image.redhat.com/generate annotation";
    answered(&service, &json!({ "message": message })).await?;
    annotate(&service, &json!({REQUEST: "true", ANSWER: "{"})).await?;
    answered(&service, &json!({"message": "Invalid image status annotation"})).await?;
    let before = json!({"image": "images.example/web", "visibility": "public", "secret": "web"});
    annotate(&service, &json!({REQUEST: r#"{"visibility":"private"}"#, ANSWER: before.to_string()})).await?;
    let mut told = before;
    told["message"] = json!("Invalid image url");
    answered(&service, &told).await?;
    assert_eq!(service.robots(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn scenario_14_what_cannot_be_made_is_told() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.quay.edit(|model| model.private_limit = Some(0));
    service.component("web", &json!({ REQUEST: r#"{"visibility":"private"}"# })).await?;
    let limit = "Quay organization plan doesn't allow private image repositories";
    answered(&service, &json!({ "message": limit })).await?;
    // Another request changes the spec, so it is tried again, and now refused for another reason.
    service.quay.traffic().fail("POST /repository", 1, Fault::Answer(400));
    ask(&service, "true").await?;
    answered(&service, &json!({"message": "failed to generate image repository"})).await?;
    Ok(())
}

#[tokio::test]
async fn a_component_without_model_is_not_served_yet() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let components = service.api::<Component>();
    components.create(&Default::default(), &component("web", &json!({ REQUEST: "true" }))?).await?;
    service.component("other", &json!({ REQUEST: "true" })).await?;
    service.ready("imagerepository-for-shop-other").await?;
    assert!(note(&components.get("web").await?, REQUEST).is_some());
    let body = json!({"status": {"devfile": "schemaVersion: 2.2.0"}});
    components.patch_status("web", &PatchParams::default(), &Patch::Merge(&body)).await?;
    answered(&service, &answer(&service, "public")).await
}

/// As the original leaves it: a robot to push, a Secret named as the Component, a finalizer.
#[tokio::test]
async fn scenario_15_a_component_with_an_account_to_push_only_gets_one_to_pull() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let (name, url) = (service.repository("shop/web"), service.url("shop/web"));
    let robot = format!("{}shopweb", &*service.tenant);
    service.quay.edit(|model| {
        let repository = Repository { is_public: false, ..Repository::default() };
        model.repositories.insert(name.clone(), repository);
        model.robots.insert(robot.clone(), Robot { token: "old".to_owned(), ..Robot::default() });
    });
    let before = json!({"image": url, "visibility": "private", "secret": "web"});
    service.component("web", &json!({ ANSWER: before.to_string() })).await?;
    let finalizers = json!({"metadata": {
        "finalizers": ["image-controller.appstudio.openshift.io/image-repository"],
    }});
    let components = service.api::<Component>();
    components.patch("web", &PatchParams::default(), &Patch::Merge(&finalizers)).await?;
    service.run().await?;
    let ready = service.ready(MADE).await?;
    let shown = status(&ready);
    assert_eq!(shown["image"], json!({"url": url, "visibility": "private"}));
    let pull = shown["credentials"]["pull-robot-account"].as_str().unwrap_or_default();
    service.logs_in(&format!("{MADE}-image-pull"), &url, pull).await?;
    answered(&service, &answer(&service, "private")).await?;
    assert_eq!(components.get("web").await?.spec.container_image, None);

    components.delete("web", &DeleteParams::default()).await?;
    wait_gone(&service.api::<ImageRepository>(), MADE, DEADLINE).await?;
    assert_eq!(service.robots(), Vec::<String>::new());
    assert!(service.quay.edit(|model| model.repositories.is_empty()));
    Ok(())
}
