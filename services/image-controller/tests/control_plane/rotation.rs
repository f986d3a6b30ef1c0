//! New tokens.

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use testkit::forge::Fault;

use crate::service::{Service, message, of_component, status};

const ASK: &str = "POST /organization/{organization}/robots/{robot}/regenerate";

fn ask() -> Value {
    json!({"spec": {"credentials": {"regenerate-token": true}}})
}

async fn made() -> anyhow::Result<(Service, String, String)> {
    let service = Service::start().await?;
    service.component("web", &json!({})).await?;
    service.create(&of_component("images", &json!({}))).await?;
    let ready = service.ready("images").await?;
    let account = |key: &str| status(&ready)["credentials"][key].as_str().unwrap_or_default().to_owned();
    let (push, pull) = (account("push-robot-account"), account("pull-robot-account"));
    Ok((service, push, pull))
}

/// Waits until both Secrets have the tokens that are valid, each made once, and nothing is asked for any more.
async fn rotated(service: &Service, push: &str, pull: &str, times: usize) -> anyhow::Result<()> {
    service
        .until("images", "the request to go", |object| {
            let key = "fleet.konflux-ci.dev/rotated";
            let notes = object.metadata.annotations.as_ref();
            object.spec.credentials.is_none()
                && message(object).is_empty()
                && !notes.is_some_and(|notes| notes.contains_key(key))
        })
        .await?;
    let url = service.url("shop/web");
    service.logs_in("images-image-push", &url, push).await?;
    service.logs_in("images-image-pull", &url, pull).await?;
    let rotations = service.quay.edit(|model| [push, pull].map(|robot| model.robots[robot].rotations));
    assert_eq!(rotations, [times; 2], "{}", service.quay.traffic());
    Ok(())
}

#[tokio::test]
async fn scenario_9_both_tokens_are_replaced_once_and_delivered() -> anyhow::Result<()> {
    let (service, push, pull) = made().await?;
    let before = service.api::<image_controller_api::ImageRepository>().get("images").await?;
    let generated = |object: &image_controller_api::ImageRepository| {
        status(object)["credentials"]["generationTimestamp"].as_str().unwrap_or_default().to_owned()
    };
    let old = service.login("images-image-push", &service.url("shop/web")).await?;
    // Times are in whole seconds.
    service.clock_has_moved(&generated(&before)).await?;
    service.patch("images", &ask()).await?;
    rotated(&service, &push, &pull, 1).await?;
    let after = service.api::<image_controller_api::ImageRepository>().get("images").await?;
    assert!(generated(&after) > generated(&before), "{} {}", generated(&after), generated(&before));
    assert_ne!(service.login("images-image-push", &service.url("shop/web")).await?, old);
    service.told("images", "CredentialsRotated").await?;

    service.api::<Secret>().delete("images-image-push", &Default::default()).await?;
    service.patch("images", &ask()).await?;
    rotated(&service, &push, &pull, 2).await
}

#[tokio::test]
async fn a_second_token_that_cannot_be_replaced_does_not_replace_the_first_again() -> anyhow::Result<()> {
    let (service, push, pull) = made().await?;
    let traffic = service.quay.traffic();
    // The first goes through, the second does not, twice.
    traffic.fail(ASK, 1, Fault::Delay(std::time::Duration::ZERO));
    traffic.fail(ASK, 2, Fault::Answer(500));
    service.patch("images", &ask()).await?;
    rotated(&service, &push, &pull, 1).await
}

/// After the kill of scenario 10: what the answer was lost of is seen to be done.
#[tokio::test]
async fn a_lost_answer_does_not_replace_a_token_twice() -> anyhow::Result<()> {
    let (service, push, pull) = made().await?;
    service.quay.traffic().fail(ASK, 1, Fault::LoseReply);
    service.patch("images", &ask()).await?;
    rotated(&service, &push, &pull, 1).await
}
