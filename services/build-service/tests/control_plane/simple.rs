//! Scenarios 1, 2, 7 and 15: builds without Pipelines-as-Code, the choice of a pipeline, requests that are none.

use std::time::Duration;

use application_service_api::Component;
use build_service_api::BuildStatus;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::{DEADLINE, builders, eventually, wait_for};

use crate::service::{CLAIM, REPOSITORY, REQUEST, STATUS, Service, pipeline_ref, status};

fn params(run: &PipelineRun) -> Vec<(&str, String)> {
    let value =
        |param: &pipelines_engine_api::Param| json!(param.value).as_str().unwrap_or_default().to_owned();
    run.spec.params.iter().map(|param| (param.name.as_str(), value(param))).collect()
}

#[tokio::test]
async fn scenario_1_a_new_component_is_built_once() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let component = service.component("api");
    service.create(&component).await?;
    let told = service.handled("api").await?;
    assert_eq!(told.message.as_deref(), Some(BuildStatus::DONE));
    let began = told.simple.and_then(|simple| simple.build_start_time).unwrap_or_default();
    assert!(began.ends_with(" UTC") && began.contains(", "), "{began}");
    assert_eq!(told.pac, None);

    let runs = service.has_runs(1).await?;
    let run = &runs[0];
    assert!(run.name_any().starts_with("api-"), "{}", run.name_any());
    let labels = [
        "appstudio.openshift.io/application",
        "appstudio.openshift.io/component",
        "pipelines.appstudio.openshift.io/type",
    ];
    assert_eq!(labels.map(|key| run.labels()[key].as_str()), ["shop", "api", "build"]);
    let owner = &run.owner_references()[0];
    let component = service.api::<Component>().get("api").await?;
    assert_eq!((owner.kind.as_str(), &owner.uid), ("Component", &component.uid().unwrap_or_default()));
    assert_eq!(owner.controller, None);
    let head = service.github.edit(|model| {
        let repository = model.repo(REPOSITORY).ok()?;
        repository.head("main").map(str::to_owned)
    });
    let params = params(run);
    let names: Vec<_> = params.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["dockerfile", "git-url", "output-image", "path-context", "revision"]);
    assert_eq!(params[1].1, service.url());
    assert!(params[2].1.starts_with("images.example/shop/api:build-"), "{}", params[2].1);
    assert_eq!(Some(&params[4].1), head.as_ref());
    let chosen = ["name", "bundle", "kind"].map(|name| {
        let reference = run.spec.pipeline_ref.as_ref()?;
        let param = reference.params.iter().find(|param| param.name == name)?;
        param.value.as_str().map(str::to_owned)
    });
    assert_eq!(
        chosen,
        [Some("docker-build".to_owned()), Some(service.bundle()), Some("pipeline".to_owned())]
    );

    // Neither changes nor a restart build it again.
    for i in 0..10 {
        service.annotate("api", &json!({"note": i.to_string()})).await?;
    }
    service.stop().await?;
    service.run().await?;
    service.create(&service.component("marker")).await?;
    service.handled("marker").await?;
    service.has_runs(2).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_2_a_component_that_lacks_something_waits() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let components = service.api::<Component>();
    // Without a model.
    components.create(&PostParams::default(), &service.component("model")).await?;
    // Without an image.
    let mut image = service.component("image");
    image.spec.container_image = None;
    service.create(&image).await?;
    // Without a source.
    let mut source = service.component("source");
    source.spec.source = None;
    service.create(&source).await?;
    service.create(&service.component("marker")).await?;
    service.handled("marker").await?;
    service.has_runs(1).await?;
    for name in ["model", "image", "source"] {
        let component = components.get(name).await?;
        let ours = [STATUS, REQUEST, CLAIM].map(|key| component.annotations().contains_key(key));
        assert_eq!(ours, [false; 3], "{name}");
    }

    // Who asks is told what is waited for, and it goes on by itself.
    service.annotate("image", &json!({REQUEST: "trigger-simple-build"})).await?;
    let waits =
        |component: &Component| status(component).message.as_deref() == Some(BuildStatus::WAITS_FOR_IMAGE);
    wait_for(&components, "image", "to be told", DEADLINE, waits).await?;
    let answer = json!({"image": "images.example/shop/image"}).to_string();
    service.annotate("image", &json!({"image.redhat.com/image": answer})).await?;
    service.model("model", crate::service::DEVFILE).await?;
    for name in ["image", "model"] {
        assert!(service.handled(name).await?.simple.is_some(), "{name}");
    }
    service.has_runs(3).await?;
    Ok(())
}

#[tokio::test]
async fn scenario_7_the_nearest_selector_counts() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    service.run().await?;
    let global = service.installed.namespace().to_owned();
    let chosen = async |service: &Service, name: &str| -> anyhow::Result<Result<String, i32>> {
        service.create(&service.component(name)).await?;
        let told = service.handled(name).await?;
        if let Some(id) = told.simple.and_then(|simple| simple.error.id) {
            return Ok(Err(id));
        }
        let run = service.runs().await?.into_iter().find(|run| {
            run.labels().get("appstudio.openshift.io/component").is_some_and(|component| component == name)
        });
        let run = run.ok_or_else(|| anyhow::anyhow!("{name} is not built"))?;
        Ok(Ok(run.annotations()["build.appstudio.redhat.com/pipeline_name"].clone()))
    };
    assert_eq!(chosen(&service, "none").await?, Err(301));
    let told = service.ask("none", "configure-pac").await?;
    assert_eq!(told.pac.and_then(|pac| pac.error.id), Some(301));

    let one = |name: &str| json!([{"pipelineRef": pipeline_ref(name, "images.example/p:1")}]);
    service.select_in(&global, "build-pipeline-selector", &one("global")).await?;
    assert_eq!(chosen(&service, "a").await?, Ok("global".to_owned()));
    service.select("build-pipeline-selector", &one("of-namespace")).await?;
    assert_eq!(chosen(&service, "b").await?, Ok("of-namespace".to_owned()));
    let of_application = json!([
        {"pipelineRef": {"resolver": "git"}, "when": {"componentName": "git"}},
        {"pipelineRef": {"name": "x"}, "when": {"componentName": "bare"}},
        {"pipelineRef": pipeline_ref("of-application", "images.example/p:1"), "when": {"language": "java,python"}},
    ]);
    service.select("shop", &of_application).await?;
    assert_eq!(chosen(&service, "c").await?, Ok("of-application".to_owned()));
    assert_eq!(chosen(&service, "git").await?, Err(302));
    assert_eq!(chosen(&service, "bare").await?, Err(303));
    for (name, id) in [("git", 302), ("bare", 303)] {
        let told = service.ask(name, "configure-pac").await?;
        let pac = told.pac.unwrap_or_default();
        assert_eq!(pac.error.id, Some(id));
        assert!(pac.error.detail.unwrap_or_default().contains("pipelineRef"), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn scenario_7_none_of_the_selectors_matches() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    let never = json!([{"pipelineRef": service.pipeline_ref(), "when": {"language": "java"}}]);
    service.select("build-pipeline-selector", &never).await?;
    service.run().await?;
    service.create(&service.component("api")).await?;
    let told = service.handled("api").await?.simple.unwrap_or_default();
    assert_eq!(told.error.id, Some(300));
    assert_eq!(
        told.error.message.as_deref(),
        Some("300: No pipeline is selected for component repository based on predefined selectors.")
    );
    Ok(())
}

#[tokio::test]
async fn without_selectors_the_config_map_counts_and_the_choice_is_written_down() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    let config = format!(
        "default-pipeline-name: docker-build\npipelines:\n- name: docker-build\n  bundle: {}\n  additional-params: [hermetic]\n",
        service.bundle()
    );
    let map = builders::config_map(
        service.installed.namespace(),
        "build-pipeline-config",
        [("config.yaml", &*config)],
    );
    let maps: Api<ConfigMap> = Api::namespaced(service.admin(), service.installed.namespace());
    maps.create(&PostParams::default(), &map).await?;
    service.run().await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    let told = service.handled("api").await?;
    assert_eq!(told.pac.and_then(|pac| pac.error.id), None);
    let component = service.api::<Component>().get("api").await?;
    assert_eq!(
        component.annotations()["build.appstudio.openshift.io/pipeline"],
        r#"{"name":"docker-build","bundle":"latest"}"#
    );
    let file = service.file(REPOSITORY, "appstudio-api", ".tekton/api-push.yaml").unwrap_or_default();
    let run: Value = serde_saphyr::from_str(&file)?;
    let params = run["spec"]["params"].as_array().cloned().unwrap_or_default();
    assert!(params.contains(&json!({"name": "hermetic", "value": "true"})), "{params:?}");
    Ok(())
}

#[tokio::test]
async fn a_private_repository_needs_a_secret_that_is_there() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.github.edit(|model| model.repo_mut(REPOSITORY).map(|repository| repository.make_private().id))?;
    service.create(&service.component("none")).await?;
    let told = service.handled("none").await?.simple.unwrap_or_default();
    assert_eq!(told.error.id, Some(203));

    let mut named = service.component("named");
    named.spec.secret = Some("git".to_owned());
    service.create(&named).await?;
    let told = service.handled("named").await?.simple.unwrap_or_default();
    assert_eq!(told.error.id, Some(201));
    assert!(told.error.detail.unwrap_or_default().contains("Secret git"), "{:?}", told.error.message);

    let secret = builders::secret(&service.tenant, "git", [("password", "x")]);
    service.api::<Secret>().create(&PostParams::default(), &secret).await?;
    let told = service.ask("named", "trigger-simple-build").await?.simple.unwrap_or_default();
    assert_eq!(told.error.id, None);
    let runs = service.has_runs(1).await?;
    let bound: Vec<_> = runs[0].spec.workspaces.iter().map(|workspace| workspace.name.as_str()).collect();
    assert_eq!(bound, ["workspace", "git-auth"]);
    let git_auth = runs[0].spec.workspaces[1].secret.as_ref();
    assert_eq!(git_auth.and_then(|secret| secret.secret_name.as_deref()), Some("git"));
    Ok(())
}

#[tokio::test]
async fn scenario_15_what_is_no_request_is_told_and_an_empty_one_is_left() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create_asking(service.component("api"), "deploy-it").await?;
    let told = service.handled("api").await?;
    assert_eq!(told.message.as_deref(), Some("unexpected build request: deploy-it"));

    service.annotate("api", &json!({REQUEST: ""})).await?;
    let before = service.api::<Component>().get("api").await?;
    service.create(&service.component("marker")).await?;
    service.handled("marker").await?;
    let after = service.api::<Component>().get("api").await?;
    assert_eq!(before.resource_version(), after.resource_version());
    Ok(())
}

/// A user who changes their mind in the middle is heeded: the second request is dealt with too, and not lost with the first.
#[tokio::test]
async fn a_request_that_comes_while_another_is_in_hand_is_dealt_with_next() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let slow = testkit::forge::Fault::Delay(Duration::from_secs(3));
    service.github.traffic().fail("GET /repos/{owner}/{repo}", 1, slow);
    service.create(&service.component("api")).await?;
    eventually(DEADLINE, "the first to be in hand", async || {
        let calls = service.github.traffic().count("GET /repos/{owner}/{repo}");
        anyhow::ensure!(calls > 0, "GitHub was not asked");
        Ok(())
    })
    .await?;
    service.annotate("api", &json!({REQUEST: "configure-pac"})).await?;
    let both = |component: &Component| {
        let status = status(component);
        status.simple.is_some() && status.pac.is_some() && !component.annotations().contains_key(CLAIM)
    };
    wait_for(&service.api::<Component>(), "api", "both", DEADLINE, both).await?;
    service.has_runs(1).await?;
    Ok(())
}

#[tokio::test]
async fn a_copy_from_a_backup_is_not_built_until_it_is_asked_for() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let mut copy = service.component("copy");
    copy.labels_mut().insert("velero.io/restore-name".to_owned(), "monday".to_owned());
    copy.annotations_mut().insert(REQUEST.to_owned(), "trigger-simple-build".to_owned());
    service.create(&copy).await?;
    let told = service.handled("copy").await?;
    assert!(told.message.unwrap_or_default().contains("restored from a backup"));
    assert_eq!(service.runs().await?.len(), 0);

    let told = service.ask("copy", "trigger-simple-build").await?;
    assert!(told.simple.is_some());
    service.has_runs(1).await?;
    Ok(())
}
