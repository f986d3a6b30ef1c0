//! A Component becomes an image: a repository in the registry, a pull request with its pipelines, and, when that is merged, a
//! build whose every task is followed.
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use build_service_api::{BuildStatus, annotations, build_status::PacState};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, Patch,
        PatchParams,
    },
};
use serde_json::Value;

use super::tenant::NAMESPACE;
use crate::{
    demo::{Built, Fact, Show, follow},
    deploy::{self, Applier, Object},
    forge::scene::Scene,
    paths, ui,
};

/// Folder of the example, in the checkout.
const EXAMPLE: &str = "examples/first-component";
/// What the repository begins with, in the checkout.
pub(super) const SAMPLE: &str = "pipelines/samples/python";
/// Repository at the forge, and Component and ImageRepository in the cluster.
pub(super) const NAME: &str = "greeter";
/// Who pushes, and merges.
const USER: &str = "alice";
/// Where build-service finds alice's token.
const SECRET: &str = "greeter-forge";

/// How long one service may take to answer another by an object.
const LIMIT: Duration = Duration::from_mins(2);
/// How long the build may take: the first one pulls what it runs in.
pub(super) const BUILD_LIMIT: Duration = Duration::from_mins(10);

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let client = show.target()?.client.clone();
    let objects = deploy::kustomize(&paths::repository()?.join(EXAMPLE)).await?;
    let applier = Applier::discover(client.clone(), true).await?;
    clear(&applier, &objects).await?;
    let Some(scene) = Scene::anew(&show.args.cluster, USER, NAME).await? else {
        ui::note("this cluster has no forge of ours: nothing is built");
        return Ok(Vec::new());
    };
    scene.push(&paths::repository()?.join(SAMPLE), "Greet").await?;
    keep_token(&client, &scene).await?;

    let asked = Instant::now();
    applier.apply_all(&objects, |_| {}).await?;
    let repository = image_repository(&client).await?;
    let with_image = asked.elapsed();
    let url = configured(&client).await?;
    let proposed = asked.elapsed();
    ui::note(&format!("the pull request: {url}"));
    let commit = scene.merge_only_pull().await?;

    let merged = Instant::now();
    let run = run_of(&client, &commit, "push").await?;
    ui::note(&format!("run {}", run.name_any()));
    let object = Object::parse(serde_json::to_value(&run)?)?;
    let (live, mut facts) =
        follow::until_within(&client, &[&object], "Succeeded", merged, BUILD_LIMIT).await?;
    let ended = merged.elapsed();
    let built = live.first().context("the run was followed")?;
    for line in tasks(&client, built).await? {
        ui::note(&line);
    }
    let image = result(built, "IMAGE_URL")?;
    let digest = result(built, "IMAGE_DIGEST")?;
    ensure!(image.starts_with(&repository), "the run has pushed {image}, and its repository is {repository}");
    let fact = |object: &str, state: String, after| Fact { object: object.to_owned(), state, after };
    facts.insert(0, fact("ImageRepository greeter", repository.clone(), with_image));
    facts.insert(1, fact("pull request with its pipelines", url, proposed));
    facts.push(fact("image", format!("{image}@{digest}"), ended));
    show.built = Some(Built {
        repository,
        digest,
        run: run.name_any(),
        url: result(built, "CHAINS-GIT_URL")?,
        commit,
    });
    show.scene = Some(scene);
    Ok(facts)
}

/// Deletes what an earlier demo left, and waits until it is gone.
async fn clear(applier: &Applier, objects: &[Object]) -> anyhow::Result<()> {
    let step = ui::step("the Component of an earlier demo is gone");
    // Not the Application: what belongs to it shall go on its own.
    for object in objects.iter().filter(|object| object.kind() != "Application") {
        let api = applier.api(object)?;
        match api.delete(object.name(), &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => continue,
            outcome => drop(outcome.with_context(|| format!("delete {object}"))?),
        }
        let until = Instant::now() + LIMIT;
        while let Some(live) = api.get_opt(object.name()).await? {
            let finalizers = live.finalizers().join(", ");
            ensure!(
                Instant::now() < until,
                "{object} was deleted but is still there; its finalizers: {finalizers}"
            );
            step.waiting(&finalizers);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    step.done();
    Ok(())
}

/// By which build-service proposes pipelines, and pipelines-as-code reads and reports.
async fn keep_token(client: &Client, scene: &Scene) -> anyhow::Result<()> {
    let labels =
        [("appstudio.redhat.com/credentials", "scm"), ("appstudio.redhat.com/scm.host", &scene.host)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let path = [("appstudio.redhat.com/scm.repository".to_owned(), scene.repository.clone())];
    let data = [("username", USER), ("password", &scene.token)];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(labels.into()),
            annotations: Some(path.into()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/basic-auth".to_owned()),
        data: Some(data.map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec()))).into()),
        ..Secret::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let parameters = PatchParams::apply("konflux-demo").force();
    let applied = api.patch(SECRET, &parameters, &Patch::Apply(&secret)).await;
    applied.with_context(|| format!("apply Secret {NAMESPACE}/{SECRET}"))?;
    Ok(())
}

/// Waits until the Component has its image repository, and returns its name.
async fn image_repository(client: &Client) -> anyhow::Result<String> {
    let step = ui::step("a repository in the registry, with accounts of its own");
    let repositories = api(client, "ImageRepository");
    let components = api(client, "Component");
    let until = Instant::now() + LIMIT;
    loop {
        let status = repositories.get(NAME).await?.data["status"].clone();
        let image = components.get(NAME).await?.data["spec"]["containerImage"].clone();
        if status["state"] == "ready"
            && let Some(url) = status["image"]["url"].as_str()
            && image.as_str().is_some_and(|image| image.starts_with(url))
        {
            step.done_with(url);
            return Ok(url.to_owned());
        }
        let message = status["message"].as_str().unwrap_or("no word of it in its status");
        ensure!(
            Instant::now() < until,
            "ImageRepository {NAMESPACE}/{NAME} is not ready, or spec.containerImage of the Component is not set: {message}"
        );
        step.waiting(message);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until the pipelines are proposed, and returns the address of the pull request.
async fn configured(client: &Client) -> anyhow::Result<String> {
    let step = ui::step("a pull request proposes the pipelines");
    let components = api(client, "Component");
    let until = Instant::now() + LIMIT;
    loop {
        let component = components.get(NAME).await?;
        let text = component.annotations().get(annotations::STATUS.as_str());
        let status: BuildStatus = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let pac = status.pac.unwrap_or_default();
        match pac.state {
            Some(PacState::Enabled) => {
                let url = pac.merge_url.context("build-service has found nothing to propose")?;
                step.done();
                return Ok(url);
            }
            Some(PacState::Error) => bail!(
                "Component {NAMESPACE}/{NAME} could not be set up: {} ({})",
                pac.error.message.unwrap_or_default(),
                pac.error.detail.unwrap_or_default()
            ),
            _ if Instant::now() > until => {
                bail!("build-service has not answered the request of Component {NAMESPACE}/{NAME}: {text:?}")
            }
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Waits for the run of the Component that an event starts at a commit.
pub(super) async fn run_of(client: &Client, commit: &str, event: &str) -> anyhow::Result<DynamicObject> {
    let step = ui::step(format!("the {} {} starts a build", event.replace('_', " "), &commit[..8]));
    let kind = resource("PipelineRun");
    let meant = format!(
        "pipelinesascode.tekton.dev/sha={commit},appstudio.openshift.io/component={NAME},pipelinesascode.tekton.dev/event-type={event}"
    );
    let until = Instant::now() + LIMIT;
    loop {
        let found = api(client, "PipelineRun").list(&ListParams::default().labels(&meant)).await;
        if let Some(mut run) = found.context("list the tenant's runs")?.items.into_iter().next() {
            // A list does not say of its items what they are.
            run.types = Some(kube::core::TypeMeta { api_version: kind.api_version, kind: kind.kind });
            step.done();
            return Ok(run);
        }
        ensure!(
            Instant::now() < until,
            "no run of {commit} after {} s; look at the Events of Repository {NAMESPACE}/{NAME} and the logs of \
             pipelines-as-code and sprayproxy",
            LIMIT.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A line for each task of a run, in the order in which they began: how long it took, and what it has found.
pub(super) async fn tasks(client: &Client, run: &DynamicObject) -> anyhow::Result<Vec<String>> {
    let meant = format!("tekton.dev/pipelineRun={}", run.name_any());
    let namespace = run.namespace().unwrap_or_default();
    let runs: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource("TaskRun"));
    let listed = runs.list(&ListParams::default().labels(&meant)).await;
    let mut tasks = listed.context("list the run's tasks")?.items;
    tasks.sort_by_key(|task| task.data["status"]["startTime"].as_str().map(str::to_owned));
    let line = |task: &DynamicObject| {
        let name = task.labels().get("tekton.dev/pipelineTask").map_or("", String::as_str);
        let status = &task.data["status"];
        let took = seconds(status).map_or_else(String::new, |took| format!("{took} s"));
        let found = found(status).unwrap_or_default();
        format!("  {name:32} {took:>6}  {found}")
    };
    Ok(tasks.iter().map(line).collect())
}

/// How long a task took.
fn seconds(status: &Value) -> Option<i64> {
    let time = |field: &str| status[field].as_str()?.parse::<k8s_openapi::jiff::Timestamp>().ok();
    Some(time("completionTime")?.as_second() - time("startTime")?.as_second())
}

/// What a check says of what it looked at.
fn found(status: &Value) -> Option<String> {
    let results = status["results"].as_array()?;
    let output = results.iter().find(|result| result["name"] == "TEST_OUTPUT")?["value"].as_str()?;
    let output: Value = serde_json::from_str(output).ok()?;
    let count = |field: &str| output[field].as_u64().unwrap_or_default();
    let (successes, failures, warnings) = (count("successes"), count("failures"), count("warnings"));
    let result = output["result"].as_str()?;
    Some(format!("{result}: {successes} passed, {failures} failed, {warnings} warnings"))
}

fn result(run: &DynamicObject, name: &str) -> anyhow::Result<String> {
    let results = run.data["status"]["results"].as_array().into_iter().flatten();
    let found = results.into_iter().find(|result| result["name"] == name);
    let value = found.and_then(|result| result["value"].as_str());
    Ok(value.with_context(|| format!("run {} has no result {name}", run.name_any()))?.trim().to_owned())
}

pub(super) fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), NAMESPACE, &resource(kind))
}

pub(super) fn resource(kind: &str) -> ApiResource {
    let (group, version) = match kind {
        "PipelineRun" | "TaskRun" => ("tekton.dev", "v1"),
        _ => ("appstudio.redhat.com", "v1alpha1"),
    };
    let kind = GroupVersionKind::gvk(group, version, kind);
    // What the API calls these kinds in addresses follows no rule that kube could know.
    match kind.kind.as_str() {
        "ImageRepository" => ApiResource::from_gvk_with_plural(&kind, "imagerepositories"),
        _ => ApiResource::from_gvk(&kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn example_is_as_the_demo_needs_it() {
        let objects = deploy::kustomize(&paths::repository().unwrap().join(EXAMPLE)).await.unwrap();
        let of = |kind: &str| objects.iter().find(|object| object.kind() == kind).unwrap();
        let (component, repository) = (of("Component"), of("ImageRepository"));
        assert_eq!([component.name(), repository.name()], [NAME; 2]);
        assert!(objects.iter().all(|object| object.namespace() == Some(NAMESPACE)));
        let labels = &repository.content["metadata"]["labels"];
        assert_eq!(labels["appstudio.redhat.com/component"], NAME);
        assert_eq!(labels["appstudio.redhat.com/application"], component.content["spec"]["application"]);
        let git = &component.content["spec"]["source"]["git"];
        assert!(git["url"].as_str().unwrap().ends_with(&format!("/{USER}/{NAME}")), "{git}");
        let dockerfile = git["dockerfileUrl"].as_str().unwrap();
        assert!(paths::repository().unwrap().join(SAMPLE).join(dockerfile).is_file(), "{dockerfile}");
    }

    #[test]
    fn a_task_is_told_with_its_time_and_what_it_found() {
        let status = json!({
            "startTime": "2026-01-01T00:00:01Z", "completionTime": "2026-01-01T00:01:03Z",
            "results": [{"name": "TEST_OUTPUT", "value": "{\"result\":\"FAILURE\",\"successes\":2,\"failures\":1,\"warnings\":0}"}],
        });
        assert_eq!(seconds(&status), Some(62));
        assert_eq!(found(&status).unwrap(), "FAILURE: 2 passed, 1 failed, 0 warnings");
        assert_eq!((seconds(&json!({})), found(&json!({}))), (None, None));
    }
}
