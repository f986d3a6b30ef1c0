//! Killed at any moment, the service ends where it ends on a calm day; and while it is away nobody is held up.

use application_service_api::{Application, Component};
use fleet_api::Truth;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::drill::{Drill, Tenant};
use testkit::{DEADLINE, eventually, has_condition, wait_for, wait_gone};

use crate::service::{Service, application, component, devfile, git_component};

pub(crate) fn drill() -> Drill {
    Drill::of("application-service", env!("CARGO_BIN_EXE_application-service"))
}

#[tokio::test]
async fn killed_at_any_write_it_ends_where_it_ends_on_a_calm_day() -> anyhow::Result<()> {
    eprintln!("crash drill: {}", drill().crash_after_each_write(shop).await?);
    Ok(())
}

/// An Application with two Components, one of which nudges the other; a new image, a new name, and a Component less.
pub(crate) async fn shop(tenant: &Tenant) -> anyhow::Result<()> {
    let (applications, components) = (tenant.api::<Application>(), tenant.api::<Component>());
    let create = PostParams::default();
    applications.create(&create, &application("shop", &json!({"displayName": "Shop"}))).await?;
    wait_for(&applications, "shop", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;

    let spec =
        json!({"componentName": "web", "application": "shop", "containerImage": "images.example/web:1"});
    components.create(&create, &component("web", &spec)).await?;
    let mut api = git_component("api", "shop");
    api.spec.build_nudges_ref = vec!["web".into()];
    components.create(&create, &api).await?;
    for name in ["web", "api"] {
        wait_for(&components, name, "Created", DEADLINE, |component: &Component| {
            has_condition("Created", Truth::True)(component) && component.metadata.owner_references.is_some()
        })
        .await?;
    }
    wait_for(&components, "web", "its nudger", DEADLINE, |web| nudged_by(web) == ["api"]).await?;
    wait_for(&applications, "shop", "both in its model", DEADLINE, |shop| {
        let model = model(shop);
        model["attributes"]["containerImage/web"] == "images.example/web:1"
            && model["projects"][0]["name"] == "api"
    })
    .await?;

    let image = json!({"spec": {"containerImage": "images.example/web:2"}});
    components.patch("web", &PatchParams::default(), &Patch::Merge(&image)).await?;
    wait_for(&components, "web", "the image", DEADLINE, has_condition("Updated", Truth::True)).await?;
    wait_for(&applications, "shop", "the image in its model", DEADLINE, |shop| {
        model(shop)["attributes"]["containerImage/web"] == "images.example/web:2"
    })
    .await?;

    let name = json!({"spec": {"displayName": "New Shop"}});
    applications.patch("shop", &PatchParams::default(), &Patch::Merge(&name)).await?;
    wait_for(&applications, "shop", "its name", DEADLINE, |shop| {
        model(shop)["metadata"]["name"] == "New Shop"
    })
    .await?;

    the_webhook_answers(&components).await?;
    components.delete("api", &Default::default()).await?;
    wait_gone(&components, "api", DEADLINE).await?;
    wait_for(&applications, "shop", "one less", DEADLINE, |shop| model(shop)["projects"].is_null()).await?;
    wait_for(&components, "web", "no nudger", DEADLINE, |web| nudged_by(web).is_empty()).await?;
    Ok(())
}

/// Its certificate and the authority that the API server was told fit each other.
async fn the_webhook_answers(components: &Api<Component>) -> anyhow::Result<()> {
    eventually(DEADLINE, "the webhook to refuse a cycle", async || {
        let back = json!({"spec": {"build-nudges-ref": ["api"]}});
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        match components.patch("web", &dry_run, &Patch::Merge(&back)).await {
            Ok(_) => anyhow::bail!("the cycle was accepted"),
            Err(error) if error.to_string().contains("cycle detected") => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

#[tokio::test]
async fn while_it_is_away_others_create_and_patch_and_then_it_catches_up() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    applications
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    components.create(&PostParams::default(), &git_component("old", "shop")).await?;
    wait_for(&components, "old", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    service.stop().await?;
    service.only_its_webhooks_are_left().await?;

    let mut new = git_component("new", "shop");
    new.spec.build_nudges_ref = vec!["old".into()];
    components.create(&PostParams::default(), &new).await?;
    let image = json!({"spec": {"containerImage": "images.example/old:2"}});
    components.patch("old", &PatchParams::default(), &Patch::Merge(&image)).await?;
    let name = json!({"spec": {"displayName": "New Shop"}});
    applications.patch("shop", &PatchParams::default(), &Patch::Merge(&name)).await?;
    let unseen = components.get("new").await?;
    assert!(unseen.status.is_none(), "nobody is there to write it: {:?}", unseen.status);

    service.run().await?;
    wait_for(&components, "new", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    wait_for(&components, "old", "its image and nudger", DEADLINE, |old| {
        let status = old.status.clone().unwrap_or_default();
        status.container_image.as_deref() == Some("images.example/old:2") && status.build_nudged_by == ["new"]
    })
    .await?;
    wait_for(&applications, "shop", "its name and both projects", DEADLINE, |shop| {
        let model = model(shop);
        model["metadata"]["name"] == "New Shop"
            && model["projects"].as_array().is_some_and(|all| all.len() == 2)
    })
    .await?;
    Ok(())
}

/// Nor does a service that has never run: nobody has written the authority of its webhook yet.
#[tokio::test]
async fn before_it_first_runs_others_create_and_patch_and_then_it_catches_up() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.only_its_webhooks_are_left().await?;
    let (applications, components) = (service.applications(), service.components());
    let mut web = git_component("web", "shop");
    web.spec.build_nudges_ref = vec!["api".into()];
    components.create(&PostParams::default(), &web).await?;
    components.create(&PostParams::default(), &git_component("api", "shop")).await?;
    // A cycle, which the webhook would have refused.
    let back = json!({"spec": {"build-nudges-ref": ["web"]}});
    components.patch("api", &PatchParams::default(), &Patch::Merge(&back)).await?;
    applications
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;

    service.run().await?;
    for name in ["web", "api"] {
        wait_for(&components, name, "Created, and the cycle told", DEADLINE, |component: &Component| {
            has_condition("Created", Truth::True)(component)
                && has_condition("NudgesAcyclic", Truth::False)(component)
        })
        .await?;
    }
    wait_for(&applications, "shop", "both projects", DEADLINE, |shop| {
        model(shop)["projects"].as_array().is_some_and(|all| all.len() == 2)
    })
    .await?;
    Ok(())
}

fn model(application: &Application) -> serde_json::Value {
    devfile(application.status.as_ref().and_then(|status| status.devfile.as_ref()))
}

fn nudged_by(component: &Component) -> Vec<String> {
    component.status.clone().unwrap_or_default().build_nudged_by
}
