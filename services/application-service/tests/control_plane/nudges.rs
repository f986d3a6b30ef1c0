//! Scenarios 14 and 15.

use std::time::{Duration, Instant};

use application_service_api::Component;
use fleet_api::Truth;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use testkit::{DEADLINE, has_condition, wait_for};

use crate::service::{Service, application, git_component};

fn nudging(name: &str, targets: &[&str]) -> Component {
    let mut component = git_component(name, "shop");
    component.spec.build_nudges_ref = targets.iter().map(|name| (*name).to_owned()).collect();
    component
}

fn nudged_by(component: &Component) -> Vec<String> {
    component.status.clone().unwrap_or_default().build_nudged_by
}

async fn create(components: &Api<Component>, component: &Component) -> anyhow::Result<()> {
    components.create(&PostParams::default(), component).await?;
    Ok(())
}

/// A service that has an Application, and whose webhook knows Components `b` (nudged by `a`) and `a`.
async fn with_a_nudging_b() -> anyhow::Result<(Service, Api<Component>)> {
    let service = Service::start().await?;
    service
        .applications()
        .create(&PostParams::default(), &application("shop", &json!({"displayName": "Shop"})))
        .await?;
    let components = service.components();
    create(&components, &nudging("b", &[])).await?;
    create(&components, &nudging("a", &["b"])).await?;
    wait_for(&components, "b", "nudged by a", DEADLINE, |b| nudged_by(b) == ["a"]).await?;
    Ok((service, components))
}

async fn refusal(components: &Api<Component>, name: &str, targets: &[&str]) -> String {
    let patch = json!({"spec": {"build-nudges-ref": targets}});
    let refused = components.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    refused.expect_err("refused").to_string()
}

#[tokio::test]
async fn scenario_14_cycles_are_refused_and_edges_followed() -> anyhow::Result<()> {
    let (_service, components) = with_a_nudging_b().await?;
    let text = refusal(&components, "b", &["a"]).await;
    assert!(text.contains("cycle detected: b -> a -> b") && text.contains("build-nudges-ref"), "{text}");
    let text = refusal(&components, "b", &["b"]).await;
    assert!(text.contains("cycle detected"), "{text}");

    create(&components, &nudging("c", &["b"])).await?;
    wait_for(&components, "b", "both nudgers", DEADLINE, |b| nudged_by(b) == ["a", "c"]).await?;
    let dropped = json!({"spec": {"build-nudges-ref": null}});
    components.patch("a", &PatchParams::default(), &Patch::Merge(&dropped)).await?;
    wait_for(&components, "b", "one nudger", DEADLINE, |b| nudged_by(b) == ["c"]).await?;
    components.delete("c", &Default::default()).await?;
    wait_for(&components, "b", "no nudger", DEADLINE, |b| nudged_by(b).is_empty()).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_14_a_diamond_of_twenty_layers_takes_less_than_a_second() -> anyhow::Result<()> {
    let (_service, components) = with_a_nudging_b().await?;
    let layer = |i: usize| [format!("l{i}"), format!("r{i}")];
    for i in (0..20).rev() {
        let below = layer(i + 1);
        let below: Vec<&str> = if i == 19 { vec![] } else { below.iter().map(String::as_str).collect() };
        for name in layer(i) {
            create(&components, &nudging(&name, &below)).await?;
        }
    }
    // The webhook has seen the whole diamond once its lowest layer is told who nudges it.
    wait_for(&components, "l1", "its nudgers", DEADLINE, |l1| nudged_by(l1) == ["l0", "r0"]).await?;
    // One of three: a walk of every path takes minutes each time, a busy machine now and then a second.
    let mut fastest = Duration::MAX;
    for top in ["top-a", "top-b", "top-c"] {
        let began = Instant::now();
        create(&components, &nudging(top, &["l0", "r0"])).await?;
        fastest = fastest.min(began.elapsed());
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    Ok(())
}

#[tokio::test]
async fn scenario_14_a_cycle_made_behind_the_webhook_s_back_is_reported() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let components = service.components();
    // The service is down, so its webhook stops nobody (failurePolicy Ignore).
    create(&components, &nudging("a", &["b"])).await?;
    create(&components, &nudging("b", &["a"])).await?;
    service.run().await?;
    for name in ["a", "b"] {
        let told =
            wait_for(&components, name, "the cycle", DEADLINE, has_condition("NudgesAcyclic", Truth::False));
        told.await?;
    }
    let broken = json!({"spec": {"build-nudges-ref": null}});
    components.patch("b", &PatchParams::default(), &Patch::Merge(&broken)).await?;
    for name in ["a", "b"] {
        let told =
            wait_for(&components, name, "its end", DEADLINE, has_condition("NudgesAcyclic", Truth::True));
        told.await?;
    }
    Ok(())
}

#[tokio::test]
async fn scenario_15_a_dry_run_leaves_no_trace() -> anyhow::Result<()> {
    let (_service, components) = with_a_nudging_b().await?;
    let before = components.get("b").await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    components.create(&dry_run, &nudging("ghost", &["b"])).await?;
    // Something real afterwards shows that the service has looked since.
    create(&components, &nudging("real", &[])).await?;
    wait_for(&components, "real", "Created", DEADLINE, has_condition("Created", Truth::True)).await?;
    assert_eq!(components.get("b").await?.metadata.resource_version, before.metadata.resource_version);
    Ok(())
}
