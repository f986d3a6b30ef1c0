//! Scenarios 3 to 6 and 8 to 10: Pipelines-as-Code is set up.

use application_service_api::Component;
use build_service_api::build_status::PacState;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams};
use pipelines_as_code_api::Repository;
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::forge::{Access, PullState};
use testkit::registry::BundleLayer;
use testkit::{DEADLINE, eventually};

use crate::service::{APP, REPOSITORY, Service, WEBHOOK_TARGET, pipeline_ref};

const FINALIZER: &str = "pac.component.appstudio.openshift.io/finalizer";
const PUSH: &str = ".tekton/api-push.yaml";
const PULL: &str = ".tekton/api-pull-request.yaml";
const WEBHOOKS_SECRET: &str = "pipelines-as-code-webhooks-secret";

fn has_finalizer(component: &Component) -> bool {
    component.finalizers().iter().any(|name| name == FINALIZER)
}

/// State, source branch and title of each pull request.
fn pulls(service: &Service, repository: &str) -> Vec<(PullState, String, String)> {
    service.github.edit(|model| {
        let found = model.repo(repository).map(|repository| repository.pulls.clone()).unwrap_or_default();
        found.into_iter().map(|pull| (pull.state, pull.head_branch, pull.title)).collect()
    })
}

#[tokio::test]
async fn scenario_3_by_the_app_without_a_webhook() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    let told = service.handled("api").await?;
    assert_eq!(told.simple, None, "a request comes before the first build");
    let pac = told.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Enabled), "{:?}", pac.error);
    assert_eq!(pac.merge_url, Some(format!("{}/pull/1", service.url())));
    assert!(pac.configuration_time.is_some());

    let component = service.api::<Component>().get("api").await?;
    assert!(has_finalizer(&component));
    let repository = service.api::<Repository>().get("api").await?;
    assert_eq!(repository.spec.spec.url, Some(service.url()));
    assert_eq!(repository.spec.spec.git_provider, None);
    assert_eq!(repository.owner_references()[0].uid, component.uid().unwrap_or_default());
    let expected = (PullState::Open, "appstudio-api".to_owned(), "Konflux update api".to_owned());
    assert_eq!(pulls(&service, REPOSITORY), [expected]);
    for path in [PUSH, PULL] {
        let text = service.file(REPOSITORY, "appstudio-api", path).unwrap_or_default();
        tekton::decode::lenient::<PipelineRun>(&text)?;
        assert_eq!(service.file(REPOSITORY, "main", path), None);
    }
    // The App needs no webhook, and its key stays where it is.
    let hooks =
        service.github.edit(|model| model.repo(REPOSITORY).map(|repository| repository.hooks.len()))?;
    assert_eq!(hooks, 0);
    let secrets = service.api::<Secret>().list(&ListParams::default()).await?;
    assert_eq!(secrets.items.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(), [""; 0]);
    let note = service.told("PipelinesAsCodeConfiguration").await?;
    assert!(note.contains(&format!("{}/pull/1", service.url())), "{note}");

    // Asked again, nothing is there twice.
    service.ask("api", "configure-pac").await?;
    assert_eq!(pulls(&service, REPOSITORY).len(), 1);
    assert_eq!(service.api::<Repository>().list(&ListParams::default()).await?.items.len(), 1);
    Ok(())
}

#[tokio::test]
async fn scenario_3_without_the_pull_request() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create_asking(service.component("api"), "configure-pac-no-mr").await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.merge_url), (Some(PacState::Enabled), None));
    assert_eq!(pulls(&service, REPOSITORY).len(), 0);
    service.api::<Repository>().get("api").await?;
    Ok(())
}

#[tokio::test]
async fn scenario_4_by_a_token_with_one_webhook_for_all_components() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.github.edit(|model| model.repository("acme/other").map(drop))?;
    let token = service.github.token("jane", &["repo", "admin:repo_hook"]);
    service.add_token("git", service.github.url(), &token, "").await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    service.create_asking(service.component("web"), "configure-pac").await?;
    service
        .create_asking(service.component_of("other", &service.url_of("acme/other")), "configure-pac")
        .await?;
    for name in ["api", "web", "other"] {
        let pac = service.handled(name).await?.pac.unwrap_or_default();
        assert_eq!(pac.state, Some(PacState::Enabled), "{name}: {:?}", pac.error);
    }
    let secret = service.api::<Secret>().get(WEBHOOKS_SECRET).await?;
    let data = secret.data.clone().unwrap_or_default();
    assert_eq!(secret.labels()["app.kubernetes.io/part-of"], "appstudio");
    assert_eq!(data.len(), 2, "a key for each repository");
    let value = |suffix: &str| {
        let found = data.iter().find(|(key, _)| key.ends_with(suffix));
        found.map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
    };
    let (key, signed) = value("_acme_app").unwrap_or_default();
    assert!(signed.len() == 40 && signed.bytes().all(|byte| byte.is_ascii_hexdigit()), "{signed}");
    assert_ne!(value("_acme_other").unwrap_or_default().1, signed);

    let hooks =
        service.github.edit(|model| model.repo(REPOSITORY).map(|repository| repository.hooks.clone()))?;
    let shown: Vec<_> = hooks
        .iter()
        .map(|hook| (hook.url.as_str(), hook.secret.clone(), hook.verifies_tls, hook.active))
        .collect();
    assert_eq!(shown, [(WEBHOOK_TARGET, Some(signed), true, true)]);

    let repositories = service.api::<Repository>().list(&ListParams::default()).await?.items;
    assert_eq!(repositories.len(), 2);
    let shared = repositories.iter().find(|repository| repository.spec.spec.url == Some(service.url()));
    let shared = shared.ok_or_else(|| anyhow::anyhow!("there is none of {}", service.url()))?;
    assert_eq!(shared.owner_references().len(), 2);
    let provider = json!(shared.spec.spec.git_provider);
    assert_eq!(provider["secret"], json!({"name": "git", "key": "password"}));
    assert_eq!(provider["webhook_secret"], json!({"name": WEBHOOKS_SECRET, "key": key}));
    assert_eq!(provider["type"], "github");
    Ok(())
}

#[tokio::test]
async fn scenario_5_an_app_that_is_not_installed_is_told_and_a_later_request_succeeds() -> anyhow::Result<()>
{
    let service = Service::start().await?;
    service.github.edit(|model| {
        model.organization("lonely");
        model.repository("lonely/app").map(drop)
    })?;
    let url = service.url_of("lonely/app");
    service.create_asking(service.component_of("api", &url), "configure-pac").await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.error.id), (Some(PacState::Error), Some(70)));
    assert!(pac.error.detail.unwrap_or_default().contains("lonely/app"));
    assert!(!has_finalizer(&service.api::<Component>().get("api").await?));
    assert_eq!(pulls(&service, "lonely/app").len(), 0);
    assert_eq!(service.api::<Repository>().list(&ListParams::default()).await?.items.len(), 0);

    service.github.edit(|model| {
        model.install(APP, "lonely", &[("contents", "write"), ("pull_requests", "write")]);
    });
    let pac = service.ask("api", "configure-pac").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.error.id), (Some(PacState::Enabled), None), "{:?}", pac.error);
    assert!(has_finalizer(&service.api::<Component>().get("api").await?));
    Ok(())
}

#[tokio::test]
async fn scenario_5_without_any_credentials_it_is_said_what_is_missing() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    service.run().await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!(pac.error.id, Some(50));
    service.told("PaCSecretNotFound").await?;
    service.create(&service.component("simple")).await?;
    assert_eq!(service.handled("simple").await?.simple.unwrap_or_default().error.id, Some(50));

    let secret = testkit::builders::secret(
        service.installed.namespace(),
        "pipelines-as-code-secret",
        [("github-application-id", "4711")],
    );
    let secrets = kube::Api::<Secret>::namespaced(service.admin(), service.installed.namespace());
    secrets.create(&PostParams::default(), &secret).await?;
    let pac = service.ask("api", "configure-pac").await?.pac.unwrap_or_default();
    assert_eq!(pac.error.id, Some(51));
    service.told_in(service.installed.namespace(), "ErrorValidatingPaCSecret").await?;
    Ok(())
}

/// Nothing is made where it is not known where events go, and the file that says it is read when there is need.
#[tokio::test]
async fn webhooks_that_lead_nowhere_are_told_before_anything_is_made() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.select("build-pipeline-selector", &json!([{"pipelineRef": service.pipeline_ref()}])).await?;
    let token = service.github.token("jane", &["repo", "admin:repo_hook"]);
    service.add_token("git", service.github.url(), &token, "").await?;
    let settings = tempfile::NamedTempFile::new()?;
    std::fs::write(settings.path(), "{}")?;
    service.webhook_target = String::new();
    service.flags.push(format!("--webhook-config-path={}", settings.path().display()));
    service.run().await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.error.id), (Some(PacState::Error), Some(52)), "{:?}", pac.error);
    assert!(!has_finalizer(&service.api::<Component>().get("api").await?));
    assert!(service.api::<Secret>().get_opt(WEBHOOKS_SECRET).await?.is_none());
    assert_eq!(service.api::<Repository>().list(&ListParams::default()).await?.items.len(), 0);

    std::fs::write(
        settings.path(),
        json!({"": "https://all.example", service.url(): WEBHOOK_TARGET}).to_string(),
    )?;
    let pac = service.ask("api", "configure-pac").await?.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Enabled), "{:?}", pac.error);
    let hooks = service.github.edit(|model| {
        let repository = model.repo(REPOSITORY)?;
        anyhow::Ok(repository.hooks.iter().map(|hook| hook.url.clone()).collect::<Vec<_>>())
    })?;
    assert_eq!(hooks, [WEBHOOK_TARGET]);
    Ok(())
}

#[tokio::test]
async fn scenario_6_the_secret_that_fits_best_is_used() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let token = service.github.token("jane", &["repo", "admin:repo_hook"]);
    let github = service.github.url();
    for (name, repositories) in
        [("host", ""), ("organization", "acme/*"), ("deeper", "acme/ap*"), ("exact", "x/y, /acme/app")]
    {
        service.add_token(name, github, if name == "exact" { &token } else { "wrong" }, repositories).await?;
    }
    service.create_asking(service.component("api"), "configure-pac").await?;
    let pac = service.handled("api").await?.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Enabled), "{:?}", pac.error);
    let repository = service.api::<Repository>().get("api").await?;
    let provider = repository.spec.spec.git_provider.unwrap_or_default();
    assert_eq!(provider.secret.map(|secret| secret.name).as_deref(), Some("exact"));

    service.api::<Secret>().delete("exact", &Default::default()).await?;
    let pac = service.ask("api", "configure-pac").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.error.id), (Some(PacState::Error), Some(74)));
    Ok(())
}

#[tokio::test]
async fn scenario_8_an_older_pipeline_is_proposed_in_the_newer_version() -> anyhow::Result<()> {
    let mut service = Service::install().await?;
    service.add_app_secret().await?;
    let older = json!({
        "apiVersion": "tekton.dev/v1beta1", "kind": "Pipeline", "metadata": {"name": "old"},
        "spec": {
            "workspaces": [{"name": "workspace"}, {"name": "git-auth"}, {"name": "other"}],
            "tasks": [{"name": "build", "taskRef": {"name": "buildah", "bundle": "images.example/task:1"}}],
        },
    });
    let layer = BundleLayer { kind: "pipeline", name: "old", content: older.to_string().into_bytes() };
    service.registry.push_bundle("pipelines/old", "v1", &[layer]);
    let bundle = format!("{}/pipelines/old:v1", service.registry.address());
    service
        .select("build-pipeline-selector", &json!([{"pipelineRef": pipeline_ref("old", &bundle)}]))
        .await?;
    service
        .select(
            "shop",
            &json!([{"pipelineRef": pipeline_ref("gone", &bundle), "when": {"componentName": "gone"}}]),
        )
        .await?;
    service.run().await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    service.handled("api").await?;
    let run: Value =
        serde_saphyr::from_str(&service.file(REPOSITORY, "appstudio-api", PUSH).unwrap_or_default())?;
    assert_eq!(run["apiVersion"], "tekton.dev/v1");
    assert_eq!(run["spec"]["pipelineSpec"]["tasks"][0]["taskRef"]["resolver"], "bundles");
    let bound: Vec<_> = run["spec"]["workspaces"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|workspace| &workspace["name"])
        .collect();
    assert_eq!(bound, ["workspace", "git-auth"]);

    service.create_asking(service.component("gone"), "configure-pac").await?;
    let pac = service.handled("gone").await?.pac.unwrap_or_default();
    assert_eq!(pac.error.id, Some(400));
    let note = service.told("ErrorGettingPipelineFromBundle").await?;
    assert!(note.contains("\"gone\"") && note.contains(&bundle), "{note}");
    Ok(())
}

#[tokio::test]
async fn scenario_9_a_part_of_the_repository_is_built_when_it_or_its_dockerfile_changes() -> anyhow::Result<()>
{
    let service = Service::start().await?;
    let mut component = service.component("api");
    if let Some(git) = component.spec.source.as_mut().and_then(|source| source.git.as_mut()) {
        git.context = Some("backend".to_owned());
        git.revision = Some("main".to_owned());
    }
    service.create_asking(component, "configure-pac").await?;
    service.handled("api").await?;
    let cel = |path: &str| -> anyhow::Result<String> {
        let text = service.file(REPOSITORY, "appstudio-api", path).unwrap_or_default();
        let run: Value = serde_saphyr::from_str(&text)?;
        let cel = &run["metadata"]["annotations"]["pipelinesascode.tekton.dev/on-cel-expression"];
        Ok(cel.as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(
        cel(PULL)?,
        "event == \"pull_request\" && target_branch == \"main\" && ( \"backend/***\".pathChanged() || \
         \".tekton/api-pull-request.yaml\".pathChanged() || \"Dockerfile\".pathChanged() )"
    );
    assert_eq!(cel(PUSH)?, "event == \"push\" && target_branch == \"main\"");
    Ok(())
}

#[tokio::test]
async fn scenario_10_what_is_there_already_is_not_proposed_and_a_merged_branch_is_made_anew()
-> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    service.handled("api").await?;
    service.github.edit(|model| model.merge_pull(REPOSITORY, 1, "Merge it").map(drop))?;
    let pac = service.ask("api", "configure-pac").await?.pac.unwrap_or_default();
    assert_eq!((pac.state, pac.merge_url), (Some(PacState::Enabled), None));
    let note = eventually(DEADLINE, "to be told that it is up to date", async || {
        let note = service.told("PipelinesAsCodeConfiguration").await?;
        let events =
            service.api::<k8s_openapi::api::events::v1::Event>().list(&ListParams::default()).await?;
        let is_told =
            events.items.iter().any(|event| event.note.iter().any(|note| note.contains("up to date")));
        anyhow::ensure!(is_told, "{note}");
        Ok(())
    });
    note.await?;

    // The files change on the branch that is built, while ours is there still: somebody edited them.
    service.github.edit(|model| {
        model.commit(REPOSITORY, "main", "Edit it", &[(PUSH, Some(b"edited: true\n".as_slice()))]).map(drop)
    })?;
    let told = service.ask("api", "configure-pac").await?;
    let pac = told.pac.unwrap_or_default();
    assert_eq!(pac.merge_url, Some(format!("{}/pull/2", service.url())));
    let message = told.message.unwrap_or_default();
    assert!(message.starts_with("done: ") && message.contains(PUSH) && !message.contains(PULL), "{message}");
    assert_eq!(service.file(REPOSITORY, "main", PUSH).as_deref(), Some("edited: true\n"), "only proposed");
    let states: Vec<_> = pulls(&service, REPOSITORY).into_iter().map(|(state, ..)| state).collect();
    assert_eq!(states, [PullState::Merged, PullState::Open]);
    let body = service.github.edit(|model| {
        model
            .repo(REPOSITORY)
            .map(|repository| repository.pull(2).map(|pull| pull.body.clone()).unwrap_or_default())
    })?;
    assert!(body.contains(PUSH), "{body}");
    Ok(())
}

/// What users do to their repositories, and what they are told then.
#[tokio::test]
async fn repositories_that_are_gone_or_closed_are_told() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let token = service.github.token("jane", &["repo", "admin:repo_hook"]);
    service.add_token("git", service.github.url(), &token, "").await?;
    let ask = async |name: &str, url: &str, revision: Option<&str>| -> anyhow::Result<(i32, String)> {
        let mut component = service.component_of(name, url);
        if let Some(git) = component.spec.source.as_mut().and_then(|source| source.git.as_mut()) {
            git.revision = revision.map(str::to_owned);
        }
        service.create_asking(component, "configure-pac").await?;
        let pac = service.handled(name).await?.pac.unwrap_or_default();
        assert_eq!(pac.state, Some(PacState::Error));
        Ok((pac.error.id.unwrap_or_default(), pac.error.detail.unwrap_or_default()))
    };
    let (id, detail) = ask("gone", &service.url_of("acme/gone"), None).await?;
    assert!(id == 75 && detail.contains("acme/gone"), "{id}: {detail}");
    let (id, detail) = ask("branch", &service.url(), Some("no-such")).await?;
    assert!(id == 75 && detail.contains("no branch \"no-such\""), "{id}: {detail}");
    let (id, detail) = ask("tree", &format!("{}/tree/main/backend", service.url()), None).await?;
    assert!(id == 62 && detail.contains("/tree/"), "{id}: {detail}");

    // One that may only be read.
    service.github.edit(|model| -> anyhow::Result<()> {
        model.user("rita");
        model.repository("jane/hers")?.collaborator("rita", Access::Read);
        Ok(())
    })?;
    let reading = service.github.token("rita", &["repo", "admin:repo_hook"]);
    service.add_token("reading", service.github.url(), &reading, "jane/hers").await?;
    let (id, detail) = ask("hers", &service.url_of("jane/hers"), None).await?;
    assert!(id == 75 && detail.contains("jane/hers"), "{id}: {detail}");
    assert_eq!(service.api::<Repository>().list(&ListParams::default()).await?.items.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_default_branch_that_was_renamed_is_found_by_its_new_name() -> anyhow::Result<()> {
    let service = Service::start().await?;
    service.create_asking(service.component("api"), "configure-pac").await?;
    service.handled("api").await?;
    service.github.edit(|model| -> anyhow::Result<()> {
        let head = model.repo(REPOSITORY)?.head("main").unwrap_or_default().to_owned();
        model.set_ref(REPOSITORY, "refs/heads/trunk", &head)?;
        model.repo_mut(REPOSITORY)?.default_branch = "trunk".to_owned();
        model.delete_ref(REPOSITORY, "refs/heads/main")?;
        Ok(())
    })?;
    let pac = service.ask("api", "configure-pac").await?.pac.unwrap_or_default();
    assert_eq!(pac.state, Some(PacState::Enabled), "{:?}", pac.error);
    let text = service.file(REPOSITORY, "appstudio-api", PUSH).unwrap_or_default();
    assert!(text.contains("target_branch == \"trunk\""), "{text}");
    Ok(())
}
