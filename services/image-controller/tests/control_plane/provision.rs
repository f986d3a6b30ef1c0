//! What an ImageRepository comes to.

use application_service_api::Component;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::{DEADLINE, wait_for};

use crate::service::{Service, image_repository, message, of_component, state, status};

#[tokio::test]
async fn scenario_1_a_plain_one_gets_a_public_repository_and_an_account_to_push() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    let ready = service.ready("web").await?;

    let name = service.repository("web");
    let spec = json!(ready.spec);
    assert_eq!(spec["image"], json!({"name": name, "visibility": "public"}));
    let finalizers = ready.finalizers();
    assert!(finalizers.contains(&"appstudio.openshift.io/image-repository".to_owned()), "{finalizers:?}");
    let shown = status(&ready);
    assert_eq!(shown["image"], json!({"url": service.url("web"), "visibility": "public"}));
    assert_eq!(shown["credentials"]["push-secret"], "web-image-push");
    assert!(shown["credentials"]["generationTimestamp"].is_string(), "{shown}");
    assert!(shown["credentials"]["pull-robot-account"].is_null(), "{shown}");
    assert!(shown["credentials"]["push-remote-secret"].is_null(), "{shown}");

    let robot = shown["credentials"]["push-robot-account"].as_str().unwrap_or_default();
    assert_eq!(service.robots(), [robot]);
    service.quay.edit(|model| {
        let repository = &model.repositories[&name];
        assert!(repository.is_public);
        let permissions: Vec<_> = repository.permissions.iter().collect();
        assert!(
            permissions.len() == 1 && permissions[0].0.ends_with(robot) && permissions[0].1 == "write",
            "{permissions:?}"
        );
    });
    service.logs_in("web-image-push", &service.url("web"), robot).await?;
    service.linked("appstudio-pipeline", &["web-image-push"], &[]).await?;
    service.told("web", "ImageRepositoryProvisioned").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_2_one_of_a_component_also_gets_an_account_to_pull() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let component = service.component("web", &json!({})).await?;
    service.create(&of_component("images", &json!({}))).await?;
    let ready = service.ready("images").await?;

    let shown = status(&ready);
    let url = service.url("shop/web");
    assert_eq!(shown["image"]["url"], url.as_str());
    let account = |key: &str| shown["credentials"][key].as_str().unwrap_or_default().to_owned();
    let (push, pull) = (account("push-robot-account"), account("pull-robot-account"));
    assert_eq!(pull, format!("{push}_pull"));
    service.quay.edit(|model| {
        let permissions = &model.repositories[&service.repository("shop/web")].permissions;
        let roles: Vec<_> = permissions.values().map(String::as_str).collect();
        let reader = permissions.iter().find(|(_, role)| *role == "read").map(|(name, _)| name);
        assert_eq!(roles.len(), 2, "{permissions:?}");
        assert!(reader.is_some_and(|name| name.ends_with("_pull")), "{permissions:?}");
    });
    service.logs_in("images-image-push", &url, &push).await?;
    service.logs_in("images-image-pull", &url, &pull).await?;
    service.linked("appstudio-pipeline", &["images-image-push"], &[]).await?;
    service.linked("default", &[], &["images-image-pull"]).await?;
    let [owner] = ready.owner_references() else { anyhow::bail!("{:?}", ready.owner_references()) };
    assert_eq!((owner.kind.as_str(), Some(&owner.uid)), ("Component", component.metadata.uid.as_ref()));
    assert_eq!(owner.controller, None);
    Ok(())
}

#[tokio::test]
async fn scenario_3_the_component_takes_the_image_once_and_only_when_asked() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let components = service.api::<Component>();
    service.component("web", &json!({})).await?;
    let key = "image-controller.appstudio.redhat.com/update-component-image";
    service.create(&of_component("images", &json!({key: "true"}))).await?;
    let updated = service.until("images", "the annotation to go", |object| {
        state(object) == Some("ready") && !object.annotations().contains_key(key)
    });
    updated.await?;
    let url = service.url("shop/web");
    let image = |component: &Component| component.spec.container_image.clone().unwrap_or_default();
    assert_eq!(image(&components.get("web").await?), url);

    // A build's result, and then another repository altogether: both stay.
    for other in [format!("{url}:v1"), "images.example/other/web".to_owned()] {
        let body = json!({"spec": {"containerImage": other}});
        components.patch("web", &PatchParams::default(), &Patch::Merge(&body)).await?;
        service.patch("images", &json!({"spec": {"image": {"visibility": "private"}}})).await?;
        service
            .until("images", "private", |object| status(object)["image"]["visibility"] == "private")
            .await?;
        service.patch("images", &json!({"spec": {"image": {"visibility": "public"}}})).await?;
        service.until("images", "public", |object| status(object)["image"]["visibility"] == "public").await?;
        assert_eq!(image(&components.get("web").await?), other);
    }
    // Asked again, a tag of the same repository is left alone.
    let body = json!({"spec": {"containerImage": format!("{url}:v2")}});
    components.patch("web", &PatchParams::default(), &Patch::Merge(&body)).await?;
    service.patch("images", &json!({"metadata": {"annotations": {key: "true"}}})).await?;
    service.until("images", "the annotation to go", |object| !object.annotations().contains_key(key)).await?;
    assert_eq!(image(&components.get("web").await?), format!("{url}:v2"));

    service.component("api", &json!({})).await?;
    let mut other = of_component("others", &json!({}));
    other.labels_mut().insert("appstudio.redhat.com/component".to_owned(), "api".to_owned());
    service.create(&other).await?;
    service.ready("others").await?;
    assert_eq!(image(&components.get("api").await?), "");
    Ok(())
}

#[tokio::test]
async fn scenario_4_a_name_lies_below_the_namespace_and_never_changes() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("a", &json!({"image": {"name": "tools/web"}}))).await?;
    let ready = service.ready("a").await?;
    let name = service.repository("tools/web");
    assert_eq!(json!(ready.spec)["image"]["name"], name.as_str());
    service.quay.traffic().forget();

    service.patch("a", &json!({"spec": {"image": {"name": "other/web"}}})).await?;
    service.until("a", "its name", |object| json!(object.spec)["image"]["name"] == name.as_str()).await?;
    // What means the same is left as a tool wrote it, and another tenant's name is one below our own.
    service.patch("a", &json!({"spec": {"image": {"name": "tools/web"}}})).await?;
    service.create(&image_repository("b", &json!({"image": {"name": "another-tenant/web"}}))).await?;
    let other = service.ready("b").await?;
    assert_eq!(status(&other)["image"]["url"], service.url("another-tenant/web"));
    assert_eq!(
        json!(service.api::<image_controller_api::ImageRepository>().get("a").await?.spec)["image"]["name"],
        "tools/web"
    );
    let calls = service.quay.traffic().to_string();
    assert!(!calls.contains("tools"), "the registry was touched:\n{calls}");
    Ok(())
}

#[tokio::test]
async fn scenario_5_a_name_that_is_none_is_refused_by_the_api_server() -> anyhow::Result<()> {
    let service = Service::install().await?;
    for name in ["Web", "../web", "web/", "/web", "a b"] {
        let refused = service.create(&image_repository("bad", &json!({"image": {"name": name}}))).await;
        let error = refused.map(|_| ()).unwrap_err();
        let code = error.downcast_ref::<kube::Error>().map(|error| match error {
            kube::Error::Api(status) => status.code,
            _ => 0,
        });
        assert_eq!(code, Some(422), "{name}: {error:#}");
    }
    Ok(())
}

#[tokio::test]
async fn scenario_12_a_component_that_comes_later_is_waited_for() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&of_component("images", &json!({}))).await?;
    let waiting =
        service.until("images", "the message", |object| message(object) == "Component 'web' does not exist");
    assert_eq!(state(&waiting.await?), None);
    assert_eq!(service.robots(), Vec::<String>::new());
    service.component("web", &json!({})).await?;
    service.ready("images").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_16_the_longest_and_oddest_names_work() -> anyhow::Result<()> {
    let service = Service::start().await?;
    // As long as an object's name may be, which is more than is left of a repository's 255 beside organization and namespace.
    let name = format!("0.{}", "a-b.".repeat(49) + "c");
    service.create(&image_repository(&name, &json!({"image": {"name": "1--2__3/x.y"}}))).await?;
    let ready = service.ready(&name).await?;
    let shown = status(&ready);
    let secret = shown["credentials"]["push-secret"].as_str().unwrap_or_default();
    assert!(secret.len() <= 253 && secret.ends_with("-image-push"), "{secret}");
    let robot = shown["credentials"]["push-robot-account"].as_str().unwrap_or_default();
    assert!(!robot.contains("__") && robot.contains("1_2_3_x_y"), "{robot}");
    service.logs_in(secret, &service.url("1--2__3/x.y"), robot).await?;

    let long = "a".repeat(250);
    service.create(&image_repository("long", &json!({"image": {"name": long}}))).await?;
    let failed = service.until("long", "failed", |object| state(object) == Some("failed")).await?;
    assert!(message(&failed).contains("255"), "{}", message(&failed));
    // It is mended by another spec.
    service.patch("long", &json!({"spec": {"image": {"name": "short"}}})).await?;
    let mended = service.ready("long").await?;
    assert_eq!(status(&mended)["image"]["url"], service.url("short"));
    Ok(())
}

/// Race 5 (contracts.md): a build must not start before it can push.
#[tokio::test]
async fn the_component_waits_for_the_links() -> anyhow::Result<()> {
    let service = Service::start_with(&["--build-service-account=per-component"]).await?;
    service.component("web", &json!({})).await?;
    let key = "image-controller.appstudio.redhat.com/update-component-image";
    service.create(&of_component("images", &json!({key: "true"}))).await?;
    service.ready("images").await?;
    let components = service.api::<Component>();
    let image = components.get("web").await?.spec.container_image;
    assert_eq!(image, None, "nobody has made the account that pushes");

    let account = testkit::builders::service_account(&service.tenant, "build-pipeline-web");
    service.api().create(&Default::default(), &account).await?;
    let url = service.url("shop/web");
    wait_for(&components, "web", "the image", DEADLINE, |component: &Component| {
        component.spec.container_image.as_deref() == Some(&url)
    })
    .await?;
    service.linked("build-pipeline-web", &["images-image-push"], &[]).await
}
