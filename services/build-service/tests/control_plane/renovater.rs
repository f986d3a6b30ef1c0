//! References in `.tekton` are kept new by Jobs, while there is the global selector of pipelines.

use application_service_api::Component;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use testkit::{DEADLINE, eventually};

use crate::service::Service;

async fn jobs(service: &Service) -> anyhow::Result<Vec<Job>> {
    let jobs: Api<Job> = Api::namespaced(service.admin(), service.installed.namespace());
    Ok(jobs.list(&ListParams::default()).await?.items)
}

fn is_let_go(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(false))
}

#[tokio::test]
async fn a_job_goes_through_the_repositories_of_all_components() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    service.flags.push("--renovate-pattern=^images.example/tasks/".to_owned());
    for (name, url) in [
        ("api", service.url()),
        ("web", service.url()),
        ("strange", service.url_of("others/strange")),
        ("odd", "https://git.example/acme/odd".to_owned()),
    ] {
        let mut component = service.component_of(name, &url);
        if name == "odd" {
            component.annotations_mut().clear();
        }
        service.api::<Component>().create(&PostParams::default(), &component).await?;
    }
    let selectors = json!([{"pipelineRef": service.pipeline_ref()}]);
    service.select_in(service.installed.namespace(), "build-pipeline-selector", &selectors).await?;
    service.run().await?;
    let job = eventually(DEADLINE, "a Job that is let go", async || {
        let jobs = jobs(&service).await?;
        let found = jobs.into_iter().find(is_let_go);
        found.ok_or_else(|| anyhow::anyhow!("there is none"))
    })
    .await?;
    let name = job.name_any();
    assert!(name.starts_with("renovate-job-"), "{name}");
    let maps: Api<ConfigMap> = Api::namespaced(service.admin(), service.installed.namespace());
    let data = maps.get(&name).await?.data.unwrap_or_default();
    let [(key, text)] = &data.iter().collect::<Vec<_>>()[..] else { anyhow::bail!("{data:?}") };
    let config: Value = serde_json::from_str(text)?;
    assert_eq!(config["repositories"], json!([{"repository": "acme/app", "baseBranches": []}]));
    assert_eq!(config["enabledManagers"], json!(["tekton"]));
    assert_eq!(config["tekton"]["packageRules"][1]["matchDepPatterns"], json!(["^images.example/tasks/"]));
    let secrets: Api<Secret> = Api::namespaced(service.admin(), service.installed.namespace());
    let tokens = secrets.get(&name).await?.data.unwrap_or_default();
    assert_eq!(tokens.keys().map(|id| format!("{id}.json")).collect::<Vec<_>>(), [(*key).clone()]);
    let note = service.told("ErrorComponentProviderInfo").await?;
    assert!(note.contains("60"), "{note}");

    // What was begun in this hour is not begun again.
    service.stop().await?;
    service.run().await?;
    service.create_asking(service.component_of("other", &service.url()), "unconfigure-pac").await?;
    service.handled("other").await?;
    let names: Vec<_> = jobs(&service).await?.iter().map(kube::ResourceExt::name_any).collect();
    // An hour may have begun in between.
    assert!(names.contains(&name) && names.len() <= 2, "{names:?}");
    Ok(())
}
