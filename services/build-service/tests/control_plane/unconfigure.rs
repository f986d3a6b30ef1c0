//! Scenarios 11 and 12: Pipelines-as-Code is taken down, on request and with the Component.

use std::time::{Duration, Instant};

use application_service_api::Component;
use build_service_api::build_status::PacState;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use pipelines_as_code_api::Repository;
use testkit::forge::{Fault, PullState};
use testkit::wait_gone;

use crate::service::{REPOSITORY, Service};

const PUSH: &str = ".tekton/api-push.yaml";

/// A service with a token, and a Component for which Pipelines-as-Code is set up.
async fn configured(names: &[&str]) -> anyhow::Result<Service> {
    let service = Service::start().await?;
    let token = service.github.token("jane", &["repo", "admin:repo_hook"]);
    service.add_token("git", service.github.url(), &token, "").await?;
    for name in names {
        service.create_asking(service.component(name), "configure-pac").await?;
        let pac = service.handled(name).await?.pac.unwrap_or_default();
        assert_eq!(pac.state, Some(PacState::Enabled), "{name}: {:?}", pac.error);
    }
    Ok(service)
}

fn hooks(service: &Service) -> usize {
    service.github.edit(|model| model.repo(REPOSITORY).map_or(0, |repository| repository.hooks.len()))
}

fn branches(service: &Service) -> Vec<String> {
    service.github.edit(|model| {
        let repository = model.repo(REPOSITORY).ok();
        let refs = repository.iter().flat_map(|repository| repository.refs_below("refs/heads/"));
        refs.map(|(name, _)| name.rsplit('/').next().unwrap_or_default().to_owned()).collect()
    })
}

#[tokio::test]
async fn scenario_11_an_open_pull_request_is_closed_with_its_branch() -> anyhow::Result<()> {
    let service = configured(&["api"]).await?;
    assert!(branches(&service).contains(&"appstudio-api".to_owned()));
    let pac = service.ask("api", "unconfigure-pac").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.merge_url), (Some(PacState::Disabled), None));
    assert!(!branches(&service).contains(&"appstudio-api".to_owned()));
    assert_eq!(hooks(&service), 0);
    let component = service.api::<Component>().get("api").await?;
    assert_eq!(component.finalizers(), [""; 0]);
    // The Repository stays until its last owner goes.
    service.api::<Repository>().get("api").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_11_merged_files_are_proposed_to_go_and_others_keep_the_webhook() -> anyhow::Result<()> {
    let service = configured(&["api", "web"]).await?;
    service.github.edit(|model| model.merge_pull(REPOSITORY, 1, "Merge it").map(drop))?;
    let pac = service.ask("api", "unconfigure-pac").await?.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Disabled));
    assert_eq!(pac.merge_url, Some(format!("{}/pull/3", service.url())));
    assert_eq!(hooks(&service), 1, "web needs it");
    assert_eq!(service.file(REPOSITORY, "appstudio-purge-api", PUSH), None);
    assert!(service.file(REPOSITORY, "main", PUSH).is_some(), "only proposed");

    service.github.edit(|model| model.merge_pull(REPOSITORY, 3, "Purge it").map(drop))?;
    let pac = service.ask("api", "unconfigure-pac").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.merge_url), (Some(PacState::Disabled), None), "there is nothing left");
    service.ask("web", "unconfigure-pac").await?;
    assert_eq!(hooks(&service), 0);
    Ok(())
}

#[tokio::test]
async fn a_component_that_is_deleted_cleans_up_behind_itself() -> anyhow::Result<()> {
    let service = configured(&["api"]).await?;
    service.github.edit(|model| model.merge_pull(REPOSITORY, 1, "Merge it").map(drop))?;
    service.api::<Component>().delete("api", &DeleteParams::default()).await?;
    wait_gone(&service.api::<Component>(), "api", testkit::DEADLINE).await?;
    let purge = service.github.edit(|model| {
        let repository = model.repo(REPOSITORY).ok()?;
        let pull = repository.pulls.iter().find(|pull| pull.head_branch == "appstudio-purge-api")?;
        Some(pull.state)
    });
    assert_eq!(purge, Some(PullState::Open));
    assert_eq!(hooks(&service), 0);
    Ok(())
}

#[tokio::test]
async fn scenario_12_a_component_goes_in_seconds_while_its_forge_is_down() -> anyhow::Result<()> {
    let service = configured(&["api", "web"]).await?;
    for (name, fault) in [("api", Fault::Drop), ("web", Fault::Hang)] {
        service.github.traffic().heal();
        service.github.traffic().fail("*", usize::MAX, fault);
        let began = Instant::now();
        service.api::<Component>().delete(name, &DeleteParams::default()).await?;
        wait_gone(&service.api::<Component>(), name, Duration::from_secs(40)).await?;
        assert!(began.elapsed() < Duration::from_secs(30), "{name} took {:?}", began.elapsed());
    }
    let note = service.told("ErrorConfiguringPaCForComponentRepository").await?;
    assert!(note.contains("may be left"), "{note}");
    Ok(())
}

/// Also where no Component can say any more where its repository is.
#[tokio::test]
async fn scenario_12_a_component_goes_whose_credentials_are_gone() -> anyhow::Result<()> {
    let service = configured(&["api"]).await?;
    service.api::<Secret>().delete("git", &DeleteParams::default()).await?;
    let secrets = kube::Api::<Secret>::namespaced(service.admin(), service.installed.namespace());
    secrets.delete("pipelines-as-code-secret", &DeleteParams::default()).await?;
    service.api::<Component>().delete("api", &DeleteParams::default()).await?;
    wait_gone(&service.api::<Component>(), "api", testkit::DEADLINE).await?;
    Ok(())
}
