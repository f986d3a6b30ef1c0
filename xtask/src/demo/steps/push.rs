//! A push to the forge becomes a PipelineRun, and its result a status of the commit: forge, sprayproxy, pipelines-as-code and
//! the engine, each knowing only its neighbour.
use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, ObjectMeta, Patch, PatchParams},
};
use serde_json::Value;

use super::tenant::NAMESPACE;
use crate::{
    demo::{Fact, Show, follow},
    deploy::{self, Applier, Object},
    forge::scene::Scene,
    images, paths, ui,
};

/// Folder of the example, in the checkout; what becomes the repository is in `content`.
const EXAMPLE: &str = "examples/first-push";
/// Repository at the forge, and Repository in the cluster.
const NAME: &str = "first-push";
/// Who pushes.
const USER: &str = "alice";
/// The run in `.tekton/` that a push starts.
const RUN: &str = "on-push";
/// Where the Repository finds alice's token.
const SECRET: &str = "first-push-forge";

/// How long a webhook may take to become a run, and a run's end a status.
const LIMIT: Duration = Duration::from_mins(1);

pub async fn run(show: &mut Show) -> anyhow::Result<Vec<Fact>> {
    let Some(scene) = Scene::set(&show.args.cluster, USER, NAME).await? else {
        ui::note("this cluster has no forge of ours: nothing is pushed");
        return Ok(Vec::new());
    };
    let client = show.target()?.client.clone();
    let image = images::shell::push(&show.args.registry, &show.args.cluster).await?;
    let example = paths::repository()?.join(EXAMPLE);
    let mut objects = deploy::kustomize(&example).await?;
    objects.iter_mut().try_for_each(|object| set_image(object, &image))?;
    keep_token(&client, &scene.token).await?;
    let applier = Applier::discover(client.clone(), true).await?;
    applier.apply_all(&objects, |_| {}).await?;

    // Every demo pushes something new.
    let folder = tempfile::tempdir().context("make a folder for the repository")?;
    copy(&example.join("content"), folder.path())?;
    let pushed_at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    fs::write(folder.path().join("pushed-at.txt"), format!("{pushed_at} s after the epoch\n"))?;
    let commit = scene.push(folder.path(), "Say when it was pushed").await?;
    let asked = Instant::now();

    let step = ui::step(format!("the webhook of {} starts a run", &commit[..8]));
    let created = run_of(&client, &commit).await?;
    step.done_with(&created.name_any());
    let started = asked.elapsed();
    let object = Object::parse(serde_json::to_value(&created)?)?;
    let followed: Vec<&Object> = vec![&object];
    let (live, mut facts) = follow::until(&client, &followed, "Succeeded", asked).await?;
    let results = live.first().map(|run| run.data["status"]["results"].clone()).unwrap_or_default();
    ensure!(results[0]["value"] == commit.as_str(), "the run's result is not the commit: {results}");

    let step = ui::step("the commit tells of it");
    let url = status_of(&scene, &commit).await?;
    step.done();
    let fact = |object: String, state: &str, after| Fact { object, state: state.to_owned(), after };
    facts.insert(0, fact(format!("push of {}", &commit[..8]), "a PipelineRun", started));
    facts.push(fact(format!("status of {}", &commit[..8]), "success", asked.elapsed()));
    ui::note(&format!("the status leads to {url}"));
    Ok(facts)
}

/// Puts the image with a shell into the Repository's variables.
fn set_image(object: &mut Object, image: &str) -> anyhow::Result<()> {
    let params = object.content.pointer_mut("/spec/params").and_then(Value::as_array_mut);
    let param = params.into_iter().flatten().find(|param| param["name"] == "image");
    param.with_context(|| format!("a Repository of {EXAMPLE} has no param image"))?["value"] = image.into();
    Ok(())
}

async fn keep_token(client: &Client, token: &str) -> anyhow::Result<()> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some([("provider.token".to_owned(), ByteString(token.as_bytes().to_vec()))].into()),
        ..Secret::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let applied =
        api.patch(SECRET, &PatchParams::apply("konflux-demo").force(), &Patch::Apply(&secret)).await;
    applied.with_context(|| format!("apply Secret {NAMESPACE}/{SECRET}"))?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Waits for the run that pipelines-as-code makes of the push.
async fn run_of(client: &Client, commit: &str) -> anyhow::Result<DynamicObject> {
    let kind = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(
        "tekton.dev",
        "v1",
        "PipelineRun",
    ));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &kind);
    let meant =
        format!("pipelinesascode.tekton.dev/sha={commit},pipelinesascode.tekton.dev/original-prname={RUN}");
    let until = Instant::now() + LIMIT;
    loop {
        let found =
            api.list(&ListParams::default().labels(&meant)).await.context("list the tenant's runs")?;
        if let Some(mut run) = found.items.into_iter().next() {
            // A list does not say of its items what they are.
            run.types =
                Some(kube::core::TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
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

/// Waits until the forge shows that the run has succeeded, and returns where its status leads.
async fn status_of(scene: &Scene, commit: &str) -> anyhow::Result<String> {
    let until = Instant::now() + LIMIT;
    loop {
        let status = scene.status(commit, RUN).await?;
        match &status {
            Some((state, url)) if state == "success" => return Ok(url.clone()),
            _ if Instant::now() < until => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => bail!("the forge shows {status:?} at {commit}, and should show success"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn example_is_as_the_demo_needs_it() {
        let mut objects = deploy::kustomize(&paths::repository().unwrap().join(EXAMPLE)).await.unwrap();
        let [repository] = &mut objects[..] else { panic!("one object is expected: {objects:?}") };
        assert_eq!((repository.kind(), repository.name()), ("Repository", NAME));
        assert_eq!(repository.namespace(), Some(NAMESPACE));
        assert_eq!(
            repository.content["spec"]["git_provider"]["secret"],
            json!({ "name": SECRET }),
            "the key is the default"
        );
        assert!(repository.content["spec"]["url"].as_str().unwrap().ends_with(&format!("/{USER}/{NAME}")));
        set_image(repository, "shell").unwrap();
        assert_eq!(repository.content["spec"]["params"][0]["value"], "shell");
    }
}
