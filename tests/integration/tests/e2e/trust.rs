//! Who can be trusted: chains signs what builds have made, and `ec` lets nothing else pass.
use std::{collections::BTreeMap, io::Read as _, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use pipelines_engine_api::PipelineRun;
use serde_json::{Value, json};
use testkit::{eventually, wait_for};

use crate::{
    LONG,
    builds::{
        dockerfile,
        team::{BUILDER, Build, Team, sample},
    },
    cluster,
};
pub(crate) use material::digest;
use material::{Attached, Image, Key, Material};
use platform::Platform;
use verify::{Component, verify};
use witness::Cosign;

mod material;
pub(crate) mod platform;
mod statements;
mod variants;
mod verify;
pub(crate) mod witness;

/// Label of a namespace in which people may be let into pods of runs.
const LET_IN: &str = "fleet.konflux-ci.dev/enter-runs";
const SIGNED: &str = "chains.tekton.dev/signed";
/// For signing, which waits for the last task.
const SIGNING: Duration = Duration::from_mins(2);
const POLICY: (&str, &str) = ("POLICY_CONFIGURATION", "enterprise-contract-service/slsa3");

/// Waits until chains has signed a run, and fails if it gave up.
async fn signed(team: &Team<'_>, build: &Build) -> anyhow::Result<()> {
    let runs: Api<PipelineRun> = Api::namespaced(team.kube(), team.namespace());
    let run =
        wait_for(&runs, build.name(), SIGNED, SIGNING, |run| run.annotations().contains_key(SIGNED)).await?;
    ensure!(run.annotations()[SIGNED] == "true", "{}: {:?}", build.name(), run.annotations());
    Ok(())
}

/// A build, its image as it was pushed, and what chains has attached to it, copied to the platform registry.
async fn material(team: &Team<'_>, platform: &Platform, build: &Build) -> anyhow::Result<Material> {
    signed(team, build).await?;
    let digest = build.result("IMAGE_DIGEST")?;
    let repository = format!("trust/{}/source", team.namespace());
    let manifest = team.bytes(&format!("manifests/{digest}")).await?.context("the image is there")?;
    let parsed: Value = serde_json::from_slice(&manifest)?;
    let layers = parsed["layers"].as_array().context("an image has layers")?.iter();
    for blob in layers.chain([&parsed["config"]]).filter_map(|blob| blob["digest"].as_str()) {
        let content = team.bytes(&format!("blobs/{blob}")).await?.context("the layer is there")?;
        platform.put_blob(&repository, &content).await?;
    }
    let image = Image { manifest, repository };
    let attached = async |suffix: &str| {
        let tag = format!("{}.{suffix}", digest.replace(':', "-"));
        let manifest = team.manifest(&tag).await?.with_context(|| format!("chains has written {tag}"))?;
        let mut blobs = BTreeMap::new();
        for digest in manifest["layers"].as_array().into_iter().flatten() {
            let digest = digest["digest"].as_str().context("a layer has a digest")?;
            let content = team.bytes(&format!("blobs/{digest}")).await?.context("the layer is there")?;
            blobs.insert(digest.to_owned(), content);
        }
        material::layers(&manifest, &blobs)
    };
    Ok(Material { image, signatures: attached("sig").await?, attestations: attached("att").await? })
}

/// The build pipeline, as it lies in its bundle.
async fn pipeline(platform: &Platform) -> anyhow::Result<Value> {
    let repository = "konflux/pipeline-docker-build-oci-ta";
    let manifest: Value = serde_json::from_slice(&platform.manifest(repository, "devel").await?)?;
    let layer = manifest["layers"][0]["digest"].as_str().context("a bundle has a layer")?;
    let content = platform.blob(repository, layer).await?;
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&content[..]));
    let mut file = archive.entries()?.next().context("a layer has a file")??;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(serde_saphyr::from_str(&text)?)
}

/// The name of a build's image by its digest, and where its sources are from.
fn component(name: &str, build: &Build) -> anyhow::Result<Component> {
    let (url, digest) = (build.result("IMAGE_URL")?, build.result("IMAGE_DIGEST")?);
    let repository = url.rsplit_once(':').map_or(url.as_str(), |(repository, _)| repository);
    Ok(Component {
        name: name.to_owned(),
        image: format!("{repository}@{digest}"),
        git: Some((build.url.clone(), build.commit.clone())),
    })
}

#[tokio::test]
async fn what_was_built_passes_and_what_was_tampered_with_fails_with_its_rule() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (team, platform) = (Team::new(&cluster, "trust").await?, Platform::new()?);
    let (files, other_files) = (sample("python")?, dockerfile("LABEL other=image"));
    let (build, other) =
        tokio::try_join!(team.build("python", &files, &[]), team.build("other", &other_files, &[]))?;
    ensure!(build.has_succeeded() && other.has_succeeded(), "{} {}", build.story(), other.story());
    let good = material(&team, &platform, &build).await?;
    let another = material(&team, &platform, &other).await?;

    let mut components = vec![component("as-built", &build)?];
    let mut expected = vec![("as-built", None)];
    for variants::Variant { name, material, violated } in variants::all(&good, &another)? {
        let repository = format!("trust/{}/{name}", team.namespace());
        let image = material.put(&platform, &repository).await.with_context(|| name.to_owned())?;
        components.push(Component::new(name, image));
        expected.push((name, violated));
    }
    let (image, code) = variants::missing(&good.image, &platform.name);
    components.push(Component::new("not-there", image));
    expected.push(("not-there", Some(code)));

    let verdict = verify(&team, &components, &[POLICY, ("STRICT", "false")]).await?;
    ensure!(verdict.is_passed, "STRICT=false lets the task succeed");
    ensure!(verdict.test_output["result"] == "FAILURE", "{}", verdict.test_output);
    for (name, violated) in expected {
        let (passes, found, story) = (verdict.passes(name)?, verdict.violated(name)?, verdict.story(name));
        match violated {
            Some(code) => ensure!(!passes && found.contains(code), "{code} is missing: {story}"),
            None => ensure!(passes && found.is_empty(), "{story}"),
        }
    }
    let strict = verify(&team, &components[..2], &[POLICY]).await?;
    ensure!(strict.is_passed && strict.test_output["failures"] == 0, "{}", strict.test_output);
    let strict = verify(&team, &components[..3], &[POLICY]).await?;
    ensure!(!strict.is_passed, "the step `assert` fails with one image that does not pass");

    // Whoever does not take our word: cosign, with the key that the cluster publishes.
    let cosign = Cosign::new(&platform)?;
    let keys: Api<Secret> = Api::namespaced(team.kube(), "openshift-pipelines");
    let published = keys.get("public-key").await?.data.and_then(|mut data| data.remove("cosign.pub"));
    let published = published.context("the cluster publishes its key")?;
    cosign.write("cluster.pub", std::str::from_utf8(&published.0)?)?;
    let path = |name: &str| format!("trust/{}/{name}@{}", team.namespace(), good.image.digest());
    cosign.verify("cluster.pub", &path("copied-as-it-is")).await?;
    for name in ["signed-by-a-stranger", "attested-by-a-stranger"] {
        ensure!(cosign.verify("cluster.pub", &path(name)).await.is_err(), "{name}: cosign lets it pass");
    }

    // The same statement, signed by a key that the policy is told to trust, and what is wrong in it is not the signature.
    let key = Key::new()?;
    let mut components = Vec::new();
    let mut expected = Vec::new();
    for statements::Change { name, statement, violated } in
        statements::all(&good.attestation()?.statement()?)?
    {
        let material = Material {
            image: good.image.clone(),
            signatures: Attached::Layers(vec![key.signature(&good.signature()?.content)?]),
            attestations: Attached::Layers(vec![key.attestation(&statement)?]),
        };
        let image = material.put(&platform, &format!("trust/{}/{name}", team.namespace())).await?;
        let git = Some((build.url.clone(), build.commit.clone()));
        components.push(Component { name: name.to_owned(), image, git });
        expected.extend(violated.map(|code| (name, code)));
    }
    // By all rules, some of which this cluster's builds do not meet: what counts is what a change adds.
    let policy = ("POLICY_CONFIGURATION", "enterprise-contract-service/redhat");
    let params = [policy, ("PUBLIC_KEY", &key.public), ("STRICT", "false")];
    let verdict = verify(&team, &components, &params).await?;
    let unchanged = verdict.violations(statements::UNCHANGED)?;
    ensure!(unchanged.iter().all(|(code, _)| !code.starts_with("builtin.")), "{unchanged:?}");
    for (name, code) in expected {
        let found = verdict.violations(name)?;
        let is_new = found.difference(&unchanged).any(|(found, _)| found == code);
        ensure!(is_new, "{code} is missing: {}", verdict.story(name));
    }
    Ok(())
}

#[tokio::test]
async fn ec_believes_what_cosign_has_signed() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (team, platform) = (Team::new(&cluster, "cosign").await?, Platform::new()?);
    let cosign = Cosign::new(&platform)?;
    let (from, to) = ("konflux/toolbox", format!("trust/{}/by-cosign", team.namespace()));
    let image = Image { manifest: platform.manifest(from, "latest").await?, repository: from.to_owned() };
    let bare = Material { image, signatures: Attached::Nothing, attestations: Attached::Nothing };
    let name = bare.put(&platform, &to).await?;
    let predicate = json!({
        "builder": {"id": "https://builder.example"},
        "buildType": "tekton.dev/v1beta1/PipelineRun",
        "invocation": {"configSource": {}},
        "buildConfig": {"tasks": []},
        "metadata": {"buildFinishedOn": "2026-01-01T00:00:00Z"},
        "materials": [],
    });
    let key = cosign.sign(&format!("{to}@{}", bare.image.digest()), &predicate.to_string()).await?;
    let policy = json!({"sources": [{
        "policy": [format!("oci::{}/konflux/policy-release:latest", platform.name)],
        "data": [format!("oci::{}/konflux/policy-data:latest", platform.name)],
        "config": {"include": ["slsa_provenance_available"]},
    }]});
    let policy = policy.to_string();
    let components = [Component::new("by-cosign", name)];
    let params = [("POLICY_CONFIGURATION", &*policy), ("PUBLIC_KEY", &*key), ("STRICT", "false")];
    let verdict = verify(&team, &components, &params).await?;
    ensure!(verdict.passes("by-cosign")?, "{}", verdict.story("by-cosign"));
    let other = Key::new()?;
    let params = [("POLICY_CONFIGURATION", &*policy), ("PUBLIC_KEY", &*other.public), ("STRICT", "false")];
    let verdict = verify(&team, &components, &params).await?;
    let found = verdict.violated("by-cosign")?;
    ensure!(found.contains("builtin.image.signature_check"), "{}", verdict.story("by-cosign"));
    Ok(())
}

#[tokio::test]
async fn a_task_that_was_pushed_by_hand_is_not_trusted() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (team, platform) = (Team::new(&cluster, "handmade").await?, Platform::new()?);
    // The very task, but from where anybody can have put it.
    let (name, to) = ("task-git-clone-oci-ta", format!("trust/{}/git-clone", team.namespace()));
    let from = format!("konflux/{name}");
    let manifest = platform.manifest(&from, "0.1").await?;
    let parsed: Value = serde_json::from_slice(&manifest)?;
    let layers = parsed["layers"].as_array().context("a bundle has layers")?.iter();
    for blob in layers.chain([&parsed["config"]]).filter_map(|blob| blob["digest"].as_str()) {
        platform.put_blob(&to, &platform.blob(&from, blob).await?).await?;
    }
    platform.put_manifest(&to, "0.1", material::MANIFEST, &manifest).await?;
    let bundle = format!("{}/{to}:0.1@{}", platform.name, material::digest(&manifest));

    let mut pipeline = pipeline(&platform).await?;
    let tasks = pipeline["spec"]["tasks"].as_array_mut().context("a pipeline has tasks")?;
    let clone = tasks.iter_mut().find(|task| task["name"] == "clone-repository").context("it clones")?;
    let params = clone["taskRef"]["params"].as_array_mut().context("it is from a bundle")?;
    let param = params.iter_mut().find(|param| param["name"] == "bundle").context("it names its bundle")?;
    param["value"] = json!(bundle);

    let spec = json!({"pipelineSpec": pipeline["spec"]});
    let started = team.start(spec, BUILDER, "handmade", &dockerfile("LABEL a=b"), &[]).await?;
    let build = team.ended(started).await?;
    ensure!(build.has_succeeded(), "{}", build.story());
    signed(&team, &build).await?;
    // By the policy of those who name none.
    let verdict = verify(&team, &[component("handmade", &build)?], &[("STRICT", "false")]).await?;
    let found = verdict.violated("handmade")?;
    ensure!(found.contains("trusted_task.trusted"), "{}", verdict.story("handmade"));
    Ok(())
}

#[tokio::test]
async fn a_run_that_somebody_was_let_into_is_not_trusted() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "let-in").await?;
    // Only where an administrator says so is anybody let in at all.
    let allowed = json!({"metadata": {"labels": {LET_IN: "allowed"}}});
    Api::<Namespace>::all(cluster.admin())
        .patch(team.namespace(), &PatchParams::default(), &Patch::Merge(&allowed))
        .await?;
    let bundle = json!({"pipelineSpec": pipeline(&Platform::new()?).await?["spec"]});
    let started = team.start(bundle, BUILDER, "let-in", &dockerfile("RUN sleep 5"), &[]).await?;
    let pods: Api<Pod> = Api::namespaced(team.kube(), team.namespace());
    let of_build = format!("tekton.dev/pipelineRun={},tekton.dev/pipelineTask=build-container", started.run);
    let running = eventually(LONG, "the build's pod runs", async || {
        let found = pods.list(&ListParams::default().labels(&of_build)).await?.items;
        let is_running =
            |pod: &Pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        found.into_iter().find(is_running).context("no pod runs")
    })
    .await?;
    // Asked for without the upgrade that `kubectl exec` makes next: by then it is decided who gets in, and marked.
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/exec?container=step-build&command=true&stdout=true",
        team.namespace(),
        running.name_any()
    );
    let refused = team.kube().request_text(http::Request::post(path).body(Vec::new())?).await;
    ensure!(refused.is_err(), "an exec without an upgrade of the connection is no exec");

    let build = team.ended(started).await?;
    ensure!(build.has_succeeded(), "{}", build.story());
    signed(&team, &build).await?;
    let verdict = verify(&team, &[component("let-in", &build)?], &[POLICY, ("STRICT", "false")]).await?;
    let found = verdict.violated("let-in")?;
    ensure!(found.iter().any(|code| code.starts_with("tampered")), "{}", verdict.story("let-in"));
    Ok(())
}
