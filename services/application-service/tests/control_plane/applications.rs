//! Scenarios 3 and, for registry mode, 13.

use application_service_api::Application;
use fleet_api::Truth;
use kube::api::{Patch, PatchParams, PostParams};
use rstest::rstest;
use serde_json::{Value, json};
use testkit::{DEADLINE, eventually, has_condition, wait_for, wait_gone};

use crate::service::{Service, application, devfile, git_component};

#[rstest]
#[case::begins_with_a_digit("1app", json!({"displayName": "x"}), &["invalid application name", "1app"])]
#[case::too_long(&"a".repeat(64), json!({"displayName": "x"}), &["invalid application name"])]
#[case::upper_case("App", json!({"displayName": "x"}), &["App"])]
#[case::empty_display_name("app", json!({"displayName": ""}), &["spec.displayName", "display name missing"])]
#[case::no_display_name("app", json!({}), &["spec.displayName"])]
#[tokio::test]
async fn scenario_3_refuses_bad_applications(
    #[case] name: &str,
    #[case] spec: Value,
    #[case] expected: &[&str],
) -> anyhow::Result<()> {
    let service = Service::install().await?;
    let object = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1", "kind": "Application", "metadata": {"name": name},
        "spec": spec,
    });
    let resource = kube::core::ApiResource::erase::<Application>(&());
    let applications =
        kube::Api::<kube::api::DynamicObject>::namespaced_with(service.admin(), &service.tenant, &resource);
    let refused = applications.create(&PostParams::default(), &serde_json::from_value(object)?).await;
    let text = refused.expect_err("refused").to_string();
    for part in expected {
        assert!(text.contains(part), "{part} in {text}");
    }
    Ok(())
}

#[tokio::test]
async fn scenario_3_a_new_display_name_reaches_the_model() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let applications = service.applications();
    let spec = json!({"displayName": "Old", "gitOpsRepository": {"url": "https://git.example/gitops"}});
    applications.create(&PostParams::default(), &application("shop", &spec)).await?;
    let created =
        wait_for(&applications, "shop", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    let status = created.status.unwrap_or_default();
    assert_eq!(devfile(status.devfile.as_ref())["metadata"]["name"], "Old");
    assert_eq!(status.conditions[0].observed_generation, Some(1));

    let moved = json!({"spec": {"gitOpsRepository": {"url": "https://git.example/other"}}});
    let refused = applications.patch("shop", &PatchParams::default(), &Patch::Merge(&moved)).await;
    let text = refused.expect_err("refused").to_string();
    assert!(text.contains("repository cannot be updated to") && text.contains("other"), "{text}");

    let renamed = json!({"spec": {"displayName": "New"}});
    applications.patch("shop", &PatchParams::default(), &Patch::Merge(&renamed)).await?;
    let updated =
        wait_for(&applications, "shop", "Updated", DEADLINE, has_condition("Updated", Truth::True)).await?;
    assert_eq!(devfile(updated.status.and_then(|status| status.devfile).as_ref())["metadata"]["name"], "New");
    Ok(())
}

/// The Event of a transition tells a user what the condition says.
#[tokio::test]
async fn a_transition_is_an_event() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service
        .applications()
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    let events =
        kube::Api::<k8s_openapi::api::events::v1::Event>::namespaced(service.admin(), &service.tenant);
    eventually(DEADLINE, "the Event CreatedOK", async || {
        let list = events.list(&Default::default()).await?;
        let of_shop: Vec<_> = list
            .iter()
            .filter(|event| {
                event.regarding.as_ref().and_then(|object| object.name.as_deref()) == Some("shop")
            })
            .collect();
        anyhow::ensure!(of_shop.len() == 1, "{} Events", of_shop.len());
        anyhow::ensure!(of_shop[0].reason.as_deref() == Some("CreatedOK"), "{:?}", of_shop[0].reason);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn scenario_13_a_deleted_component_leaves_the_model() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (applications, components) = (service.applications(), service.components());
    applications
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    for name in ["api", "web"] {
        components.create(&PostParams::default(), &git_component(name, "shop")).await?;
    }
    let projects = |application: &Application| -> Vec<String> {
        let devfile = devfile(application.status.as_ref().and_then(|status| status.devfile.as_ref()));
        let projects = devfile["projects"].as_array().cloned().unwrap_or_default();
        projects.iter().filter_map(|project| project["name"].as_str().map(str::to_owned)).collect()
    };
    wait_for(&applications, "shop", "both projects", DEADLINE, |shop| projects(shop) == ["api", "web"])
        .await?;
    components.delete("api", &Default::default()).await?;
    wait_for(&applications, "shop", "one project", DEADLINE, |shop| projects(shop) == ["web"]).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_13_an_application_takes_its_twenty_components_along() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.plane.controllers().await?;
    let (applications, components) = (service.applications(), service.components());
    applications
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    for i in 0..20 {
        components.create(&PostParams::default(), &git_component(&format!("c{i}"), "shop")).await?;
    }
    for i in 0..20 {
        let is_owned = |component: &application_service_api::Component| {
            component.metadata.owner_references.as_ref().is_some_and(|owners| owners.len() == 1)
        };
        wait_for(&components, &format!("c{i}"), "an owner", DEADLINE, is_owned).await?;
    }
    applications.delete("shop", &Default::default()).await?;
    wait_gone(&applications, "shop", DEADLINE).await?;
    eventually(DEADLINE, "all Components to go", async || {
        let left = components.list(&Default::default()).await?.items.len();
        anyhow::ensure!(left == 0, "{left} left");
        Ok(())
    })
    .await?;
    eventually(DEADLINE, "the deletions to be counted", async || {
        let counted = service.counter("has_component_successful_deletion_total");
        anyhow::ensure!(counted >= 20.0, "{counted}");
        Ok(())
    })
    .await
}
