//! Scenarios 13 and 14: builds by Pipelines-as-Code are asked for.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use build_service_api::build_status::PacState;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use parking_lot::Mutex;
use pipelines_as_code_api::Repository;
use serde_json::{Value, json};
use testkit::{DEADLINE, eventually};

use crate::service::Service;

const INCOMING: &str = "fleet.konflux-ci.dev/incoming";

async fn configured(service: &Service, name: &str) -> anyhow::Result<()> {
    service.create_asking(service.component(name), "configure-pac").await?;
    let pac = service.handled(name).await?.pac.unwrap_or_default();
    anyhow::ensure!(pac.state == Some(PacState::Enabled), "{name}: {:?}", pac.error);
    Ok(())
}

/// Entries as somebody else may have left them.
async fn make_a_mess(service: &Service) -> anyhow::Result<()> {
    let entries = json!([
        {"type": "webhook-url", "secret": {"name": "wrong"}, "targets": ["b", "a"]},
        {"type": "webhook-url"},
        {"type": "webhook-url", "targets": ["a", "main"]},
    ]);
    let body = json!({"spec": {"incoming": entries}});
    service.api::<Repository>().patch("api", &PatchParams::default(), &Patch::Merge(&body)).await?;
    Ok(())
}

fn one_entry(targets: &[&str]) -> Value {
    json!([{
        "type": "webhook-url", "secret": {"name": "api-incoming", "key": "incoming-secret"}, "targets": targets,
    }])
}

#[tokio::test]
async fn scenario_13_an_entry_asks_for_the_build_and_messy_ones_become_one() -> anyhow::Result<()> {
    let service = Service::start().await?;
    configured(&service, "api").await?;
    configured(&service, "web").await?;
    make_a_mess(&service).await?;
    let told = service.ask("api", "trigger-pac-build").await?;
    assert_eq!(told.message.as_deref(), Some("done"), "{:?}", told.pac);
    service.ask("web", "trigger-pac-build").await?;
    let repository = service.api::<Repository>().get("api").await?;
    assert_eq!(json!(repository.spec.spec.incoming), one_entry(&["b", "a", "main"]));
    let asked: Vec<Value> = serde_json::from_str(&repository.annotations()[INCOMING])?;
    let shown: Vec<_> = asked.iter().map(|entry| (&entry["branch"], &entry["pipelineRun"])).collect();
    assert_eq!(shown, [(&json!("main"), &json!("api-on-push")), (&json!("main"), &json!("web-on-push"))]);
    assert_ne!(asked[0]["id"], asked[1]["id"]);
    let secret = service.api::<Secret>().get("api-incoming").await?;
    assert_eq!(secret.owner_references()[0].uid, repository.uid().unwrap_or_default());
    let value = secret.data.unwrap_or_default()["incoming-secret"].0.clone();
    assert!(value.len() == 40 && value.iter().all(u8::is_ascii_hexdigit));

    // Each request is one more build.
    service.ask("api", "trigger-pac-build").await?;
    let repository = service.api::<Repository>().get("api").await?;
    let asked: Vec<Value> = serde_json::from_str(&repository.annotations()[INCOMING])?;
    assert_eq!(asked.len(), 3);

    // Nobody asks for builds of a branch that is built no more.
    service.ask("api", "unconfigure-pac").await?;
    let repository = service.api::<Repository>().get("api").await?;
    assert_eq!(
        json!(repository.spec.spec.incoming),
        one_entry(&["b", "a", "main"]),
        "web is built from main"
    );
    service.ask("web", "unconfigure-pac").await?;
    let repository = service.api::<Repository>().get("api").await?;
    assert_eq!(json!(repository.spec.spec.incoming), one_entry(&["b", "a"]));
    assert!(service.api::<Secret>().get_opt("api-incoming").await?.is_none());
    Ok(())
}

/// What came to the HTTP endpoint: query, delivery id, and what the Repository was like then.
type Calls = Arc<Mutex<Vec<(String, String, Value)>>>;

/// The endpoint of upstream's Pipelines-as-Code: refuses the first call.
async fn endpoint(service: &Service) -> anyhow::Result<(String, Calls)> {
    #[derive(Clone)]
    struct Seen(Calls, kube::Api<Repository>);
    async fn take(State(seen): State<Seen>, RawQuery(query): RawQuery, headers: HeaderMap) -> StatusCode {
        let incoming = seen.1.get("api").await.map(|repository| json!(repository.spec.spec.incoming));
        let id = headers.get("x-konflux-delivery").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let mut calls = seen.0.lock();
        calls.push((query.unwrap_or_default(), id.to_owned(), incoming.unwrap_or_default()));
        if calls.len() == 1 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::ACCEPTED }
    }
    let calls = Calls::default();
    let seen = Seen(Arc::clone(&calls), service.api());
    let routes = Router::new().route("/incoming", post(take)).with_state(seen);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok((url, calls))
}

#[tokio::test]
async fn scenario_13_a_call_comes_after_the_change_is_repeated_and_is_one_delivery() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    let (url, calls) = endpoint(&service).await?;
    service.permit(&url);
    service.flags.push("--pac-trigger=http".to_owned());
    service.webhook_target.clone_from(&url);
    service.run().await?;
    configured(&service, "api").await?;
    make_a_mess(&service).await?;
    let told = service.ask("api", "trigger-pac-build").await?;
    assert_eq!(told.message.as_deref(), Some("done"));
    let calls = calls.lock().clone();
    assert_eq!(calls.len(), 2, "{calls:?}");
    for (query, id, incoming) in &calls {
        let expected =
            format!("repository=api&namespace={}&branch=main&pipelinerun=api-on-push", &*service.tenant);
        assert!(query.starts_with("secret=") && query.ends_with(&expected), "{query}");
        assert_eq!(id, &calls[0].1);
        assert_eq!(*incoming, one_entry(&["b", "a", "main"]));
    }
    let component = service.api::<application_service_api::Component>().get("api").await?;
    let shown = serde_json::to_string(&component)?;
    let secret = calls[0].0.split('&').next().unwrap_or_default().trim_start_matches("secret=").to_owned();
    assert!(!shown.contains(&secret), "the secret is told");
    Ok(())
}

#[tokio::test]
async fn scenario_14_what_is_not_set_up_is_not_asked_for() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create(&service.component("api")).await?;
    service.handled("api").await?;
    let told = service.ask("api", "trigger-pac-build").await?;
    let message = told.message.unwrap_or_default();
    assert!(message.contains("request configure-pac first"), "{message}");
    assert!(told.simple.is_some(), "the other section stays");

    // Somebody has deleted the Repository.
    configured_then_deleted(&service).await?;
    let told = service.ask("api", "trigger-pac-build").await?;
    let pac = told.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.error.id), (Some(PacState::Enabled), Some(1)));
    assert!(pac.error.detail.unwrap_or_default().contains("request configure-pac again"));
    Ok(())
}

async fn configured_then_deleted(service: &Service) -> anyhow::Result<()> {
    service.ask("api", "configure-pac").await?;
    service.api::<Repository>().delete("api", &Default::default()).await?;
    eventually(DEADLINE, "the Repository to be gone", async || {
        anyhow::ensure!(service.api::<Repository>().get_opt("api").await?.is_none(), "it is there");
        Ok(())
    })
    .await
}
