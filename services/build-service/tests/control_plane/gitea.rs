//! The same at Gitea itself.

use application_service_api::Component;
use build_service_api::build_status::PacState;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use pipelines_as_code_api::Repository;
use serde_json::json;
use testkit::gitea::{Client, Gitea, NewUser, Push};
use testkit::{DEADLINE, wait_gone};

use crate::service::Service;

/// A repository of a user of their own, with a commit, and a service that may change it.
async fn scene(owner: &str, flags: &[&str]) -> anyhow::Result<(Service, Client, String)> {
    let gitea = Gitea::shared().await;
    let forge = gitea.client()?;
    forge.ensure_user(&NewUser { name: owner, password: "a password", is_administrator: false }).await?;
    let name = format!("{owner}/app");
    forge.ensure_repository(&name, false).await?;
    let client = forge.with_password(owner, "a password");
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("README.md"), "one")?;
    client.push(&Push { repository: &name, branch: "main", folder: folder.path(), message: "Begin" }).await?;

    let mut service = Service::install().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    service.trust(gitea.url(), gitea.certificate_authority())?;
    service.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
    service.run().await?;
    let token = forge.new_token(owner, "konflux", &["write:repository", "write:issue", "read:user"]).await?;
    service.add_token("gitea", gitea.url(), &token, "").await?;
    let url = format!("{}/{name}", gitea.url().trim_end_matches('/'));
    let mut component = service.component_of("api", &url);
    component.annotations_mut().insert("git-provider".to_owned(), "gitea".to_owned());
    service.create_asking(component, "configure-pac").await?;
    Ok((service, client, name))
}

#[tokio::test]
async fn a_repository_is_set_up_and_cleaned_up_with_its_component() -> anyhow::Result<()> {
    let (service, client, name) = scene("bertha", &[]).await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Enabled), "{:?}", pac.error);
    let url = pac.merge_url.unwrap_or_default();
    assert!(url.ends_with(&format!("{name}/pulls/1")), "{url}");
    let repository = service.api::<Repository>().get("api").await?;
    let provider = json!(repository.spec.spec.git_provider);
    assert_eq!(provider["type"], "gitea");
    assert_eq!(provider["secret"], json!({"name": "gitea", "key": "password"}));
    assert_eq!(client.hooks_of(&name).await?.len(), 1);

    client.merge(&name, 1).await?;
    let told = service.ask("api", "configure-pac").await?;
    assert_eq!(told.pac.unwrap_or_default().merge_url, None, "it is merged");
    service.api::<Component>().delete("api", &DeleteParams::default()).await?;
    wait_gone(&service.api::<Component>(), "api", DEADLINE).await?;
    assert_eq!(client.hooks_of(&name).await?.len(), 0);
    let pulls = client.pulls(&name).await?;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    assert!(client.commit(&name, "appstudio-purge-api").await?.is_some());
    Ok(())
}

/// Where the forge sends all events by one webhook, a second one would start everything twice.
#[tokio::test]
async fn a_forge_with_a_webhook_of_its_own_gets_no_other() -> anyhow::Result<()> {
    let (service, client, name) = scene("berthold", &["--system-webhooks=localhost"]).await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Enabled), "{:?}", pac.error);
    assert_eq!(client.hooks_of(&name).await?.len(), 0);
    let repository = service.api::<Repository>().get("api").await?;
    assert!(repository.spec.spec.git_provider.unwrap_or_default().webhook_secret.is_some());
    Ok(())
}
