//! A registry that refuses, or does not answer.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use testkit::forge::Fault;
use testkit::{DEADLINE, eventually};

use crate::service::{Service, image_repository, message, of_component, state, status};

const VISIBILITY: &str = "POST /repository/{repository}/changevisibility";

#[tokio::test]
async fn scenario_6_a_private_one_too_many_fails_and_has_no_accounts() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.quay.edit(|model| model.private_limit = Some(0));
    service.create(&image_repository("web", &json!({"image": {"visibility": "private"}}))).await?;
    let failed = service.until("web", "failed", |object| state(object) == Some("failed")).await?;
    assert_eq!(message(&failed), "Number of private repositories exceeds current quay plan limit");
    assert_eq!(service.robots(), Vec::<String>::new());
    service.told("web", "ImageRepositoryFailed").await?;

    // It stays so until the spec changes.
    service.quay.edit(|model| model.private_limit = None);
    service.quay.traffic().forget();
    service.patch("web", &json!({"metadata": {"labels": {"touched": "yes"}}})).await?;
    service.create(&image_repository("next", &json!({}))).await?;
    service.ready("next").await?;
    assert!(!service.quay.traffic().to_string().contains("web"), "{}", service.quay.traffic());
    service.patch("web", &json!({"spec": {"image": {"visibility": "public"}}})).await?;
    service.ready("web").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_7_a_repository_that_cannot_become_private_stays_public() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service.ready("web").await?;
    service.quay.edit(|model| model.private_limit = Some(0));
    let private = json!({"spec": {"image": {"visibility": "private"}}});
    service.patch("web", &private).await?;
    let told = service.until("web", "the spec to go back", |object| {
        message(object) == "Quay organization plan private repositories limit exceeded"
            && json!(object.spec)["image"]["visibility"] == "public"
    });
    let told = told.await?;
    assert_eq!((state(&told), &status(&told)["image"]["visibility"]), (Some("ready"), &json!("public")));

    service.quay.edit(|model| model.private_limit = None);
    service.patch("web", &private).await?;
    service.until("web", "private", |object| status(object)["image"]["visibility"] == "private").await?;
    service.ready("web").await?;
    assert!(!service.quay.edit(|model| model.repositories[&service.repository("web")].is_public));
    Ok(())
}

#[tokio::test]
async fn scenario_8_each_change_of_visibility_is_one_call() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service.ready("web").await?;
    for visibility in ["private", "public"] {
        service.patch("web", &json!({"spec": {"image": {"visibility": visibility}}})).await?;
        service
            .until("web", visibility, |object| status(object)["image"]["visibility"] == visibility)
            .await?;
    }
    assert_eq!(service.quay.traffic().count(VISIBILITY), 2, "{}", service.quay.traffic());
    Ok(())
}

#[tokio::test]
async fn scenario_11_what_may_pass_is_waited_for_and_never_a_failure() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let page = Fault::Instead {
        status: 200,
        headers: vec![("content-type", "text/html".to_owned())],
        body: b"<html>Sign in</html>".to_vec(),
    };
    let robot = "PUT /organization/{organization}/robots/{robot}";
    service.quay.traffic().fail("POST /repository", 2, Fault::Answer(502));
    service.quay.traffic().fail(robot, 1, page);
    service.quay.traffic().fail(robot, 1, Fault::Answer(503));
    let limit = Fault::SecondaryLimit { status: 429, retry_after: 1 };
    service.quay.traffic().fail("PUT /repository/{repository}/permissions/user/{user}", 1, limit);
    service.create(&image_repository("web", &json!({}))).await?;
    service.until("web", "the message", |object| message(object).contains("502")).await?;
    let ready = service
        .until("web", "ready", |object| {
            assert_ne!(state(object), Some("failed"), "{}", message(object));
            state(object) == Some("ready")
        })
        .await?;
    assert_eq!(message(&ready), "");
    assert_eq!(service.robots().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_registry_that_is_not_configured_is_told_and_waited_for() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.misconfigure()?;
    service.create(&image_repository("web", &json!({}))).await?;
    let told = service.until("web", "the message", |object| message(object) == "registry is not configured");
    assert_eq!(state(&told.await?), None);
    // The Secret is read again each time.
    service.configure()?;
    service.ready("web").await?;
    Ok(())
}

/// Taking over a Secret of somebody else's could give credentials away, or lose theirs.
#[tokio::test]
async fn a_secret_of_somebody_else_stays_as_it_is() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let secrets = service.api::<Secret>();
    let foreign = testkit::builders::secret(&service.tenant, "web-image-push", [("mine", "hands off")]);
    secrets.create(&Default::default(), &foreign).await?;
    service.create(&image_repository("web", &json!({}))).await?;
    service
        .until("web", "the message", |object| {
            message(object).contains("Secret web-image-push exists and does not belong")
        })
        .await?;
    assert_eq!(secrets.get("web-image-push").await?.data, foreign.data);
    secrets.delete("web-image-push", &Default::default()).await?;
    service.ready("web").await?;
    Ok(())
}

#[tokio::test]
async fn a_repository_that_the_registry_lost_is_missing_until_it_is_made_anew() -> anyhow::Result<()> {
    let service = Service::start_with(&["--registry-check-interval=1"]).await?;
    service.component("web", &json!({})).await?;
    service.create(&of_component("images", &json!({}))).await?;
    service.ready("images").await?;
    let robots = service.robots();
    service.quay.edit(|model| model.repositories.clear());
    let missing = service.until("images", "missing", |object| state(object) == Some("missing")).await?;
    assert!(message(&missing).contains("remove the finalizer"), "{}", message(&missing));
    service.patch("images", &json!({"metadata": {"finalizers": null}})).await?;
    service.ready("images").await?;
    assert_eq!(service.robots(), robots);
    assert!(service.quay.edit(|model| model.repositories.contains_key(&service.repository("shop/web"))));

    // Back by itself.
    let kept = service.quay.edit(|model| std::mem::take(&mut model.repositories));
    service.until("images", "missing", |object| state(object) == Some("missing")).await?;
    service.quay.edit(|model| model.repositories = kept);
    service.ready("images").await?;
    Ok(())
}

#[tokio::test]
async fn a_status_that_lost_its_fields_is_damaged_until_they_are_made_up_for() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&image_repository("web", &json!({}))).await?;
    let ready = service.ready("web").await?;
    let statuses = service.api::<image_controller_api::ImageRepository>();
    let body = json!({"status": {"credentials": null}});
    statuses.patch_status("web", &Default::default(), &kube::api::Patch::Merge(&body)).await?;
    service.until("web", "damaged", |object| state(object) == Some("damaged")).await?;
    service.patch("web", &json!({"metadata": {"finalizers": null}})).await?;
    let again = service.ready("web").await?;
    let robot = |object| status(object)["credentials"]["push-robot-account"].clone();
    assert_eq!(robot(&again), robot(&ready));
    assert_eq!(service.robots().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_registry_that_hangs_does_not_hold_up_others() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.quay.traffic().fail("POST /repository", 2, Fault::Delay(Duration::from_secs(5)));
    service.create(&image_repository("slow-a", &json!({}))).await?;
    service.create(&image_repository("slow-b", &json!({}))).await?;
    eventually(DEADLINE, "both to be asked for", async || {
        anyhow::ensure!(service.quay.traffic().count("POST /repository") == 2);
        Ok(())
    })
    .await?;
    service.create(&image_repository("quick", &json!({}))).await?;
    service.ready("quick").await?;
    service.ready("slow-a").await?;
    service.ready("slow-b").await?;
    Ok(())
}
