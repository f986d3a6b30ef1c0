//! What is left when an ImageRepository goes: nothing, or a word about it.

use image_controller_api::ImageRepository;
use kube::api::DeleteParams;
use serde_json::json;
use testkit::forge::Fault;
use testkit::{DEADLINE, wait_gone};

use crate::service::{Service, image_repository, of_component};

async fn delete(service: &Service, name: &str) -> anyhow::Result<()> {
    let objects = service.api::<ImageRepository>();
    objects.delete(name, &DeleteParams::default()).await?;
    wait_gone(&objects, name, DEADLINE).await
}

fn repositories(service: &Service) -> Vec<String> {
    service.quay.edit(|model| model.repositories.keys().cloned().collect())
}

#[tokio::test]
async fn scenario_13_accounts_repository_and_links_go() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.component("web", &json!({})).await?;
    service.create(&of_component("images", &json!({}))).await?;
    service.create(&image_repository("stays", &json!({}))).await?;
    service.ready("images").await?;
    service.ready("stays").await?;
    service.linked("appstudio-pipeline", &["images-image-push", "stays-image-push"], &[]).await?;
    service.linked("default", &[], &["images-image-pull"]).await?;
    delete(&service, "images").await?;
    assert_eq!(service.robots().len(), 1);
    assert_eq!(repositories(&service), [service.repository("stays")]);
    service.linked("appstudio-pipeline", &["stays-image-push"], &[]).await?;
    service.linked("default", &[], &[]).await
}

#[tokio::test]
async fn scenario_13_a_registry_that_is_down_holds_nobody_for_long() -> anyhow::Result<()> {
    let service = Service::start_with(&["--clean-up-limit=1"]).await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service.ready("web").await?;
    service.quay.traffic().fail("*", usize::MAX, Fault::Answer(502));
    delete(&service, "web").await?;
    let note = service.told("web", "ImageRepositoryCleanupIncomplete").await?;
    assert!(note.contains(&service.repository("web")), "{note}");
    Ok(())
}

#[tokio::test]
async fn what_fails_for_a_moment_is_deleted_a_moment_later() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service.ready("web").await?;
    service.quay.traffic().fail("DELETE /repository/{repository}", 1, Fault::Answer(503));
    delete(&service, "web").await?;
    assert_eq!((service.robots(), repositories(&service)), (vec![], vec![]));
    Ok(())
}

#[tokio::test]
async fn scenario_13_a_repository_of_two_stays_for_the_other() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let spec = json!({"image": {"name": "shared"}});
    service.create(&image_repository("a", &spec)).await?;
    service.create(&image_repository("b", &spec)).await?;
    service.ready("a").await?;
    let b = service.ready("b").await?;
    assert_eq!(service.robots().len(), 2);
    delete(&service, "a").await?;
    assert_eq!(repositories(&service), [service.repository("shared")]);
    let robot = crate::service::status(&b)["credentials"]["push-robot-account"].clone();
    assert_eq!(json!(service.robots()), json!([robot]));
    service.logs_in("b-image-push", &service.url("shared"), &service.robots()[0]).await?;
    delete(&service, "b").await?;
    assert_eq!(repositories(&service), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_repository_is_kept_where_it_is_asked_for_and_its_accounts_go() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service.ready("web").await?;
    let key = "image-controller.appstudio.redhat.com/skip-repository-deletion";
    service.patch("web", &json!({"metadata": {"annotations": {key: "true"}}})).await?;
    delete(&service, "web").await?;
    assert_eq!((service.robots(), repositories(&service)), (vec![], vec![service.repository("web")]));
    Ok(())
}

/// Somebody who can write a status must not have others' accounts deleted by it.
#[tokio::test]
async fn names_that_a_status_has_no_right_to_are_not_believed() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("victim", &json!({}))).await?;
    service.create(&image_repository("forged", &json!({}))).await?;
    service.ready("victim").await?;
    service.ready("forged").await?;
    let victim = service.robots().into_iter().find(|name| name.contains("victim")).unwrap_or_default();
    let body = json!({"status": {
        "image": {"url": format!("{}/konflux/another-tenant/web", service.quay.address())},
        "credentials": {"push-robot-account": victim, "pull-robot-account": victim},
    }});
    let objects = service.api::<ImageRepository>();
    objects.patch_status("forged", &Default::default(), &kube::api::Patch::Merge(&body)).await?;
    delete(&service, "forged").await?;
    assert_eq!(service.robots(), [victim]);
    assert_eq!(repositories(&service), [service.repository("victim")]);
    Ok(())
}

/// Decision 27 (contracts.md).
#[tokio::test]
async fn a_copy_from_a_backup_makes_and_deletes_nothing() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service.ready("web").await?;
    let mut copy = image_repository("copy", &json!({"image": {"name": "web"}}));
    copy.metadata.annotations = Some([("fleet.konflux-ci.dev/uid".to_owned(), "another".to_owned())].into());
    copy.metadata.finalizers = Some(vec!["appstudio.openshift.io/image-repository".to_owned()]);
    service.create(&copy).await?;
    service
        .until("copy", "the message", |object| {
            crate::service::message(object).starts_with("restored from a backup")
        })
        .await?;
    assert_eq!(service.robots().len(), 1);
    delete(&service, "copy").await?;
    assert_eq!((service.robots().len(), repositories(&service)), (1, vec![service.repository("web")]));
    Ok(())
}
