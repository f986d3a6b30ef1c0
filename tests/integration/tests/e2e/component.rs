//! From a Component to an image, and back to nothing: everything is as deployed, forge, registry and pods too.
use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};

use super::cluster;
use crate::images::Images;
use team::{SAMPLE, Team, is_done, result};

pub(crate) mod team;

#[tokio::test]
async fn component_becomes_an_image_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let images = Images::of(&cluster).await?;
    let team = Team::new(&cluster, "component").await?;
    team.push_folder(SAMPLE).await?;
    team.onboard("greeter").await?;

    let proposed = team.configured("greeter").await?;
    let [pull] = &team.pulls().await?[..] else { anyhow::bail!("one pull request is expected") };
    ensure!(proposed == pull.url, "the Component tells of {proposed}, and {} is open", pull.url);
    for file in [".tekton/greeter-push.yaml", ".tekton/greeter-pull-request.yaml"] {
        let content = String::from_utf8(team.file(&pull.head, file).await?)?;
        ensure!(content.contains("kind: PipelineRun"), "{file} of the pull request: {content}");
    }

    // Its own pipelines are tried on the pull request, before anybody merges it.
    let tried = team.build("greeter", "pull_request").await?;
    let commit = team.merge(pull.number).await?;
    let run = team.build_of("greeter", &commit).await?;
    ensure!(tried.name_any() != run.name_any(), "the pull request and the merge each have a run");
    let run = team.until_done(&run.name_any()).await?;
    ensure!(is_done(&run) == Some(true), "the build has failed: {:?}", run.status);

    let (image, digest) = (result(&run, "IMAGE_URL")?, result(&run, "IMAGE_DIGEST")?);
    ensure!(result(&run, "CHAINS-GIT_COMMIT")? == commit, "the run says what it was built from");
    ensure!(result(&run, "CHAINS-GIT_URL")?.starts_with(&team.url()), "and where that is");
    let repository = team.image_repository("greeter").await?;
    ensure!(image == format!("{repository}:{commit}"), "{image} is not {repository}:{commit}");
    let path = repository.split_once('/').context("a registry and a path")?.1;
    ensure!(images.manifest(path, &digest, None).await?.is_some(), "{repository}@{digest} is not there");
    let bill = format!("{}.sbom", digest.replace(':', "-"));
    ensure!(images.manifest(path, &bill, None).await?.is_some(), "{repository}:{bill} is not there");
    let another = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    ensure!(images.manifest(path, another, None).await?.is_none(), "absence is seen");

    team.delete("greeter").await?;
    let [purge] = &team.pulls().await?[..] else { anyhow::bail!("one pull request to purge is expected") };
    ensure!(purge.head == "appstudio-purge-greeter", "its branch is {}", purge.head);
    team.until_no_runs("greeter").await?;
    team.until_gone("greeter").await?;
    ensure!(images.manifest(path, &digest, None).await?.is_none(), "{repository}@{digest} is still there");
    Ok(())
}

#[tokio::test]
async fn secrets_of_a_component_go_with_its_repository() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "secrets").await?;
    team.image_repository_only("alone").await?;
    let secrets: Api<Secret> = Api::namespaced(cluster.admin(), team.namespace());
    let of_images = async || -> anyhow::Result<Vec<String>> {
        let all = secrets.list(&ListParams::default()).await?.items;
        let names = all.iter().map(ResourceExt::name_any);
        Ok(names.filter(|name| name.contains("-image-pu")).collect())
    };
    ensure!(!of_images().await?.is_empty(), "there are credentials to push");
    team.repositories().delete("alone", &DeleteParams::default()).await?;
    testkit::wait_gone(&team.repositories(), "alone", crate::LONG).await?;
    testkit::eventually(crate::LONG, "the credentials to go", async || {
        let left = of_images().await?;
        ensure!(left.is_empty(), "left are {left:?}");
        Ok(())
    })
    .await
}
