//! From a tested Snapshot to where customers pull from: by the team's own pipeline, and by that of a release team, which takes
//! nobody's word for it. Everything is as deployed: services, engine, policies, registries, pods.
use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{core::v1::Secret, rbac::v1::RoleBinding};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use pipelines_engine_api::PipelineRun;
use release_service_api::{Release, ReleasePlan, finalizers, labels};
use serde_json::json;
use testkit::{eventually, wait_for};

use super::cluster;
use crate::{
    LONG,
    component::team::{APPLICATION, SAMPLE, Team, is_done, result},
    integration::tested::Watched,
    trust::{platform::Platform, witness::Cosign},
};
use scene::{Developers, Releasers, condition, ended};

mod scene;

const COMPONENT: &str = "greeter";
/// Of the release team's policy: no image passes that nobody has signed.
const RULE: &str = "builtin.image.signature_check";

/// A plan as YAML. JSON is YAML.
fn plan(name: &str, labels: &[(&str, &str)], spec: &serde_json::Value) -> String {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    let mut spec = spec.clone();
    spec["application"] = APPLICATION.into();
    let plan = json!({
        "apiVersion": "appstudio.redhat.com/v1alpha1",
        "kind": "ReleasePlan",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    });
    format!("{plan}\n---\n")
}

fn by_hand() -> [(&'static str, &'static str); 1] {
    [(labels::AUTO_RELEASE.as_str(), "false")]
}

/// The pipeline that ships for teams.
fn own_pipeline() -> serde_json::Value {
    json!({"tenantPipeline": {
        "serviceAccountName": "appstudio-pipeline",
        "pipelineRef": {"resolver": "bundles", "params": [
            {"name": "bundle", "value": "registry.dev.konflux.test/konflux/pipeline-tenant-release:devel"},
            {"name": "name", "value": "tenant-release"},
            {"name": "kind", "value": "pipeline"},
        ]},
    }})
}

#[tokio::test]
async fn what_was_built_and_tested_is_released_by_its_team_and_by_the_release_team() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let (team, platform) = (Team::new(&cluster, "release").await?, Platform::new()?);
    team.push_folder(SAMPLE).await?;
    let releasers = Releasers::new(&cluster, "release-good", &platform).await?;
    releasers.admit("greetings", team.namespace(), &[COMPONENT]).await?;
    let developers = Developers::of(&cluster, team.namespace(), "release-alice").await?;
    let automatic =
        [(labels::AUTO_RELEASE.as_str(), "true"), (labels::STANDING_ATTRIBUTION.as_str(), "true")];
    let target = json!({"target": releasers.namespace()});
    developers
        .apply(&format!(
            "{}{}",
            plan("own", &automatic, &own_pipeline()),
            plan("shipped", &by_hand(), &target)
        ))
        .await?;

    team.onboard(COMPONENT).await?;
    team.configured(COMPONENT).await?;
    let [pull] = &team.pulls().await?[..] else { anyhow::bail!("one pull request is expected") };
    let commit = team.merge(pull.number).await?;
    let run = team.build_of(COMPONENT, &commit).await?;
    let run = team.until_done(&run.name_any()).await?;
    ensure!(is_done(&run) == Some(true), "the build has failed: {:?}", run.status);
    let digest = result(&run, "IMAGE_DIGEST")?;
    let watched = Watched::of(&team);
    let snapshot = watched.snapshot_of(&run.name_any()).await?.name_any();

    // Nobody asks for it, and whoever wrote the plan answers for it.
    let automatic = watched.released(&snapshot).await?.name_any();
    let own = ended(&developers.releases(), &automatic).await?;
    ensure!(condition(&own, "Released")?.0 == "True", "{:#?}", own.status);
    let status = own.status.clone().unwrap_or_default();
    let attribution = status.attribution.clone().unwrap_or_default();
    ensure!(attribution.author.as_deref() == Some(developers.user()), "{attribution:?}");
    ensure!(attribution.standing_authorization == Some(true), "{attribution:?}");
    ensure!(condition(&own, "ManagedPipelineProcessed")?.1 == "Skipped", "{:#?}", own.status);
    ensure!(status.target.as_deref() == Some(team.namespace()), "{:?}", status.target);

    // Somebody asks for it, and somebody else judges.
    let release = developers.ask("shipped", &snapshot).await?;
    let live = ended(&developers.releases(), &release).await?;
    ensure!(condition(&live, "Released")?.0 == "True", "{:#?}", live.status);
    ensure!(condition(&live, "Released")?.2.is_empty(), "{:#?}", live.status);
    let status = live.status.clone().unwrap_or_default();
    ensure!(status.attribution.unwrap_or_default().author.as_deref() == Some(developers.user()));
    let artifacts = status.artifacts.context("the pipeline says what it has released")?.to_string();
    let place = releasers.destination(COMPONENT);
    ensure!(artifacts.contains(&digest) && artifacts.contains(&place), "{artifacts}");

    // The copy is the image, with all that belongs to it. Whoever does not take our word asks cosign.
    for reference in [digest.clone(), "latest".to_owned(), commit[..7].to_owned()] {
        ensure!(releasers.digest(COMPONENT, &reference).await? == digest, "{reference} is another image");
    }
    for suffix in ["sig", "att", "sbom"] {
        releasers.digest(COMPONENT, &format!("{}.{suffix}", digest.replace(':', "-"))).await?;
    }
    let cosign = Cosign::new(&platform)?;
    let keys: Api<Secret> = Api::namespaced(team.kube(), "openshift-pipelines");
    let published = keys.get("public-key").await?.data.and_then(|mut data| data.remove("cosign.pub"));
    cosign
        .write("cluster.pub", std::str::from_utf8(&published.context("the cluster publishes its key")?.0)?)?;
    cosign.verify("cluster.pub", &format!("{place}@{digest}")).await?;

    // One run, which may go, and no right that is left.
    let runs = releasers.runs_of(&release).await?;
    let [run] = &runs[..] else { anyhow::bail!("{} runs were made of one Release", runs.len()) };
    ensure!(is_done(run) == Some(true), "{:?}", run.status);
    let runs: Api<PipelineRun> = Api::namespaced(team.kube(), releasers.namespace());
    let is_free = |run: &PipelineRun| !run.finalizers().contains(&finalizers::RELEASE.as_str().to_owned());
    wait_for(&runs, &run.name_any(), "that it may go", LONG, is_free).await?;
    let bindings: Api<RoleBinding> = Api::namespaced(team.kube(), team.namespace());
    let of_release = ListParams::default().labels(&format!("{}={release}", labels::NAME.as_str()));
    eventually(LONG, "no binding of the Release to be left", async || {
        let left = bindings.list(&of_release).await?.items;
        ensure!(left.is_empty(), "{} are left", left.len());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn image_that_was_pushed_by_hand_is_refused_with_the_rule_and_the_image() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let platform = Platform::new()?;
    let tenant = cluster.namespace("e2e-release-handmade").await?;
    let releasers = Releasers::new(&cluster, "release-strict", &platform).await?;
    releasers.admit("greetings", &tenant, &[COMPONENT]).await?;
    let developers = Developers::of(&cluster, &tenant, "release-bob").await?;
    developers.apply(&crate::tenant::application(APPLICATION)).await?;
    developers.apply(&plan("shipped", &by_hand(), &json!({"target": releasers.namespace()}))).await?;

    // Somebody's own work, by whom it may be: nobody has signed it.
    let (image, digest) = releasers.push_by_hand(&platform).await?;
    developers.snapshot("from-a-laptop", &[(COMPONENT, &image)]).await?;
    let release = developers.ask("shipped", "from-a-laptop").await?;
    let live = ended(&developers.releases(), &release).await?;
    ensure!(condition(&live, "Released")?.1 == "Failed", "{:#?}", live.status);
    let (_, reason, message) = condition(&live, "ManagedPipelineProcessed")?;
    ensure!(reason == "Failed" && message.contains(RULE) && message.contains(&image), "{message}");
    ensure!(condition(&live, "Processed")?.2 == message, "both say the same");
    let found = releasers.digest(COMPONENT, &digest).await;
    ensure!(found.is_err(), "it was refused, and is there all the same");
    Ok(())
}

#[tokio::test]
async fn no_tenant_uses_the_admission_of_another() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let platform = Platform::new()?;
    let (good, eve) =
        (cluster.namespace("e2e-release-origin").await?, cluster.namespace("e2e-release-eve").await?);
    let releasers = Releasers::new(&cluster, "release-coveted", &platform).await?;
    releasers.admit("greetings", &good, &[COMPONENT]).await?;
    let developers = Developers::of(&cluster, &eve, "release-eve").await?;
    developers.apply(&crate::tenant::application(APPLICATION)).await?;
    // By its name, of an Application that is called like theirs.
    let by_name = [by_hand()[0], (labels::RELEASE_PLAN_ADMISSION.as_str(), "greetings")];
    developers.apply(&plan("theirs", &by_name, &json!({"target": releasers.namespace()}))).await?;
    let plans: Api<ReleasePlan> = Api::namespaced(cluster.admin(), &eve);
    let is_unmatched = |plan: &ReleasePlan| {
        plan.status.as_ref().is_some_and(|status| {
            status.conditions.iter().any(|found| found.type_ == "Matched" && found.status == "False")
        })
    };
    wait_for(&plans, "theirs", "that nothing matches it", LONG, is_unmatched).await?;

    let (image, _) = releasers.push_by_hand(&platform).await?;
    developers.snapshot("any", &[(COMPONENT, &image)]).await?;
    let release = developers.ask("theirs", "any").await?;
    let live = ended(&developers.releases(), &release).await?;
    let (_, reason, message) = condition(&live, "Released")?;
    ensure!((reason, message) == ("Failed", "Release validation failed"), "{:#?}", live.status);
    ensure!(condition(&live, "Validated")?.1 == "Failed", "{:#?}", live.status);
    ensure!(releasers.runs_of(&release).await?.is_empty(), "a run was made of it");
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin(), &eve);
    let of_release = ListParams::default().labels(&format!("{}={release}", labels::NAME.as_str()));
    ensure!(bindings.list(&of_release).await?.items.is_empty(), "somebody may read the tenant's objects");
    Ok(())
}

#[tokio::test]
async fn nobody_answers_for_what_another_has_asked_for() -> anyhow::Result<()> {
    let cluster = cluster().await?;
    let tenant = cluster.namespace("e2e-release-forged").await?;
    let developers = Developers::of(&cluster, &tenant, "release-mallory").await?;
    developers.apply(&crate::tenant::application(APPLICATION)).await?;
    let forged = [(labels::AUTHOR.as_str(), "root"), (labels::STANDING_ATTRIBUTION.as_str(), "true")];
    developers.apply(&plan("own", &[forged[0], forged[1], by_hand()[0]], &own_pipeline())).await?;
    let plans: Api<ReleasePlan> = Api::namespaced(developers.client(), &tenant);
    let author = |labels: &BTreeMap<String, String>| labels.get(labels::AUTHOR.as_str()).cloned();
    let mine = Some(developers.user().to_owned());
    ensure!(author(plans.get("own").await?.labels()) == mine, "of the plan");
    let root = Patch::Merge(json!({"metadata": {"labels": {labels::AUTHOR.as_str(): "root"}}}));
    let changed = plans.patch("own", &PatchParams::default(), &root).await?;
    ensure!(author(changed.labels()) == mine, "of a plan that was changed");

    let releases: Api<Release> = Api::namespaced(developers.client(), &tenant);
    let name = developers.ask_with("own", "none", &[(labels::AUTHOR.as_str(), "root")]).await?;
    ensure!(author(releases.get(&name).await?.labels()) == mine, "of a Release");
    let refusal = releases.patch(&name, &PatchParams::default(), &root).await.err();
    let refusal = refusal.context("the author of a Release was changed")?.to_string();
    ensure!(refusal.contains("author label cannot be updated"), "{refusal}");

    // One that calls itself automated, and then does not.
    let forged = [(labels::AUTHOR.as_str(), "root"), (labels::AUTOMATED.as_str(), "true")];
    let name = developers.ask_with("own", "none", &forged).await?;
    let by_hand = Patch::Merge(json!({"metadata": {"labels": {labels::AUTOMATED.as_str(): null}}}));
    let _ = releases.patch(&name, &PatchParams::default(), &by_hand).await;
    let found = author(releases.get(&name).await?.labels());
    ensure!(found.is_none() || found == mine, "it is {found:?}'s");
    let status = Patch::Merge(json!({"status": {"automated": true, "attribution": {"author": "root"}}}));
    match releases.patch_status(&name, &PatchParams::default(), &status).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(()),
        other => anyhow::bail!("a tenant wrote what release-service says: {other:?}"),
    }
}
