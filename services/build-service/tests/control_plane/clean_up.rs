//! Scenario 17: the runs of a Component that is gone.

use application_service_api::Component;
use kube::api::{DeleteParams, PostParams};
use pipelines_engine_api::PipelineRun;
use serde_json::json;
use testkit::{DEADLINE, eventually, wait_gone};

use crate::service::Service;

async fn run(service: &Service, name: &str, component: &str, type_: &str) -> anyhow::Result<()> {
    let run: PipelineRun = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {
            "appstudio.openshift.io/component": component, "pipelines.appstudio.openshift.io/type": type_,
        }},
        "spec": {"pipelineRef": {"name": "p"}},
    }))?;
    service.api().create(&PostParams::default(), &run).await?;
    Ok(())
}

async fn left(service: &Service, expected: &[&str]) -> anyhow::Result<()> {
    eventually(DEADLINE, &format!("{expected:?} to be left"), async || {
        let names: Vec<_> = service.runs().await?.iter().map(kube::ResourceExt::name_any).collect();
        anyhow::ensure!(names == expected, "there are {names:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn scenario_17_a_components_runs_go_with_it_and_no_others() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.run().await?;
    for name in ["api", "api-2"] {
        let mut component = service.component(name);
        component.spec.source = None;
        service.create(&component).await?;
    }
    run(&service, "a-build", "api", "build").await?;
    run(&service, "b-test", "api", "test").await?;
    run(&service, "c-other", "api-2", "build").await?;
    run(&service, "d-untyped", "api", "").await?;
    let components = service.api::<Component>();
    components.delete("api", &DeleteParams::default()).await?;
    wait_gone(&components, "api", DEADLINE).await?;
    left(&service, &["b-test", "c-other"]).await?;

    // One that comes late, and one that goes while nobody looks.
    run(&service, "e-late", "api", "build").await?;
    left(&service, &["b-test", "c-other"]).await?;
    service.stop().await?;
    components.delete("api-2", &DeleteParams::default()).await?;
    wait_gone(&components, "api-2", DEADLINE).await?;
    service.run().await?;
    left(&service, &["b-test"]).await
}

#[tokio::test]
async fn runs_of_a_component_that_was_made_anew_stay() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    let mut component = service.component("api");
    component.spec.source = None;
    service.create(&component).await?;
    run(&service, "build", "api", "build").await?;
    let components = service.api::<Component>();
    components.delete("api", &DeleteParams::default()).await?;
    wait_gone(&components, "api", DEADLINE).await?;
    service.create(&component).await?;
    service.run().await?;
    // By the time another's runs have gone, these were looked at.
    run(&service, "gone", "never-there", "build").await?;
    left(&service, &["build"]).await
}
