//! From a pull request to a Release: what is built is tested and told; what was pushed is promoted and offered for release, and
//! what was only proposed is not. Everything is as deployed, forge, registries and pods too. What becomes of the Release: `release.rs`.
use anyhow::{Context as _, ensure};
use application_service_api::Snapshot;
use integration_service_api::labels;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::cluster;
use crate::component::team::{APPLICATION, SAMPLE, Team, is_done, result};
use tested::Watched;

pub(crate) mod tested;

const COMPONENT: &str = "greeter";
/// A pipeline of the team's own, in the checkout.
const TESTS: &str = "pipelines/samples/integration-test";
/// Label of what Pipelines-as-Code says of a build, on what follows from it.
const EVENT_TYPE: &str = "pac.test.appstudio.openshift.io/event-type";

/// A scenario as YAML. JSON is YAML.
fn scenario(name: &str, labels: &Value, spec: &Value) -> String {
    let mut spec = spec.clone();
    spec["application"] = APPLICATION.into();
    let scenario = json!({
        "apiVersion": "appstudio.redhat.com/v1beta2",
        "kind": "IntegrationTestScenario",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    });
    format!("{scenario}\n---\n")
}

/// Where the pipeline is that the team has pushed there.
fn own_pipeline(url: &str) -> Value {
    json!({"resolver": "git", "params": [
        {"name": "url", "value": url},
        {"name": "revision", "value": "main"},
        {"name": "pathInRepo", "value": "pipeline.yaml"},
    ]})
}

fn release_policy() -> Value {
    json!({"resolver": "bundles", "params": [
        {"name": "bundle", "value": "registry.dev.konflux.test/konflux/pipeline-enterprise-contract:devel"},
        {"name": "name", "value": "enterprise-contract"},
        {"name": "kind", "value": "pipeline"},
    ]})
}

/// Two plans, by one of which Releases are made only by hand.
fn plans() -> String {
    let plan = |name: &str, is_automatic: &str| {
        json!({
            "apiVersion": "appstudio.redhat.com/v1alpha1",
            "kind": "ReleasePlan",
            "metadata": {"name": name, "labels": {"release.appstudio.openshift.io/auto-release": is_automatic}},
            "spec": {"application": APPLICATION},
        })
    };
    format!("{}\n---\n{}\n", plan("at-once", "true"), plan("by-hand", "false"))
}

#[tokio::test]
async fn pull_request_is_tested_and_told_and_its_merge_is_promoted_and_offered_for_release()
-> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "integration").await?;
    team.push_folder(SAMPLE).await?;
    let own = own_pipeline(&team.further_repository("tests", TESTS).await?);
    let policy = json!({"name": "POLICY_CONFIGURATION", "value": "enterprise-contract-service/slsa3"});
    let stranger = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?.public_key_pem();
    let stranger = json!({"name": "PUBLIC_KEY", "value": stranger});
    let optional = json!({labels::OPTIONAL.as_str(): "true"});
    let scenarios = [
        scenario("images", &json!({}), &json!({"resolverRef": own})),
        scenario("policy", &json!({}), &json!({"resolverRef": release_policy(), "params": [policy]})),
        scenario(
            "other-key",
            &optional,
            &json!({"resolverRef": release_policy(), "params": [policy, stranger]}),
        ),
        scenario("pushes", &json!({}), &json!({"resolverRef": own, "contexts": [{"name": "push"}]})),
    ];
    team.apply(&format!("{}{}", scenarios.concat(), plans())).await?;
    team.onboard(COMPONENT).await?;
    team.configured(COMPONENT).await?;
    let [pull] = &team.pulls().await?[..] else { anyhow::bail!("one pull request is expected") };

    let watched = Watched::of(&team);
    let run = team.build(COMPONENT, "pull_request").await?;
    let run = team.until_done(&run.name_any()).await?;
    ensure!(is_done(&run) == Some(true), "the build has failed: {:?}", run.status);
    let proposed = watched.snapshot_of(&run.name_any()).await?;
    let proposed = watched.all_ended(&proposed.name_any(), &["images", "other-key", "policy"]).await?;
    ensure!(watched.passed(&proposed.name_any()).await?, "all required tests have passed");
    let record = tested::record(&proposed)?;
    let failed: Vec<_> = record.iter().filter(|entry| !entry.state().is_passed()).collect();
    ensure!(
        failed.len() == 1 && failed[0].scenario == "other-key",
        "only the stranger's key fails: {record:?}"
    );

    // What people see: a status for each that leads somewhere, and the rules one by one.
    let head = &run.labels()["pipelinesascode.tekton.dev/sha"];
    for scenario in ["images", "policy"] {
        let status = team.status(head, &format!(" / {scenario}"), &["success", "warning"]).await?;
        ensure!(!status.target_url.is_empty(), "it leads nowhere: {status:?}");
    }
    team.status(head, " / other-key", &["success", "warning", "failure", "error"]).await?;
    team.told(pull.number, &["policy", "met builtin.image.signature_check"]).await?;
    team.told(pull.number, &["other-key", "violated builtin.image.signature_check"]).await?;
    watched.is_not_passed_on(&proposed.name_any(), None).await?;

    let commit = team.merge(pull.number).await?;
    let run = team.build_of(COMPONENT, &commit).await?;
    let run = team.until_done(&run.name_any()).await?;
    ensure!(is_done(&run) == Some(true), "the build has failed: {:?}", run.status);
    let pushed = watched.snapshot_of(&run.name_any()).await?;
    let pushed = watched.all_ended(&pushed.name_any(), &["images", "other-key", "policy", "pushes"]).await?;
    let image = holds(&pushed, &result(&run, "IMAGE_DIGEST")?)?;
    watched.promoted(COMPONENT, &image, &commit).await?;
    let release = watched.released(&pushed.name_any()).await?;
    ensure!(release.spec.release_plan == "at-once", "by {}", release.spec.release_plan);
    watched.is_not_passed_on(&proposed.name_any(), Some((COMPONENT, &image))).await
}

/// The one image of a Snapshot, which has this digest.
fn holds(snapshot: &Snapshot, digest: &str) -> anyhow::Result<String> {
    let [component] = &snapshot.spec.components[..] else {
        anyhow::bail!("one component is expected: {:?}", snapshot.spec.components);
    };
    ensure!(component.container_image.ends_with(&format!("@{digest}")), "{}", component.container_image);
    Ok(component.container_image.clone())
}

#[tokio::test]
async fn pull_request_that_calls_itself_a_push_is_neither_promoted_nor_offered_for_release()
-> anyhow::Result<()> {
    let cluster = cluster().await?;
    let team = Team::new(&cluster, "integration-hostile").await?;
    team.push_folder(SAMPLE).await?;
    let own = own_pipeline(&team.further_repository("tests", TESTS).await?);
    team.apply(&format!("{}{}", scenario("images", &json!({}), &json!({"resolverRef": own})), plans()))
        .await?;
    team.onboard(COMPONENT).await?;
    team.configured(COMPONENT).await?;
    let [offered] = &team.pulls().await?[..] else { anyhow::bail!("one pull request is expected") };

    // Whoever opens a pull request writes its pipeline, and all labels of the run that are not the fleet's to set.
    let path = format!(".tekton/{COMPONENT}-pull-request.yaml");
    let written = team.file(&offered.head, &path).await?;
    let (commit, pull) = team.propose("hostile", &[(&path, hostile(&String::from_utf8(written)?)?)]).await?;
    let run = team.build_at(COMPONENT, &commit).await?;
    let run = team.until_done(&run.name_any()).await?;
    ensure!(is_done(&run) == Some(true), "the build has failed: {:?}", run.status);

    let watched = Watched::of(&team);
    let snapshot = watched.snapshot_of(&run.name_any()).await?;
    let event = snapshot.labels().get(EVENT_TYPE).map(String::as_str);
    ensure!(event == Some("pull_request"), "it is taken for {event:?}");
    let type_ = snapshot.labels().get(labels::TYPE.as_str()).map(String::as_str);
    ensure!(type_ == Some(labels::snapshot_type::COMPONENT), "it is taken for {type_:?}");
    watched.all_ended(&snapshot.name_any(), &["images"]).await?;
    ensure!(watched.passed(&snapshot.name_any()).await?, "its tests have passed");
    team.status(&commit, " / images", &["success"]).await?;
    team.told(pull, &["images"]).await?;
    watched.is_not_passed_on(&snapshot.name_any(), None).await
}

/// A run of a pull request that would rather be one of a push, or a Snapshot that sets what is promoted.
fn hostile(run: &str) -> anyhow::Result<String> {
    let mut run: Value = serde_saphyr::from_str(run)?;
    let claims = [
        ("pipelinesascode.tekton.dev/event-type", "push"),
        (EVENT_TYPE, "push"),
        (labels::TYPE.as_str(), labels::snapshot_type::OVERRIDE),
        ("build.appstudio.openshift.io/event-type", "push"),
    ];
    for entries in ["labels", "annotations"] {
        for (key, value) in claims {
            run["metadata"][entries][key] = value.into();
        }
    }
    let params = run["spec"]["params"].as_array_mut().context("the run has params")?;
    params.push(json!({"name": "skip-checks", "value": "true"}));
    // JSON is YAML.
    Ok(run.to_string())
}
