//! The same at GitLab, in a group of a group.

use application_service_api::Component;
use build_service_api::build_status::PacState;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use pipelines_as_code_api::Repository;
use serde_json::json;
use testkit::forge::{Access, GitLab};
use testkit::{DEADLINE, wait_gone};

use crate::service::Service;

const PROJECT: &str = "acme/team/app";

#[tokio::test]
async fn a_project_is_set_up_by_a_token_and_taken_down() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    let gitlab = GitLab::start(&service.authority)?;
    gitlab.edit(|model| -> anyhow::Result<()> {
        model.organization("acme/team");
        model.member("acme/team", "jane", Access::Admin)?;
        model.repository(PROJECT).map(drop)
    })?;
    let token = gitlab.token("jane", &["api"]);
    service.permit_tls(gitlab.url());
    service.run().await?;
    service.add_token("git", gitlab.url(), &token, "acme/*").await?;
    let mut component = service.component_of("api", &format!("{}/{PROJECT}", gitlab.url()));
    component.annotations_mut().insert("git-provider".to_owned(), "gitlab".to_owned());
    service.create_asking(component, "configure-pac").await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Enabled), "{:?}", pac.error);
    let url = pac.merge_url.unwrap_or_default();
    assert!(url.starts_with(&format!("{}/{PROJECT}/-/merge_requests/", gitlab.url())), "{url}");
    let repository = service.api::<Repository>().get("api").await?;
    let provider = json!(repository.spec.spec.git_provider);
    assert_eq!((&provider["type"], &provider["url"]), (&json!("gitlab"), &json!(gitlab.url())));
    let hooks = gitlab.edit(|model| model.repo(PROJECT).map(|repository| repository.hooks.len()))?;
    assert_eq!(hooks, 1);

    service.api::<Component>().delete("api", &DeleteParams::default()).await?;
    wait_gone(&service.api::<Component>(), "api", DEADLINE).await?;
    let (hooks, branches) = gitlab.edit(|model| {
        model
            .repo(PROJECT)
            .map(|repository| (repository.hooks.len(), repository.refs_below("refs/heads/").count()))
    })?;
    assert_eq!((hooks, branches), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_by_gitlabs_numbers() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    let gitlab = GitLab::start(&service.authority)?;
    gitlab.edit(|model| -> anyhow::Result<()> {
        model.organization("acme");
        model.member("acme", "jane", Access::Admin)?;
        model.repository("acme/app").map(drop)
    })?;
    service.permit_tls(gitlab.url());
    service.run().await?;
    let mut component = service.component_of("api", &format!("{}/acme/app", gitlab.url()));
    component.annotations_mut().insert("git-provider".to_owned(), "gitlab".to_owned());
    service.create_asking(component, "configure-pac").await?;
    assert_eq!(service.handled("api").await?.pac.unwrap_or_default().error.id, Some(50));
    service.add_token("git", gitlab.url(), "glpat-wrong", "").await?;
    let pac = service.ask("api", "configure-pac").await?.pac.unwrap_or_default();
    assert_eq!(pac.error.id, Some(90), "{:?}", pac.error);
    Ok(())
}
