//! Scenarios 5 and, for registry mode, 7 and 10; Secrets; objects of the original.

use application_service_api::finalizers;
use fleet_api::Truth;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{DEADLINE, builders, eventually, has_condition, wait_for, wait_gone};

use crate::service::{Service, application, component, devfile, git_component};

#[tokio::test]
async fn scenario_5_a_component_before_its_application_converges() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let components = service.components();
    components.create(&PostParams::default(), &git_component("api", "shop")).await?;
    let waiting =
        wait_for(&components, "api", "Created=False", DEADLINE, has_condition("Created", Truth::False))
            .await?;
    let message = &waiting.status.unwrap_or_default().conditions[0].message;
    assert!(message.contains("Application shop (spec.application) does not exist"), "{message}");

    let shop = service
        .applications()
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    let created =
        wait_for(&components, "api", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    assert_eq!(created.owner_references()[0].uid, shop.uid().unwrap_or_default());
    Ok(())
}

#[tokio::test]
async fn scenario_7_the_model_and_the_status_follow_an_image() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    applications
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    let spec =
        json!({"componentName": "web", "application": "shop", "containerImage": "images.example/web:1"});
    components.create(&PostParams::default(), &component("web", &spec)).await?;
    for image in ["images.example/web:1", "images.example/web:2"] {
        let patch = json!({"spec": {"containerImage": image}});
        components.patch("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        wait_for(&components, "web", image, DEADLINE, |web| {
            let status = web.status.clone().unwrap_or_default();
            status.container_image.as_deref() == Some(image) && status.devfile.is_some()
        })
        .await?;
        wait_for(&applications, "shop", image, DEADLINE, |shop| {
            let devfile = devfile(shop.status.as_ref().and_then(|status| status.devfile.as_ref()));
            devfile["attributes"]["containerImage/web"] == image
        })
        .await?;
    }
    wait_for(&components, "web", "Updated", DEADLINE, has_condition("Updated", Truth::True)).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_10_value_from_is_refused_and_counts_once() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let components = service.components();
    service
        .applications()
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    let mut api = git_component("api", "shop");
    api.spec.env = serde_json::from_value(json!([
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]))?;
    let before = service.counter("has_component_successful_creation_total");
    components.create(&PostParams::default(), &api).await?;
    let refused =
        wait_for(&components, "api", "Created=False", DEADLINE, has_condition("Created", Truth::False))
            .await?;
    let message = &refused.status.unwrap_or_default().conditions[0].message;
    assert!(message.contains("TOKEN") && message.contains("valueFrom"), "{message}");
    for i in 0..3 {
        let patch = json!({"spec": {"targetPort": 8080 + i}});
        let patched = components.patch("api", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        wait_for(&components, "api", "the new generation", DEADLINE, |api| {
            api.status
                .as_ref()
                .is_some_and(|status| status.conditions[0].observed_generation == patched.metadata.generation)
        })
        .await?;
    }
    let counted = service.counter("has_component_successful_creation_total") - before;
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
    assert!(service.counter("has_component_failed_creation_total").abs() < f64::EPSILON);
    Ok(())
}

#[tokio::test]
async fn a_missing_secret_is_named_and_the_component_goes_on_when_it_is_there() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let components = service.components();
    service
        .applications()
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    let mut api = git_component("api", "shop");
    api.spec.secret = Some("token".into());
    components.create(&PostParams::default(), &api).await?;
    let waiting =
        wait_for(&components, "api", "Created=False", DEADLINE, has_condition("Created", Truth::False))
            .await?;
    let message = &waiting.status.unwrap_or_default().conditions[0].message;
    assert!(message.contains("Secret token (spec.secret) does not exist"), "{message}");

    let secrets =
        kube::Api::<k8s_openapi::api::core::v1::Secret>::namespaced(service.admin(), &service.tenant);
    let secret = builders::secret(&service.tenant, "token", [("password", "hidden")]);
    secrets.create(&PostParams::default(), &secret).await?;
    // Secrets are not watched; any change of the Component asks again before the half minute is over.
    let nudge = json!({"spec": {"targetPort": 1}});
    components.patch("api", &PatchParams::default(), &Patch::Merge(&nudge)).await?;
    wait_for(&components, "api", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    Ok(())
}

#[tokio::test]
async fn objects_with_the_original_s_finalizers_can_be_deleted() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    let mut shop = application("shop", &json!({"displayName": "Shop"}));
    shop.metadata.finalizers = Some(vec![finalizers::APPLICATION.into()]);
    applications.create(&PostParams::default(), &shop).await?;
    let mut api = git_component("api", "shop");
    api.metadata.finalizers = Some(vec![finalizers::COMPONENT.into()]);
    components.create(&PostParams::default(), &api).await?;
    wait_for(&components, "api", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    components.delete("api", &Default::default()).await?;
    wait_gone(&components, "api", DEADLINE).await?;
    applications.delete("shop", &Default::default()).await?;
    wait_gone(&applications, "shop", DEADLINE).await
}

/// Two components of one name are the user's fault; both are named, on the Application.
#[tokio::test]
async fn a_name_given_twice_is_told_on_the_application() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    applications
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    wait_for(&applications, "shop", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    for name in ["a", "b"] {
        let mut twin = git_component(name, "shop");
        twin.spec.component_name = "same".into();
        components.create(&PostParams::default(), &twin).await?;
    }
    let told =
        wait_for(&applications, "shop", "Updated=False", DEADLINE, has_condition("Updated", Truth::False))
            .await?;
    let conditions = told.status.unwrap_or_default().conditions;
    let message = &conditions.iter().find(|condition| condition.type_ == "Updated").expect("Updated").message;
    assert!(message.contains("already has a component with name same"), "{message}");
    components.delete("b", &Default::default()).await?;
    eventually(DEADLINE, "the Application to recover", async || {
        let shop = applications.get("shop").await?;
        anyhow::ensure!(has_condition("Updated", Truth::True)(&shop), "not yet");
        Ok(())
    })
    .await
}
